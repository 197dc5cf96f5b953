"""Commands that act on nobody say so: a store that is not there, and one that no gateway is running on."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from doorward.cli import app


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DOORWARD_CONFIG", raising=False)
    made = CliRunner().invoke(app, ["init", "--backend", "ws://127.0.0.1:9000"])
    assert made.exit_code == 0, made.output
    return tmp_path


@pytest.mark.parametrize(
    "command", [["revoke", "--subject", "bob"], ["connections", "list"], ["ban", "list"], ["audit", "query"]]
)
def test_a_store_that_is_not_there_is_not_made(folder: Path, command: list[str]) -> None:
    ran = CliRunner().invoke(app, command)
    assert ran.exit_code == 1
    assert "there is no store at" in ran.output
    assert "-c FILE" in ran.output
    assert not (folder / "doorward.db").exists()


@pytest.mark.parametrize("command", [["revoke", "--subject", "bob"], ["connections", "list"]])
def test_no_gateway_on_this_store_is_said(folder: Path, command: list[str]) -> None:
    assert CliRunner().invoke(app, ["token", "issue", "alice"]).exit_code == 0
    ran = CliRunner().invoke(app, command)
    assert ran.exit_code == 0
    assert "no gateway is running on this store" in ran.output


def test_another_key_file_than_the_store_s_is_named(folder: Path) -> None:
    assert CliRunner().invoke(app, ["token", "issue", "alice"]).exit_code == 0
    (folder / "doorward.key").unlink()
    (folder / "doorward.toml").rename(folder / "kept.toml")
    assert CliRunner().invoke(app, ["init", "--backend", "ws://127.0.0.1:9000"]).exit_code == 0
    ran = CliRunner().invoke(app, ["token", "issue", "alice"])
    assert ran.exit_code == 2
    assert "doorward.key" in ran.output
    assert "doorward.db" in ran.output


def test_what_can_not_be_recorded_was_still_done_and_is_said(folder: Path) -> None:
    assert CliRunner().invoke(app, ["token", "issue", "alice"]).exit_code == 0
    with closing(sqlite3.connect(folder / "doorward.db")) as connection:
        connection.execute("DROP TABLE audit")
    for command, said in ((["add", "--address", "203.0.113.9"], "ban 1 added"), (["remove", "1"], "ban 1 removed")):
        ran = CliRunner().invoke(app, ["ban", *command])
        assert ran.exit_code == 0, ran.output
        assert said in ran.output
        assert "the audit in the store has no record of this command" in ran.output
