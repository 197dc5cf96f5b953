"""The master secret: one file, one purpose per key, and nothing opens that was not sealed so."""

from pathlib import Path

import pytest

from doorward.adapters.crypto.master import KeyFileError, MasterSecret, Purpose, create_key_file, load_key_file
from doorward.core.tokens import encode_segment
from doorward.testing.entropy import FakeEntropy

SECRET = FakeEntropy("master").bytes(32)


def test_a_new_file_is_its_owners_and_loads(tmp_path: Path) -> None:
    path = tmp_path / "doorward.key"
    create_key_file(path, entropy=FakeEntropy("file"))
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text()
    assert len(text) == 44
    assert text.endswith("\n")
    assert load_key_file(path).derive(Purpose.BUS) == MasterSecret(FakeEntropy("file").bytes(32)).derive(Purpose.BUS)


def test_a_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "doorward.key"
    create_key_file(path, entropy=FakeEntropy())
    before = path.read_bytes()
    with pytest.raises(KeyFileError, match="not overwritten"):
        create_key_file(path, entropy=FakeEntropy("other"))
    assert path.read_bytes() == before
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeyFileError):
        create_key_file(link, entropy=FakeEntropy())
    with pytest.raises(KeyFileError, match="can't be written"):
        create_key_file(tmp_path / "no" / "doorward.key", entropy=FakeEntropy())


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o602, 0o620, 0o666, 0o601, 0o660])
def test_a_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "doorward.key"
    create_key_file(path, entropy=FakeEntropy())
    path.chmod(mode)
    with pytest.raises(KeyFileError, match="chmod 600"):
        load_key_file(path)


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o440, 0o640])
def test_modes_that_are_private(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "doorward.key"
    create_key_file(path, entropy=FakeEntropy())
    path.chmod(mode)
    load_key_file(path)


SHORT = FakeEntropy("x").bytes(31)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"secret",
        encode_segment(SHORT).encode(),
        encode_segment(bytes(32)).encode(),
        encode_segment(b"ab" * 16).encode(),
        SECRET,
        b"A" * 2000,
        encode_segment(SECRET).encode() + b"=",
        encode_segment(SECRET).encode() + b"\n" + encode_segment(SECRET).encode(),
        "é".encode(),
    ],
)
def test_what_is_no_master_secret(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "doorward.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(KeyFileError) as refusal:
        load_key_file(path)
    assert encode_segment(SECRET) not in str(refusal.value)


def test_a_missing_file_names_the_next_command(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="doorward init"):
        load_key_file(tmp_path / "none")


def test_every_purpose_has_its_own_key() -> None:
    master = MasterSecret(SECRET)
    keys = {master.derive(purpose, detail=detail) for purpose in Purpose for detail in ("", "Ed25519", "ES256")}
    assert len(keys) == 3 * len(Purpose)
    assert master.derive(Purpose.BUS) == MasterSecret(SECRET).derive(Purpose.BUS)
    assert master.derive(Purpose.BUS) != MasterSecret(FakeEntropy("2").bytes(32)).derive(Purpose.BUS)
    assert SECRET not in keys


def test_sealed_keys_open_only_as_themselves() -> None:
    master = MasterSecret(SECRET)
    wrapped = master.wrap(b"private" * 5, key_id="k", algorithm="Ed25519", entropy=FakeEntropy())
    assert b"private" not in wrapped
    assert master.unwrap(wrapped, key_id="k", algorithm="Ed25519") == b"private" * 5
    again = master.wrap(b"private" * 5, key_id="k", algorithm="Ed25519", entropy=FakeEntropy("2"))
    assert again != wrapped
    stranger = MasterSecret(FakeEntropy("stranger").bytes(32))
    for reader, sealed, key_id, algorithm in (
        (stranger, wrapped, "k", "Ed25519"),
        (master, wrapped, "other", "Ed25519"),
        (master, wrapped, "k", "ES256"),
        (master, wrapped[:-1], "k", "Ed25519"),
        (master, wrapped[:20] + bytes([wrapped[20] ^ 1]) + wrapped[21:], "k", "Ed25519"),
        (master, b"\x02" + wrapped[1:], "k", "Ed25519"),
        (master, wrapped[:5], "k", "Ed25519"),
        (master, b"", "k", "Ed25519"),
    ):
        with pytest.raises(KeyFileError, match="another"):
            reader.unwrap(sealed, key_id=key_id, algorithm=algorithm)


def test_it_never_shows_itself() -> None:
    master = MasterSecret(SECRET)
    assert repr(master) == str(master) == "<MasterSecret ***>"
    with pytest.raises(AttributeError):
        master.__dict__  # noqa: B018
