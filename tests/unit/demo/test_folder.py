"""The demo's folder: private, kept over starts, never somebody else's, and one demo at a time."""

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from doorward.config.config import Config
from doorward.config.load import load
from doorward.config.production import audit
from doorward.demo.folder import Folder, FolderError
from doorward.demo.terms import Terms
from doorward.values.rules import RefuseAs


def prepared(path, terms=None):
    with Folder.open(path) as folder:
        return folder.prepare(terms or Terms())


def loaded(path):
    found = load(path / "doorward.toml", environment={}, open_files=20000)
    assert isinstance(found, Config), found
    return found


def test_its_configuration_starts_without_a_word(tmp_path) -> None:
    prepared(tmp_path / "demo")
    config = loaded(tmp_path / "demo")
    assert config.warnings == ()
    assert str(config.public_url) == "http://127.0.0.1:8800"
    assert [route.lease.grace for route in config.settings.routes] == [15.0, 15.0]
    assert config.settings.routes[1].refuse_as is RefuseAs.CLOSE


def test_other_ports_stand_in_it(tmp_path) -> None:
    prepared(tmp_path, Terms(port=9800, admin_port=9801, backend_port=9802, issuer_port=9803))
    config = loaded(tmp_path)
    assert (config.listen.port, config.admin_listen.port) == (9800, 9801)
    assert config.settings.origins.allow == ("http://127.0.0.1:9800",)
    assert {backend.port for backend in config.backends.values()} == {9802}
    assert config.settings.issuers[0].jwks_url == "http://127.0.0.1:9803/jwks.json"


def test_an_ipv6_loopback_is_written_in_brackets(tmp_path) -> None:
    prepared(tmp_path, Terms(bind="::1"))
    assert loaded(tmp_path).public_url == "http://[::1]:8800"


def test_beyond_loopback_there_is_tls_and_the_backend_stays_inside(tmp_path) -> None:
    terms = Terms(bind="192.0.2.7")
    prepared(tmp_path, terms)
    (tmp_path / "issuer-keys.json").write_text(
        json.dumps({"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "Ed25519", "use": "sig", "kid": "k",
                              "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]})
    )  # fmt: skip
    config = loaded(tmp_path)
    assert config.tls is not None
    assert config.public_url == terms.page_url == "https://192.0.2.7:8800"
    assert {backend.host for backend in config.backends.values()} == {"127.0.0.1"}
    assert config.admin_listen.host == "127.0.0.1"


def test_it_would_not_pass_for_production(tmp_path) -> None:
    prepared(tmp_path)
    assert audit(loaded(tmp_path), now=0.0, user=1000)


def test_nobody_else_may_read_it(tmp_path) -> None:
    prepared(tmp_path / "demo", Terms(bind="192.0.2.7"))
    assert stat.S_IMODE((tmp_path / "demo").stat().st_mode) == 0o700
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "demo").iterdir()}
    assert set(modes.values()) == {0o600}
    assert {"accounts.json", "doorward.key", "doorward.toml", "handshake", "tls.key"} <= modes.keys()


def test_accounts_and_the_key_are_kept(tmp_path) -> None:
    first = prepared(tmp_path)
    key = (tmp_path / "doorward.key").read_bytes()
    assert prepared(tmp_path, replace(Terms(), port=9800)) == first
    assert (tmp_path / "doorward.key").read_bytes() == key


def test_a_configuration_that_is_not_the_demos_is_not_touched(tmp_path) -> None:
    mine = tmp_path / "doorward.toml"
    mine.write_text('[server]\nlisten = "0.0.0.0:443"\n')
    with pytest.raises(FolderError, match="not the demo's"):
        prepared(tmp_path)
    assert mine.read_text().startswith("[server]")
    assert not (tmp_path / "accounts.json").exists()


def test_two_demos_do_not_share_a_folder(tmp_path) -> None:
    with Folder.open(tmp_path), pytest.raises(FolderError, match="in use"):
        Folder.open(tmp_path)
    Folder.open(tmp_path).__exit__(None, None, None)


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_what_is_no_folder_is_said_to_be_none(tmp_path, name) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FolderError):
        Folder.open(tmp_path / name)


def test_spoilt_accounts_are_not_replaced_silently(tmp_path) -> None:
    (tmp_path / "accounts.json").write_text("{}")
    with pytest.raises(FolderError, match=r"accounts\.json"):
        prepared(tmp_path)


def test_a_link_in_the_folder_leads_nowhere(tmp_path) -> None:
    target = tmp_path / "target"
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / ".accounts.json.new").symlink_to(target)
    with pytest.raises(FolderError):
        prepared(folder)
    assert not target.exists()


def test_the_curl_file_says_a_whole_handshake(tmp_path) -> None:
    prepared(tmp_path)
    text = Path(tmp_path / "handshake").read_text()
    for header in ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: "):
        assert f'header = "{header}' in text
