"""Shared secrets that are taken; those that are refused stand in tests/security/test_jwt_algorithms.py too."""

import base64
from pathlib import Path

import pytest

from doorward.adapters.crypto.key_sets import KeysError
from doorward.adapters.crypto.shared_secrets import SharedSecret, read_secret_file, weakness
from doorward.testing.entropy import FakeEntropy
from doorward.values.token import Signature

RANDOM = FakeEntropy("secrets")


@pytest.mark.parametrize("size", [32, 33, 48, 64, 1000])
def test_random_secrets_are_taken_in_any_form(size: int) -> None:
    for _ in range(50):
        octets = RANDOM.bytes(size)
        for form in (octets, octets.hex().encode(), base64.b64encode(octets), base64.urlsafe_b64encode(octets)):
            assert weakness(form) == ""


@pytest.mark.parametrize(("algorithm", "least"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
def test_as_long_as_the_hash(algorithm: str, least: int) -> None:
    SharedSecret(RANDOM.bytes(least), algorithms=frozenset({algorithm}))
    with pytest.raises(KeysError, match=f"at least {least}"):
        SharedSecret(RANDOM.bytes(least - 1), algorithms=frozenset({algorithm}))


async def test_one_key_for_one_algorithm() -> None:
    source = SharedSecret(RANDOM.bytes(32), algorithms=frozenset({"HS256"}))
    assert await source.key(key_id="any", algorithm="HS384") is Signature.KEY_UNKNOWN


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        (b"\t " * 40, "blank"),
        (b"x" * 5000, "more than"),
        (b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB8iGqPm2Xv1KcWb7TzR4LdY", "key or certificate"),
        (b" \n-----BEGIN RSA PRIVATE KEY-----\nMIIB", "key or certificate"),
        (b"\x30\x20" + RANDOM.bytes(32), "key or certificate"),
        (b"\x30\x82\x01\x00" + RANDOM.bytes(256), "key or certificate"),
        (b"zyxwvutsrqponmlkjihgfedcba9876543210", "pattern"),
        (b"12345678901234567890123456789012", "pattern"),
        (b"your super secret JWT token with at least 32 characters long", "sample"),
    ],
)
def test_what_is_no_secret(secret: bytes, why: str) -> None:
    assert why in weakness(secret)


def test_the_file_is_read_without_its_line_end(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b" a secret \r\n")
    assert read_secret_file(path) == b" a secret "
    path.write_bytes(b"x" * 5000)
    with pytest.raises(KeysError, match="at most"):
        read_secret_file(path)
    with pytest.raises(KeysError, match="can't be read"):
        read_secret_file(tmp_path / "none")
