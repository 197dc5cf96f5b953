"""Tokens made by `cryptography` and `hmac` alone, and step 8 as the door runs it, over a real verifier.

Nothing of the code under test makes a token here, so that no fault of ours can hide on both sides.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from doorward.adapters.crypto.key_sets import FixedKeys, KeySource, read_key_set
from doorward.adapters.crypto.shared_secrets import SharedSecret
from doorward.adapters.crypto.verifier import Verifier
from doorward.core.proving import prove
from doorward.ports import VerifierError
from doorward.values.audit import Trail
from doorward.values.credential import Credential, Kind, Place
from doorward.values.decision import Answer, Deny, Found, Unavailable
from doorward.values.principal import Principal
from doorward.values.question import AskRevocations, VerifySignature
from doorward.values.revocation import Revocation
from doorward.values.rules import IssuerRules, Rules
from doorward.values.secret import Secret

NOW = 1_790_000_000.0
ISSUER = "https://issuer.example"
OTHER = "https://other.example"
SECRET = b"8iGqPm2Xv1KcWb7TzR4LdYfHsJ0aNwEu"
LEEWAY = 30.0

Sign = Callable[[bytes], bytes]


def segment(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def encoded(part: Any) -> str:
    """A segment of JSON; bytes and str are taken as they are, for what `json` would not write."""
    if isinstance(part, str):
        part = part.encode()
    return segment(part if isinstance(part, bytes) else json.dumps(part, separators=(",", ":")).encode())


def compact(header: Any, claims: Any, sign: Sign) -> str:
    signing_input = f"{encoded(header)}.{encoded(claims)}"
    return f"{signing_input}.{segment(sign(signing_input.encode()))}"


def hs256(secret: bytes = SECRET) -> Sign:
    return lambda octets: hmac.new(secret, octets, hashlib.sha256).digest()


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@cache
def ec_key(name: str = "a") -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@cache
def ed_key(name: str = "a") -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


def rs256(octets: bytes) -> bytes:
    return rsa_key().sign(octets, padding.PKCS1v15(), SHA256())


def ps256(octets: bytes) -> bytes:
    return rsa_key().sign(octets, padding.PSS(mgf=padding.MGF1(SHA256()), salt_length=32), SHA256())


def es256(octets: bytes, name: str = "a") -> bytes:
    r, s = decode_dss_signature(ec_key(name).sign(octets, ec.ECDSA(SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def ed25519_sign(octets: bytes, name: str = "a") -> bytes:
    return ed_key(name).sign(octets)


def uint(value: int) -> str:
    return segment(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def rsa_jwk(**more: Any) -> dict[str, Any]:
    numbers = rsa_key().public_key().public_numbers()
    return {"kty": "RSA", "kid": "rsa-1", "alg": "RS256", "n": uint(numbers.n), "e": uint(numbers.e), **more}


def ec_jwk(name: str = "a", **more: Any) -> dict[str, Any]:
    numbers = ec_key(name).public_key().public_numbers()
    x, y = (segment(value.to_bytes(32, "big")) for value in (numbers.x, numbers.y))
    return {"kty": "EC", "kid": "ec-1", "alg": "ES256", "crv": "P-256", "x": x, "y": y, **more}


def ed_jwk(name: str = "a", **more: Any) -> dict[str, Any]:
    public = ed_key(name).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return {"kty": "OKP", "kid": "ed-1", "alg": "EdDSA", "crv": "Ed25519", "x": segment(public), **more}


def key_set(*jwks: Any, algorithms: set[str], report: Callable[[str], None] = lambda text: None) -> FixedKeys:
    document = json.dumps({"keys": list(jwks)}).encode()
    return FixedKeys(read_key_set(document, algorithms=frozenset(algorithms), report=report))


HEADERS: Mapping[str, dict[str, Any]] = {
    "HS256": {"alg": "HS256", "typ": "JWT"},
    "RS256": {"alg": "RS256", "typ": "JWT", "kid": "rsa-1"},
    "ES256": {"alg": "ES256", "typ": "JWT", "kid": "ec-1"},
    "Ed25519": {"alg": "EdDSA", "typ": "JWT", "kid": "ed-1"},
}
SIGNERS: Mapping[str, Sign] = {"HS256": hs256(), "RS256": rs256, "ES256": es256, "Ed25519": ed25519_sign}


def claims(**more: Any) -> dict[str, Any]:
    """A good token's claims. A value of None leaves the claim out."""
    good = {"iss": ISSUER, "aud": "us", "sub": "alice", "exp": int(NOW) + 300, "iat": int(NOW), **more}
    return {name: value for name, value in good.items() if value is not None}


def token(algorithm: str = "HS256", *, header: Mapping[str, Any] | None = None, **more: Any) -> str:
    return compact({**HEADERS[algorithm], **(header or {})}, claims(**more), SIGNERS[algorithm])


def sources(algorithm: str) -> KeySource:
    if algorithm == "HS256":
        return SharedSecret(SECRET, algorithms=frozenset({"HS256"}))
    jwk = {"RS256": rsa_jwk, "ES256": ec_jwk, "Ed25519": ed_jwk}[algorithm]()
    return key_set(jwk, algorithms={algorithm})


@dataclass
class Door:
    """Step 8 with one or more issuers. `asked` counts the signatures that were looked at."""

    issuers: dict[str, IssuerRules]
    verifier: Verifier
    revocations: tuple[Revocation, ...] = ()
    problems: list[str] = field(default_factory=list)
    asked: int = 0

    @property
    def rules(self) -> Rules:
        return Rules(hosts=frozenset({"us"}), routes=(), issuers=self.issuers)

    async def present(self, text: str, *, now: float = NOW) -> Principal | Deny:
        steps = prove(
            Credential(Kind.TOKEN, Place.HEADER, Secret(text)),
            self.rules,
            connection="c1",
            path="/",
            origin=None,
            trail=Trail(),
            now=now,
        )
        reply: tuple[Answer[object], float] | None = None
        while True:
            try:
                question = next(steps) if reply is None else steps.send(reply)
            except StopIteration as end:
                outcome = end.value
                return outcome if isinstance(outcome, Deny) else outcome[0]
            answer: Answer[object]
            match question:
                case VerifySignature(signed):
                    self.asked += 1
                    try:
                        answer = Found(await self.verifier.verify(signed))
                    except VerifierError as fault:
                        answer = Unavailable(str(fault))
                case AskRevocations():
                    answer = Found(self.revocations)
                case _:
                    raise AssertionError(f"step 8 asked {question}")
            reply = answer, now


def issuer_rules(algorithm: str = "HS256", *, issuer: str = ISSUER, own: bool = False, **more: Any) -> IssuerRules:
    return IssuerRules(issuer, ("us",), frozenset({algorithm}), leeway=LEEWAY, own=own, **more)


def door(algorithm: str = "HS256", *, source: KeySource | None = None, own: bool = False, **more: Any) -> Door:
    """A door with one issuer, and its good key unless another source is given."""
    problems: list[str] = []
    rules = issuer_rules(algorithm, own=own, **more)
    verifier = Verifier({ISSUER: source or sources(algorithm)}, report=problems.append)
    return Door({ISSUER: rules}, verifier, problems=problems)
