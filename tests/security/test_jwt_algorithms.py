"""SECURITY B5, algorithms and signatures: JT-12 to -20, -42, -46, -49, -50. A key verifies for one algorithm only."""

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from doorward.adapters.crypto.key_sets import KeysError
from doorward.adapters.crypto.shared_secrets import SharedSecret
from doorward.adapters.crypto.verifier import Verifier
from doorward.values.decision import Deny, Reason
from doorward.values.principal import Principal
from tests.security.forging import (
    HEADERS,
    ISSUER,
    OTHER,
    SECRET,
    SIGNERS,
    Door,
    claims,
    compact,
    door,
    ec_jwk,
    ec_key,
    ed25519_sign,
    ed_jwk,
    es256,
    hs256,
    issuer_rules,
    key_set,
    ps256,
    rs256,
    rsa_jwk,
    rsa_key,
    segment,
    token,
    uint,
)

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


async def reason(gate: Door, text: str) -> Reason:
    outcome = await gate.present(text)
    assert isinstance(outcome, Deny)
    assert not gate.problems, "a forged token is the peer's fault, not a library's"
    return outcome.reason


@pytest.mark.parametrize("algorithm", SIGNERS)
async def test_each_algorithm_verifies(algorithm: str) -> None:
    assert isinstance(await door(algorithm).present(token(algorithm)), Principal)


@pytest.mark.parametrize("algorithm", SIGNERS)
@pytest.mark.parametrize(
    "alg", ["none", "None", "NONE", "nOnE", "none ", " none", "", " ", None, ["none"], 0, {}, True]
)
async def test_jt_12_none(alg: object, algorithm: str) -> None:
    for sign in (lambda octets: b"", hs256()):
        gate = door(algorithm)
        assert await reason(gate, compact({**HEADERS[algorithm], "alg": alg}, claims(), sign)) in {
            Reason.TOKEN_HEADER,
            Reason.TOKEN_MALFORMED,
        }
        assert gate.asked == 0


async def test_jt_12_no_alg() -> None:
    assert await reason(door(), compact({"typ": "JWT"}, claims(), hs256())) is Reason.TOKEN_HEADER


def public_forms(key: Any, jwk: dict[str, Any]) -> list[bytes]:
    """Everything about a public key that somebody might take for a secret."""
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    raw = base64.urlsafe_b64decode(jwk.get("n", jwk.get("x", "")) + "==")
    certificate = b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"
    texts = [pem, pem.rstrip(b"\n"), pem.replace(b"\n", b"\r\n"), der, raw, certificate, json.dumps(jwk).encode()]
    return [*texts, b" " + pem, pem[pem.index(b"\n") + 1 :]]


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "Ed25519"])
async def test_jt_13_public_key_as_secret(algorithm: str) -> None:
    key = {"RS256": rsa_key().public_key(), "ES256": ec_key().public_key()}.get(algorithm)
    jwk = {"RS256": rsa_jwk, "ES256": ec_jwk, "Ed25519": ed_jwk}[algorithm]()
    forms = public_forms(key or rsa_key().public_key(), jwk)
    for secret in forms:
        gate = door(algorithm)
        forged = compact({**HEADERS[algorithm], "alg": "HS256"}, claims(), hs256(secret))
        assert await reason(gate, forged) is Reason.TOKEN_ALGORITHM
        assert gate.asked == 0


@pytest.mark.parametrize("form", range(9))
def test_jt_13_public_key_is_no_secret_at_load(form: int) -> None:
    secret = public_forms(rsa_key().public_key(), rsa_jwk())[form]
    if form in {4, 8}:  # raw numbers and a PEM's inner lines look random: they are refused by the algorithm list alone
        return
    with pytest.raises(KeysError):
        SharedSecret(secret, algorithms=frozenset({"HS256"}))


@pytest.mark.parametrize(
    "mixed", [{"HS256", "RS256"}, {"HS256", "EdDSA"}, {"RS256"}, set(), {"HS256", "HS512"}, {"none"}]
)
def test_jt_14_symmetric_and_asymmetric_never_mix(mixed: set[str]) -> None:
    with pytest.raises(KeysError):
        SharedSecret(SECRET, algorithms=frozenset(mixed))


async def test_jt_14_hs_token_with_a_jwks_kid() -> None:
    forged = compact({"alg": "HS256", "kid": "rsa-1"}, claims(), hs256())
    assert await reason(door("RS256"), forged) is Reason.TOKEN_ALGORITHM


async def test_jt_16_key_declared_for_another_algorithm() -> None:
    both = {"ES256", "ES384", "RS256", "PS256"}
    keys = key_set(ec_jwk(), rsa_jwk(), algorithms=both)
    rules = issuer_rules()
    gate = door("ES256", source=keys)
    gate.issuers[ISSUER] = type(rules)(ISSUER, ("us",), frozenset(both))
    for alg, kid, sign in (
        ("ES384", "ec-1", es256),
        ("ES256", "rsa-1", rs256),
        ("PS256", "rsa-1", ps256),
        ("RS256", "ec-1", es256),
    ):
        forged = compact({"alg": alg, "kid": kid}, claims(), sign)
        assert await reason(gate, forged) is Reason.TOKEN_KEY, alg
    for alg in ("ES256K", "es256", "RS384", "HS384"):
        assert await reason(gate, compact({"alg": alg, "kid": "ec-1"}, claims(), es256)) is Reason.TOKEN_ALGORITHM


@pytest.mark.parametrize("listed", ["EdDSA", "Ed25519"])
@pytest.mark.parametrize("declared", ["EdDSA", "Ed25519", None])
@pytest.mark.parametrize("said", ["EdDSA", "Ed25519"])
async def test_jt_16_two_names_of_one_algorithm(said: str, declared: str | None, listed: str) -> None:
    jwk = {name: value for name, value in ed_jwk(alg=declared).items() if value is not None}
    gate = door(listed, source=key_set(jwk, algorithms={listed}))
    assert isinstance(await gate.present(compact({"alg": said, "kid": "ed-1"}, claims(), ed25519_sign)), Principal)


@pytest.mark.parametrize("secret", [b"", b" ", b"\x00" * 32, b" " * 40, b"\n" * 64])
async def test_jt_17_empty_secrets(secret: bytes) -> None:
    with pytest.raises(KeysError):
        SharedSecret(secret, algorithms=frozenset({"HS256"}))
    assert await reason(door(), compact(HEADERS["HS256"], claims(), hs256(secret))) is Reason.TOKEN_SIGNATURE


@pytest.mark.parametrize(
    "secret",
    [
        b"secret",
        b"changeme",
        b"your-256-bit-secret",
        b"a-string-secret-at-least-256-bits-long",
        b"A_String_Secret_At_Least_256_Bits_Long!",
        b"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
        base64.urlsafe_b64decode(
            b"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow=="
        ),
        b"changeme" * 8,
        b"0123456789abcdef" * 4,
        b"passwordpasswordpasswordpassword",
        b"abcdefghijklmnopqrstuvwxyz0123456789",
        b"a" * 64,
        b'{"kty":"oct","k":"8iGqPm2Xv1KcWb7TzR4LdYfHsJ0aNwEu"}',
    ],
)
def test_jt_18_sample_secrets(secret: bytes) -> None:
    with pytest.raises(KeysError) as refusal:
        SharedSecret(secret, algorithms=frozenset({"HS256"}))
    if len(secret) > 8:
        assert secret.decode("latin-1") not in str(refusal.value)


def test_jt_20_a_key_of_another_kind() -> None:
    for jwk, algorithms in (
        (rsa_jwk(alg="HS256"), {"HS256"}),
        ({"kty": "oct", "kid": "o", "k": segment(SECRET), "alg": "HS256"}, {"HS256"}),
        ({"kty": "oct", "kid": "o", "k": segment(SECRET), "alg": "none"}, {"none"}),
        (ec_jwk(alg="RS256"), {"RS256"}),
        (ed_jwk(alg="ES256"), {"ES256"}),
    ):
        with pytest.raises(KeysError):
            key_set(jwk, algorithms=algorithms)


def der(raw: bytes) -> bytes:
    return encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))


@pytest.mark.parametrize(
    "shape",
    [
        lambda raw: raw[:63],
        lambda raw: raw + b"\x00",
        lambda raw: b"\x00" + raw,
        lambda raw: raw + raw[:32],
        lambda raw: b"\x00" + raw[:32] + b"\x00" + raw[32:],
        der,
        lambda raw: bytes(64),
        lambda raw: raw[:32] + bytes(32),
        lambda raw: bytes(32) + raw[32:],
        lambda raw: P256_ORDER.to_bytes(32, "big") + raw[32:],
        lambda raw: raw[:32] + P256_ORDER.to_bytes(32, "big"),
        lambda raw: b"\xff" * 64,
        lambda raw: raw[:32],
    ],
)
async def test_jt_42_es256_signature_shapes(shape: Any) -> None:
    forged = compact(HEADERS["ES256"], claims(), lambda octets: shape(es256(octets)))
    assert await reason(door("ES256"), forged) is Reason.TOKEN_SIGNATURE


@pytest.mark.parametrize(
    "shape",
    [
        lambda raw: raw[1:],
        lambda raw: raw[:-1],
        lambda raw: raw + b"\x00",
        lambda raw: b"\x00" + raw,
        lambda raw: raw[:1],
    ],
)
@pytest.mark.parametrize("algorithm", ["RS256", "Ed25519", "HS256"])
async def test_jt_42_lengths_are_exact(shape: Any, algorithm: str) -> None:
    forged = compact(HEADERS[algorithm], claims(), lambda octets: shape(SIGNERS[algorithm](octets)))
    assert await reason(door(algorithm), forged) is Reason.TOKEN_SIGNATURE


@pytest.mark.parametrize(
    "more", [{"use": "enc"}, {"key_ops": ["sign"]}, {"key_ops": []}, {"key_ops": "verify"}, {"alg": "RS384"}]
)
@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "Ed25519"])
async def test_jt_46_a_key_for_something_else(algorithm: str, more: dict[str, Any]) -> None:
    jwk = {"RS256": rsa_jwk, "ES256": ec_jwk, "Ed25519": ed_jwk}[algorithm](**more)
    other = {**ec_jwk("other"), "kid": "other"}
    gate = door(algorithm, source=key_set(jwk, other, algorithms={algorithm, "ES256"}))
    assert await reason(gate, token(algorithm)) is Reason.TOKEN_KEY


@pytest.mark.parametrize(
    "jwk",
    [
        rsa_jwk(n=uint((1 << 1023) | 1)),
        rsa_jwk(n=uint((1 << 2046) | 1)),
        rsa_jwk(n=uint((1 << 16384) | 1)),
        rsa_jwk(n=uint((1 << 2048) | 2)),
        rsa_jwk(e=uint(1)),
        rsa_jwk(e=uint(2)),
        rsa_jwk(e=uint(65536)),
        rsa_jwk(e=uint((1 << 2000) | 1)),
        rsa_jwk(e=""),
        rsa_jwk(n="***"),
        rsa_jwk(n=None),
        ec_jwk(x=segment(b"\x01" * 32)),
        ec_jwk(y=segment(bytes(32))),
        ec_jwk(x=segment(b"")),
        ec_jwk(crv="secp256k1"),
        ec_jwk(crv="P-384"),
        ec_jwk(crv=["P-256"]),
        ed_jwk(x=segment(b"\x01" * 31)),
        ed_jwk(x=segment(b"\x01" * 33)),
        ed_jwk(crv="Ed448"),
        ed_jwk(crv="X25519"),
        {"kty": "AKP", "kid": "pq", "alg": "ML-DSA-44", "pub": "AA"},
        {"kty": ["RSA"], "kid": "x"},
    ],
)
def test_jt_47_unfit_keys(jwk: dict[str, Any]) -> None:
    """Sizes, exponents, points off the curve, unknown curves (JWT-18): skipped in a set, and alone an error."""
    every = {"RS256", "ES256", "Ed25519"}
    reported: list[str] = []
    key_set(jwk, {**ec_jwk("good"), "kid": "good"}, algorithms=every, report=reported.append)
    assert len(reported) == 1
    with pytest.raises(KeysError):
        key_set(jwk, algorithms=every)


async def test_jt_49_another_issuers_key() -> None:
    """Both configured, both with a key of the same id: CVE-2026-49998."""
    mine, theirs = key_set(ec_jwk("a"), algorithms={"ES256"}), key_set(ec_jwk("b"), algorithms={"ES256"})
    rules = {ISSUER: issuer_rules("ES256"), OTHER: issuer_rules("ES256", issuer=OTHER)}
    gate = Door(rules, Verifier({ISSUER: mine, OTHER: theirs}, report=print))
    assert isinstance(await gate.present(token("ES256")), Principal)
    assert await reason(gate, token("ES256", iss=OTHER)) is Reason.TOKEN_SIGNATURE
    honest = compact(HEADERS["ES256"], claims(iss=OTHER), lambda octets: es256(octets, "b"))
    outcome = await gate.present(honest)
    assert isinstance(outcome, Principal)
    assert outcome.identity.issuer == OTHER


@pytest.mark.parametrize("algorithm", SIGNERS)
async def test_jt_50_another_tokens_signature(algorithm: str) -> None:
    gate = door(algorithm)
    other = token(algorithm, sub="mallory").rsplit(".", 1)[1]
    assert await reason(gate, f"{token(algorithm).rsplit('.', 1)[0]}.{other}") is Reason.TOKEN_SIGNATURE
    assert await reason(gate, token(algorithm).rsplit(".", 1)[0] + ".") is Reason.TOKEN_MALFORMED
    head, body, tail = token(algorithm).split(".")
    raised = segment(json.dumps(claims(roles=["admin"])).encode())
    assert await reason(gate, f"{head}.{raised}.{tail}") is Reason.TOKEN_SIGNATURE
    flipped = segment(bytes([base64.urlsafe_b64decode(tail + "==")[0] ^ 1]) + base64.urlsafe_b64decode(tail + "==")[1:])
    assert await reason(gate, f"{head}.{body}.{flipped}") is Reason.TOKEN_SIGNATURE
