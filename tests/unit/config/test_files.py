"""Files that the configuration names: there, readable, private where they must be, and strong."""

import json
import os
from pathlib import Path

import pytest

from doorward.config import files
from doorward.config.config import SharedSecret
from doorward.config.problem import Fault
from doorward.values.secret import Secret
from tests.unit.config.making import ISSUER, KEY, SECRET, errors, good, private, warnings

KEY_NAME = ("tokens", "key_file")
PUBLIC = {
    "kty": "OKP",
    "crv": "Ed25519",
    "kid": "one",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", "does not hold a master key"),
        ("not base64!\n", "does not hold a master key"),
        ("c2hvcnQ\n", "does not hold a master key"),
        ("A" * 43 + "\n", "does not hold a master key"),
        (f"{KEY}\n{KEY}\n", "does not hold a master key"),
    ],
)
def test_a_master_key_is_32_random_bytes(tmp_path, content, text) -> None:
    private(tmp_path / "doorward.key", content)
    [(path, found)] = errors(tmp_path, "")
    assert path == "tokens.key_file"
    assert found.startswith(text)


def test_a_missing_key_names_the_next_command(tmp_path) -> None:
    fault = files.master_key(tmp_path / "doorward.key", KEY_NAME)
    assert fault is not None
    assert fault.text == "names a file that is not there"
    assert "doorward init" in fault.hint


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o660, 0o602, 0o777])
def test_a_key_file_that_is_open_to_others_is_refused(tmp_path, mode) -> None:
    private(tmp_path / "doorward.key", KEY).chmod(mode)
    assert errors(tmp_path, "") == [("tokens.key_file", "names a file that others can read or change")]


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o440, 0o640])
def test_the_group_may_read_it_as_containers_need(tmp_path, mode) -> None:
    private(tmp_path / "doorward.key", KEY).chmod(mode)
    assert errors(tmp_path, "") == []


def test_what_is_not_a_file_is_not_waited_for(tmp_path) -> None:
    os.mkfifo(tmp_path / "doorward.key", 0o600)
    assert errors(tmp_path, "") == [("tokens.key_file", "is not a file")]


def hs256(lines: str) -> str:
    return f'{ISSUER}algorithms = ["HS256"]\n{lines}\n'


@pytest.mark.parametrize(
    ("secret", "text"),
    [
        ("secret", "has 6 bytes"),
        ("changeme", "has 8 bytes"),
        ("your-256-bit-secret", "has 19 bytes"),
        ("x" * 31, "has 31 bytes"),
        ("a-string-secret-at-least-256-bits-long", "is a sample"),
        ("super-secret-jwt-token-with-at-least-32-characters-long", "is a sample"),
        ("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow", "is a sample"),
        ("a" * 64, "is a pattern"),
        ("changemechangemechangemechangeme", "is a"),
        ("-----BEGIN PUBLIC KEY----- MCowBQYDK2VwAyEA", "is a key or certificate"),
        ('{\\"kty\\":\\"oct\\",\\"k\\":\\"AyM1SysPpbyDfgZld3umj1qzKObwVMk\\"}', "is a key or certificate"),
    ],
)
def test_a_weak_secret_is_refused_in_the_file_and_in_a_file_of_its_own(tmp_path, secret, text) -> None:
    [(path, found)] = errors(tmp_path, hs256(f'secret = "{secret}"'))
    assert path == "issuers[0].secret"
    assert found.startswith(text)
    private(tmp_path / "hs.secret", secret.replace("\\", "") + "\n")
    [(path, again)] = errors(tmp_path, hs256('secret_file = "hs.secret"'))
    assert path == "issuers[0].secret_file"
    assert again.startswith(text)
    assert secret not in found + again


def test_a_good_secret_is_kept_as_a_secret(tmp_path) -> None:
    private(tmp_path / "hs.secret", SECRET + "\r\n")
    config = good(tmp_path, hs256('secret_file = "hs.secret"'))
    [source] = config.key_sources.values()
    assert repr(source) == "SharedSecret(secret=***)"
    assert isinstance(source, SharedSecret)
    assert source.secret.expose() == SECRET


def test_a_longer_hash_needs_a_longer_secret(tmp_path) -> None:
    text = hs256(f'secret = "{SECRET}"').replace("HS256", "HS512")
    assert errors(tmp_path, text) == [
        ("issuers[0].secret", "has 36 bytes and needs at least 64: try `openssl rand -base64 48`")
    ]


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"\xff\xfe" * 20, "names a file that is not text"), (b"\n", "names an empty file"), (b"", "names an empty file")],
)
def test_a_secret_file_holds_text(tmp_path, content, text) -> None:
    private(tmp_path / "s", "").write_bytes(content)
    found = files.secret_file(tmp_path / "s", ("x",))
    assert isinstance(found, Fault)
    assert found.text == text


def test_a_large_file_is_not_read_whole(tmp_path) -> None:
    private(tmp_path / "s", "x" * (files.LARGEST + 1))
    found = files.content(tmp_path / "s", ("x",))
    assert isinstance(found, Fault)
    assert found.text == "names a file of more than 1 MiB"


def test_a_secret_written_where_its_files_name_belongs_is_not_repeated(tmp_path) -> None:
    fault = files.readable(tmp_path / SECRET, ("issuers", 0, "secret_file"), private=True)
    assert fault is not None
    assert SECRET not in f"{fault.text}{fault.hint}"
    assert files.readable(Path("nul\0byte"), ("x",)) is not None


def es256(tmp_path, document) -> str:
    (tmp_path / "keys.json").write_text(document if isinstance(document, str) else json.dumps(document))
    return f'{ISSUER}algorithms = ["Ed25519"]\njwks_file = "keys.json"\n'


@pytest.mark.parametrize(
    "document",
    ["not json", [], {}, {"keys": []}, {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}, {"keys": [{**PUBLIC, "d": "x"}]}],
)
def test_a_key_set_without_a_usable_public_key_is_refused(tmp_path, document) -> None:
    [(path, text)] = errors(tmp_path, es256(tmp_path, document))
    assert path == "issuers[0].jwks_file"
    assert text.startswith("holds no keys to verify with")


def test_a_key_that_is_skipped_is_a_warning(tmp_path) -> None:
    document = {"keys": [PUBLIC, {**PUBLIC, "kid": "two", "d": "x"}]}
    found = dict(warnings(tmp_path, es256(tmp_path, document)))
    assert "key 1 of the set is skipped" in found["issuers[0].jwks_file"]
    assert errors(tmp_path, es256(tmp_path, document)) == []


def test_weakness_takes_a_secret_and_gives_a_fault() -> None:
    assert files.weakness(Secret(SECRET), ("x",)) is None
    assert files.weakness(Secret("short"), ("x",)) is not None
