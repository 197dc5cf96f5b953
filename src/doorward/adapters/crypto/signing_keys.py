"""Keys of our own: made from the system's entropy or the master secret, published without their private part.

Ed25519 (RFC 8032) or ES256 (P-256 with SHA-256, RFC 7518 section 3.4), and nothing else. A key id is the key's RFC
7638 thumbprint, so that two keys never share one.
"""

import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey, derive_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from doorward.adapters.crypto.master import KeyFileError
from doorward.core.tokens import encode_segment

ED25519: Final = "Ed25519"
ES256: Final = "ES256"
HS256: Final = "HS256"

# The private bytes that each is made from. ES256 takes 128 bits more than the curve's order, so that the remainder
# favours no key (NIST FIPS 186-5 appendix A.2.1).
SEED_SIZE: Final = {ED25519: 32, ES256: 48}
_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

# Most deployed libraries still know the curve's algorithm by this name only (SECURITY X38); our door takes both.
ON_THE_WIRE: Final = {ED25519: "EdDSA", ES256: "ES256", HS256: "HS256"}


@dataclass(frozen=True, slots=True, repr=False)
class SigningKey:
    """A private key, ready to sign. `public` is its JWK without private members, {} for a shared secret."""

    key_id: str
    algorithm: str
    public: dict[str, str]
    private: bytes
    sign: Callable[[bytes], bytes]

    def __repr__(self) -> str:
        return f"<SigningKey {self.key_id} for {self.algorithm}>"


def make_key(*, algorithm: str, seed: bytes) -> SigningKey:
    """A new key from `SEED_SIZE[algorithm]` random or derived bytes, the same for the same seed."""
    if len(seed) != SEED_SIZE[algorithm]:
        raise ValueError(f"a seed for {algorithm} has {SEED_SIZE[algorithm]} bytes")
    if algorithm == ED25519:
        return _ed25519(Ed25519PrivateKey.from_private_bytes(seed))
    scalar = int.from_bytes(seed, "big") % (_P256_ORDER - 1) + 1
    return _es256(derive_private_key(scalar, SECP256R1()))


def load_key(*, algorithm: str, private: bytes) -> SigningKey:
    """The key of the bytes that `SigningKey.private` gave. Raises KeyFileError."""
    if algorithm == ED25519 and len(private) == 32:
        return _ed25519(Ed25519PrivateKey.from_private_bytes(private))
    if algorithm == ES256 and len(private) == 32:
        return _es256(derive_private_key(int.from_bytes(private, "big"), SECP256R1()))
    raise KeyFileError(f"the store holds a signing key for {algorithm}, which this version does not know")


def secret_signing_key(secret: bytes) -> SigningKey:
    """HS256 with a secret that is shared with one backend. There is nothing to publish, and the id says nothing."""
    return SigningKey("shared", HS256, {}, secret, lambda octets: hmac.digest(secret, octets, "sha256"))


def sign_token(key: SigningKey, *, header: str, claims: dict[str, object]) -> str:
    """A compact JWS by hand; `header` as `encode_header` made it."""
    return sign_text(key, header=header, claims=_ENCODE(claims))


def sign_text(key: SigningKey, *, header: str, claims: str) -> str:
    """The same, of claims that are JSON already, in ASCII."""
    signing_input = f"{header}.{encode_segment(claims.encode('ascii'))}"
    return f"{signing_input}.{encode_segment(key.sign(signing_input.encode('ascii')))}"


def encode_header(key: SigningKey, *, typ: str) -> str:
    """The header's segment: it is the same for all tokens of one key and kind."""
    header = {"alg": ON_THE_WIRE[key.algorithm], "kid": key.key_id, "typ": typ}
    return encode_segment(_ENCODE(header).encode("ascii"))


_ENCODE: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def _ed25519(key: Ed25519PrivateKey) -> SigningKey:
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    jwk = {"crv": "Ed25519", "kty": "OKP", "x": encode_segment(public)}
    private = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    return _signing_key(ED25519, jwk, private, key.sign)


def _es256(key: EllipticCurvePrivateKey) -> SigningKey:
    numbers = key.private_numbers()
    x, y = (encode_segment(value.to_bytes(32, "big")) for value in (numbers.public_numbers.x, numbers.public_numbers.y))
    algorithm = ECDSA(SHA256())

    def sign(octets: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(octets, algorithm))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    jwk = {"crv": "P-256", "kty": "EC", "x": x, "y": y}
    return _signing_key(ES256, jwk, numbers.private_value.to_bytes(32, "big"), sign)


def _signing_key(algorithm: str, jwk: dict[str, str], private: bytes, sign: Callable[[bytes], bytes]) -> SigningKey:
    # RFC 7638 section 3: the members that make the key, in the order of their names, without white space.
    thumbprint = encode_segment(hashlib.sha256(_ENCODE(dict(sorted(jwk.items()))).encode("ascii")).digest())
    public = {**jwk, "kid": thumbprint, "alg": ON_THE_WIRE[algorithm], "use": "sig"}
    return SigningKey(thumbprint, algorithm, public, private, sign)
