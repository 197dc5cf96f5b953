"""A set of keys: what is skipped, what is reported, what spoils the whole, and how a key is found."""

import json
from typing import Any

import pytest

from doorward.adapters.crypto.algorithms import VerifyingKey
from doorward.adapters.crypto.key_sets import FixedKeys, KeysError, KeySet, read_key_set
from doorward.values.token import Signature
from tests.security.forging import SECRET, ec_jwk, ed_jwk, rsa_jwk, segment

EVERY = frozenset({"RS256", "ES256", "EdDSA"})


def read(*jwks: Any, algorithms: frozenset[str] = EVERY, report: list[str] | None = None) -> KeySet:
    reported: list[str] = [] if report is None else report
    return read_key_set(json.dumps({"keys": list(jwks)}).encode(), algorithms=algorithms, report=reported.append)


def found(keys: KeySet, key_id: str | None, algorithm: str) -> Signature | str | None:
    key = keys.find(key_id=key_id, algorithm=algorithm)
    return key.key_id if isinstance(key, VerifyingKey) else key


def test_one_bad_key_spoils_nothing() -> None:
    """OA-13 and OA-14."""
    report: list[str] = []
    bad: list[Any] = [
        {"kty": "RSA", "kid": "broken", "e": "AQAB"},
        {"kty": "XYZ", "kid": "unknown"},
        {"kty": "oct", "kid": "shared", "k": segment(SECRET), "alg": "HS256"},
        ec_jwk("private", kid="private", d=segment(b"\x01" * 32)),
        rsa_jwk(kid="private-rsa", p="AQ"),
        ed_jwk(kid=7),
        ed_jwk(kid=""),
        ed_jwk(kid="x" * 129),
        ed_jwk(kid="odd", alg=["EdDSA"]),
        "not a key",
        None,
    ]
    keys = read(*bad, ec_jwk(), report=report)
    assert len(keys) == 1
    assert len(report) == len(bad)
    assert found(keys, "ec-1", "ES256") == "ec-1"
    for name in ("broken", "unknown", "shared", "private"):
        assert found(keys, name, "ES256") is Signature.KEY_UNFIT
    assert not any(segment(SECRET) in line or segment(b"\x01" * 32) in line for line in report)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{}",
        b"[]",
        b'{"keys":{}}',
        b'{"keys":null}',
        b'{"keys":[]}',
        b'{"keys":[],"keys":[]}',
        b"<html>",
        b'{"keys":[' + b" " * 65_536 + b"]}",
        json.dumps({"keys": [ec_jwk(kid=str(n)) for n in range(33)]}).encode(),
        json.dumps({"keys": [ec_jwk(kid=str(n)) for n in range(1_000)]}).encode(),
        json.dumps({"keys": [rsa_jwk(alg="RS512")]}).encode(),
    ],
)
def test_what_spoils_the_whole(document: bytes) -> None:
    with pytest.raises(KeysError):
        read_key_set(document, algorithms=EVERY, report=lambda text: None)


def test_32_keys_with_many_members_fit() -> None:
    more: dict[str, Any] = {f"x-{n}": n for n in range(10)}
    assert len(read(*(ec_jwk(kid=f"k{n}", x5t="t", **more) for n in range(32)))) == 32


def test_two_keys_with_one_id() -> None:
    report: list[str] = []
    keys = read(ec_jwk("a"), {**ec_jwk("b"), "kid": "ec-1"}, ed_jwk(), report=report)
    assert len(report) == 1
    assert found(keys, "ec-1", "ES256") is Signature.KEY_UNFIT
    assert found(keys, "ed-1", "Ed25519") == "ed-1"
    mixed = read(ec_jwk(kid="k"), ed_jwk(kid="k"))
    assert found(mixed, "k", "ES256") == found(mixed, "k", "Ed25519") == "k"
    assert found(mixed, "k", "RS256") is Signature.KEY_UNFIT


def test_a_key_without_alg_gets_the_one_that_fits() -> None:
    def bare(jwk: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in jwk.items() if name != "alg"}

    assert found(read(bare(rsa_jwk())), "rsa-1", "RS256") == "rsa-1"
    assert found(read(bare(ec_jwk()), algorithms=frozenset({"ES256", "ES384"})), "ec-1", "ES256") == "ec-1"
    report: list[str] = []
    with pytest.raises(KeysError):
        read(bare(rsa_jwk()), algorithms=frozenset({"RS256", "PS256"}), report=report)
    assert "list one" in report[0]


def test_without_an_id() -> None:
    one = read(ec_jwk(), ed_jwk())
    assert found(one, None, "ES256") == "ec-1"
    assert found(one, None, "RS256") is Signature.KEY_UNKNOWN
    two = read(ec_jwk(), {**ec_jwk("b"), "kid": "ec-2"})
    assert found(two, None, "ES256") is Signature.KEY_UNKNOWN
    nameless = {name: value for name, value in ec_jwk().items() if name != "kid"}
    assert found(read(nameless), None, "ES256") is None
    assert found(read(nameless), "ec-1", "ES256") is Signature.KEY_UNKNOWN


async def test_fixed_keys_are_a_source() -> None:
    source = FixedKeys(read(ec_jwk()))
    assert isinstance(await source.key(key_id="ec-1", algorithm="ES256"), VerifyingKey)
    assert await source.key(key_id="EC-1", algorithm="ES256") is Signature.KEY_UNKNOWN


def test_nothing_shows_in_repr() -> None:
    assert repr(read(ec_jwk()).find(key_id="ec-1", algorithm="ES256")) == "<VerifyingKey 'ec-1' for ES256>"
