"""`doorward init`: a file that starts and a private key; nothing is overwritten, and the key never."""

import stat

import pytest

from doorward.adapters.crypto.master import load_key_file
from doorward.config.config import Config, Form
from doorward.config.load import load
from tests.architecture.source import ROOT


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_writes_a_file_that_starts_and_a_key(doorward, tmp_path) -> None:
    said = doorward("init", "--backend", "ws://127.0.0.1:9000")
    assert (said.code, said.out) == (0, "")
    assert "wrote doorward.toml and doorward.key" in said.err
    assert said.err.endswith("Next: `doorward check`, then `doorward run`.\n")
    assert mode(tmp_path / "doorward.key") == 0o600
    assert not mode(tmp_path / "doorward.toml") & 0o007
    load_key_file(tmp_path / "doorward.key")
    found = load(tmp_path / "doorward.toml", environment={}, open_files=20_000)
    assert isinstance(found, Config)
    assert [route.path.text for route in found.settings.routes] == ["/{rest*}"]
    assert doorward("check").code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"doorward.toml", "doorward.key"}


def test_the_shipped_example_is_what_it_writes(doorward, tmp_path) -> None:
    doorward("init", "--backend", "ws://127.0.0.1:9000")
    example = (ROOT / "examples" / "minimal.toml").read_text(encoding="utf-8")
    assert (tmp_path / "doorward.toml").read_text(encoding="utf-8") == example


def test_without_a_backend_it_is_the_middlewares(doorward, tmp_path) -> None:
    said = doorward("init")
    assert (said.code, said.out) == (0, "")
    assert said.err.endswith('Next: `doorward check`, then `Doorward(app, config="doorward.toml")`.\n')
    found = load(tmp_path / "doorward.toml", environment={}, form=Form.MIDDLEWARE)
    assert isinstance(found, Config)
    assert [(route.path.text, route.backend) for route in found.settings.routes] == [("/{rest*}", None)]
    checked = doorward("check")
    assert checked.code == 0
    assert "backend" not in checked.out + checked.err


def test_two_keys_are_never_the_same(doorward, tmp_path) -> None:
    doorward("init", "--backend", "ws://a", "-c", "doorward.toml")
    (tmp_path / "inner").mkdir()
    doorward("init", "--backend", "ws://a", "-c", "inner/doorward.toml")
    assert (tmp_path / "doorward.key").read_text() != (tmp_path / "inner" / "doorward.key").read_text()


def test_it_does_not_overwrite(doorward, tmp_path) -> None:
    (tmp_path / "doorward.toml").write_text("mine")
    said = doorward("init", "--backend", "ws://127.0.0.1:9000")
    assert said.code == 2
    assert "--force" in said.err
    assert (tmp_path / "doorward.toml").read_text() == "mine"
    assert not (tmp_path / "doorward.key").exists()


def test_a_missing_key_alone_is_made_anew(doorward, tmp_path) -> None:
    doorward("init", "--backend", "ws://127.0.0.1:9000")
    text = (tmp_path / "doorward.toml").read_text()
    (tmp_path / "doorward.key").unlink()
    assert "doorward init" in doorward("check").err
    said = doorward("init", "--backend", "ws://other:1")
    assert said.code == 0
    assert "kept doorward.toml, wrote doorward.key" in said.err
    assert "store" not in said.err
    assert (tmp_path / "doorward.toml").read_text() == text
    assert mode(tmp_path / "doorward.key") == 0o600
    assert doorward("check").code == 0


@pytest.mark.parametrize(("named", "file"), [("", "doorward.db"), ('url = "sqlite:///other.db"', "other.db")])
def test_a_new_key_beside_an_old_store(doorward, tmp_path, named, file) -> None:
    (tmp_path / "doorward.toml").write_text(f"[store]\n{named}\n")
    (tmp_path / file).touch()
    said = doorward("init")
    assert said.code == 0
    assert f"The new key does not open the old store, {file}" in said.err


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [("[store]\nurl = 'sqlite:///{}'", 0, "wrote doorward.key"), ("[tokens]\nkey_file = '{}'", 1, "too long")],
)
def test_a_name_that_no_file_can_have_is_no_traceback(doorward, tmp_path, line, code, says) -> None:
    (tmp_path / "doorward.toml").write_text(line.format("a" * 300))
    said = doorward("init")
    assert said.code == code
    assert says in said.err


def test_an_old_store_is_told_of_where_only_it_is_left(doorward, tmp_path) -> None:
    (tmp_path / "doorward.db").touch()
    assert "does not open the old store, doorward.db" in doorward("init").err
    (tmp_path / "doorward.toml").unlink()
    assert "old store" not in doorward("init").err, "its key is there"


@pytest.mark.parametrize(
    ("backend", "hint"),
    [
        ("http://127.0.0.1:9000", "did you mean ws://127.0.0.1:9000?"),
        ("https://h/x", "did you mean wss://h/x?"),
        ("127.0.0.1:9000", "did you mean ws://127.0.0.1:9000?"),
        ("ws://127.0.0.1:99999", "has a port that is none"),
        ("ws://127.0.0.1:port", "has a port that is none"),
    ],
)
def test_what_is_almost_a_backend_is_quoted_and_mended(doorward, backend, hint) -> None:
    said = doorward("init", "--backend", backend)
    assert said.code == 2
    assert backend in said.err
    assert hint in said.err


def test_force_overwrites_the_file_and_keeps_the_key(doorward, tmp_path) -> None:
    doorward("init", "--backend", "ws://127.0.0.1:9000")
    key = (tmp_path / "doorward.key").read_bytes()
    said = doorward("init", "--backend", "wss://other:9", "--force")
    assert said.code == 0
    assert "kept doorward.key" in said.err
    assert (tmp_path / "doorward.key").read_bytes() == key
    assert 'backend = "wss://other:9"' in (tmp_path / "doorward.toml").read_text()


@pytest.mark.parametrize(
    "backend", ["http://127.0.0.1:9000", "127.0.0.1:9000", 'ws://a"b', "ws://h/{room}", "ws://u:pw@h"]
)
def test_a_backend_that_is_none_writes_nothing(doorward, tmp_path, backend) -> None:
    said = doorward("init", "--backend", backend)
    assert said.code == 2
    assert "--backend" in said.err
    assert "pw" not in said.err
    assert list(tmp_path.iterdir()) == []


def test_another_folder(doorward, tmp_path) -> None:
    (tmp_path / "inner").mkdir()
    said = doorward("init", "--backend", "ws://h", "-c", "inner/gw.toml")
    assert said.code == 0
    assert "`doorward check -c inner/gw.toml`" in said.err
    assert {path.name for path in (tmp_path / "inner").iterdir()} == {"gw.toml", "doorward.key"}


def test_a_folder_that_is_not_there_fails(doorward) -> None:
    said = doorward("init", "--backend", "ws://h", "-c", "nowhere/gw.toml")
    assert said.code == 1
    assert "can't be written" in said.err
