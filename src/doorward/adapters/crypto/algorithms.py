"""Which algorithms verify here, what a key for each must be, and how long its signature is: a table, and nothing else.

The arithmetic is joserfc's, and of an HMAC the standard library's; sizes, curves and lengths are checked here first
(RFC 7518 section 3, RFC 8037, RFC 9864, SECURITY JWT-04, -15 and -18).
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from joserfc.jwk import JWKRegistry
from joserfc.jws import JWSRegistry

from doorward.core.tokens import decode_segment

MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 8192  # above, one verification costs more than the handshake


@dataclass(frozen=True, slots=True)
class Algorithm:
    """`curve` is the only one it may use; `signature` its exact length in bytes, None where the key decides (RSA);
    `secret` the least bytes of an HMAC key (RFC 7518 section 3.2)."""

    name: str
    kty: str
    curve: str | None = None
    signature: int | None = None
    secret: int | None = None


ALGORITHMS: Final = {
    algorithm.name: algorithm
    for algorithm in (
        Algorithm("Ed25519", "OKP", curve="Ed25519", signature=64),
        Algorithm("ES256", "EC", curve="P-256", signature=64),
        Algorithm("ES384", "EC", curve="P-384", signature=96),
        Algorithm("ES512", "EC", curve="P-521", signature=132),
        Algorithm("RS256", "RSA"),
        Algorithm("RS384", "RSA"),
        Algorithm("RS512", "RSA"),
        Algorithm("PS256", "RSA"),
        Algorithm("PS384", "RSA"),
        Algorithm("PS512", "RSA"),
        Algorithm("HS256", "oct", signature=32, secret=32),
        Algorithm("HS384", "oct", signature=48, secret=48),
        Algorithm("HS512", "oct", signature=64, secret=64),
    )
}
SYMMETRIC: Final = frozenset(name for name, algorithm in ALGORITHMS.items() if algorithm.secret)
ASYMMETRIC: Final = frozenset(ALGORITHMS) - SYMMETRIC

# The members that make a key of each type, and those that must stay with its owner (RFC 7518 section 6, RFC 8037).
PUBLIC_MEMBERS: Final = {"OKP": ("crv", "x"), "EC": ("crv", "x", "y"), "RSA": ("n", "e")}
PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


@dataclass(frozen=True, slots=True, repr=False)
class VerifyingKey:
    """One key for exactly one algorithm (RFC 8725 section 3.1)."""

    key_id: str | None
    algorithm: str
    signature: int
    check: Callable[[bytes, bytes], bool]

    def verifies(self, signing_input: bytes, signature: bytes) -> bool:
        """Whether the signature has the exact length and is good. May raise what the library raises."""
        return len(signature) == self.signature and self.check(signing_input, signature)

    def __repr__(self) -> str:
        return f"<VerifyingKey {self.key_id!r} for {self.algorithm}>"


def public_key(jwk: dict[str, str], algorithm: Algorithm, *, key_id: str | None) -> VerifyingKey:
    """Load the public members of a JWK. Raises ValueError, and whatever else the library finds, for an unfit key."""
    if algorithm.kty == "RSA":
        size = _rsa_bytes(jwk)
    elif algorithm.signature is None or jwk["crv"] != algorithm.curve:
        raise ValueError("the curve is not the algorithm's")
    else:
        size = algorithm.signature
    members: dict[str, str | list[str]] = {name: jwk[name] for name in ("kty", *PUBLIC_MEMBERS[algorithm.kty])}
    loaded = JWKRegistry.import_key(members)
    verify = JWSRegistry.algorithms[algorithm.name].verify
    return VerifyingKey(key_id, algorithm.name, size, lambda octets, signature: verify(octets, signature, loaded))


def secret_key(secret: bytes, algorithm: Algorithm) -> VerifyingKey:
    """An HMAC key (RFC 7518 section 3.2). Raises ValueError when it is shorter than the hash."""
    if algorithm.secret is None or algorithm.signature is None or len(secret) < algorithm.secret:
        raise ValueError(f"{algorithm.name} needs a secret of at least {algorithm.secret} bytes")
    keyed = hmac.new(secret, digestmod=f"sha{algorithm.name.removeprefix('HS')}")

    def check(octets: bytes, signature: bytes) -> bool:
        mac = keyed.copy()
        mac.update(octets)
        return hmac.compare_digest(mac.digest(), signature)

    return VerifyingKey(None, algorithm.name, algorithm.signature, check)


def _rsa_bytes(jwk: dict[str, str]) -> int:
    """The modulus' length in bytes, which is the signature's too (RFC 8017 section 8)."""
    modulus, exponent = (int.from_bytes(decode_segment(jwk[name]) or b"", "big") for name in ("n", "e"))
    if not MIN_RSA_BITS <= modulus.bit_length() <= MAX_RSA_BITS:
        raise ValueError(f"an RSA key has {MIN_RSA_BITS} to {MAX_RSA_BITS} bits, this one {modulus.bit_length()}")
    if modulus % 2 == 0 or exponent < 3 or exponent % 2 == 0 or exponent.bit_length() > 64:
        raise ValueError("the RSA exponent is even, 1, or huge, or the modulus even")
    return (modulus.bit_length() + 7) // 8
