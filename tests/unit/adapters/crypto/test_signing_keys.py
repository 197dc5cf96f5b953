"""Our own keys: made from a seed, published without a private part, and understood by another library."""

import json

import pytest
from joserfc import jwt
from joserfc.jwk import JWKRegistry, OctKey

from doorward.adapters.crypto.algorithms import PRIVATE_MEMBERS
from doorward.adapters.crypto.master import KeyFileError
from doorward.adapters.crypto.signing_keys import (
    ED25519,
    ES256,
    SEED_SIZE,
    SigningKey,
    encode_header,
    load_key,
    make_key,
    secret_signing_key,
    sign_token,
)
from doorward.core.tokens import decode_segment, encode_segment
from doorward.testing.entropy import FakeEntropy

BOTH = pytest.mark.parametrize("algorithm", [ED25519, ES256])


def made(algorithm: str, seed: str = "a") -> SigningKey:
    return make_key(algorithm=algorithm, seed=FakeEntropy(seed).bytes(SEED_SIZE[algorithm]))


@BOTH
def test_a_seed_makes_one_key(algorithm: str) -> None:
    key = made(algorithm)
    assert made(algorithm).public == key.public
    assert made(algorithm, "b").key_id != key.key_id
    assert load_key(algorithm=algorithm, private=key.private).public == key.public
    for size in (0, 31, 33, 47, 49):
        with pytest.raises(ValueError, match="a seed for"):
            make_key(algorithm=algorithm, seed=bytes(size))


@BOTH
def test_the_published_half_is_public(algorithm: str) -> None:
    key = made(algorithm)
    assert not PRIVATE_MEMBERS & key.public.keys()
    assert encode_segment(key.private) not in json.dumps(key.public)
    assert encode_segment(key.private) not in repr(key)
    assert key.public["use"] == "sig"


@BOTH
def test_its_id_is_its_thumbprint(algorithm: str) -> None:
    key = made(algorithm)
    assert JWKRegistry.import_key({**key.public}).thumbprint() == key.key_id == key.public["kid"]


@BOTH
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
def test_another_library_reads_its_tokens(algorithm: str) -> None:
    key = made(algorithm)
    text = sign_token(
        key, header=encode_header(key, typ="at+jwt"), claims={"sub": "ålice", "roles": ("a", "b"), "n": 0.5}
    )
    decoded = jwt.decode(text, JWKRegistry.import_key({**key.public}), algorithms=["EdDSA", "ES256"])
    assert decoded.header == {"alg": key.public["alg"], "kid": key.key_id, "typ": "at+jwt"}
    assert decoded.claims == {"sub": "ålice", "roles": ["a", "b"], "n": 0.5}
    assert len(decode_segment(text.rsplit(".", 1)[1]) or b"") == 64


def test_a_shared_secret_signs_too() -> None:
    secret = FakeEntropy().bytes(32)
    key = secret_signing_key(secret)
    text = sign_token(key, header=encode_header(key, typ="x+jwt"), claims={"sub": "alice"})
    assert jwt.decode(text, OctKey.import_key(secret), algorithms=["HS256"]).claims == {"sub": "alice"}
    assert key.public == {}


@pytest.mark.parametrize(("algorithm", "size"), [(ED25519, 31), (ES256, 33), ("Ed448", 32), ("RS256", 32), ("none", 0)])
def test_what_the_store_may_not_hold(algorithm: str, size: int) -> None:
    with pytest.raises(KeyFileError):
        load_key(algorithm=algorithm, private=b"\x01" * size)


def test_numbers_that_json_has_not_are_a_bug() -> None:
    key = made(ED25519)
    with pytest.raises(ValueError, match="Out of range"):
        sign_token(key, header=encode_header(key, typ="at+jwt"), claims={"exp": float("inf")})
