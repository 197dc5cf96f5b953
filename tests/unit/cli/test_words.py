"""What the commands say where somebody took a wrong turn: which, and the way back."""

import json

import pytest


@pytest.fixture
def made(doorward):
    """A folder with a configuration, a key and a store."""
    assert doorward("init", "--backend", "ws://127.0.0.1:9001").code == 0
    assert doorward("token", "issue", "alice").code == 0
    return doorward


@pytest.mark.parametrize("what", ["token", "ticket"])
@pytest.mark.parametrize("subject", ["", "a\nb", "x" * 256])
def test_nothing_is_issued_to_nobody(made, what, subject) -> None:
    said = made(what, "issue", subject)
    assert (said.code, said.out) == (2, "")
    assert "1 to 255 bytes" in said.err


def test_a_token_that_ran_out_is_told_since_when(made, tmp_path) -> None:
    token = made("token", "issue", "alice", "--for", "1ms").out.strip()
    said = made("token", "inspect", token)
    assert said.code == 1
    assert "token_expired" in said.err
    assert "exp was " in said.err
    assert json.loads(made("token", "inspect", token, "--json").out)["note"].startswith("exp was ")


def test_a_token_of_another_issuer_is_told_which(made) -> None:
    token = made("token", "issue", "alice").out.strip()
    said = made("token", "inspect", token, DOORWARD_SERVER__PUBLIC_URL="http://127.0.0.1:8899")
    assert said.code == 1
    assert "'http://127.0.0.1:8800' is not a configured issuer" in said.err


def test_explain_names_the_application_where_there_is_no_backend(doorward) -> None:
    assert doorward("init").code == 0
    token = doorward("token", "issue", "alice").out.strip()
    said = doorward("explain", "--url", "ws://127.0.0.1:8800/", "-H", f"Authorization: Bearer {token}")
    assert said.out.endswith(", if the application around which the middleware stands answers\n")


def test_explain_names_the_backend_that_it_did_not_ask(made) -> None:
    token = made("token", "issue", "alice").out.strip()
    said = made("explain", "--url", "ws://127.0.0.1:8800/", "-H", f"Authorization: Bearer {token}")
    assert said.code == 0
    assert said.out.splitlines()[-1].startswith("would be let in: alice of ")
    assert said.out.endswith(", if ws://127.0.0.1:9001 answers\n")
    assert made("explain", "--url", "ws://127.0.0.1:8800/", "--token", token).out == said.out
    assert made("explain", "--url", "ws://127.0.0.1:8800/", "--token", "-", stdin=f"{token}\n").out == said.out


@pytest.mark.parametrize(
    ("option", "given", "near"),
    [("--kind", "handshakes", "handshake"), ("--reason", "token_expire", "token_expired"), ("--kind", "zzz", "one of")],
)
def test_what_is_no_kind_or_reason_is_not_searched_for(made, option, given, near) -> None:
    said = made("audit", "query", option, given)
    assert said.code == 2
    assert near in said.err


@pytest.mark.parametrize("option", [("--kind", "close"), ("--reason", "peer_gone"), ("--reason", "identity_close")])
def test_what_is_one_is_searched_for(made, option) -> None:
    assert made("audit", "query", *option).code == 0


@pytest.mark.parametrize("words", [["revoke", "--subject", "bob"], ["ban", "add", "--subject", "bob"]])
def test_an_issuer_that_nobody_knows_is_warned_of(made, words) -> None:
    said = made(*words, "--issuer", "https://login.example.com")
    assert said.code == 0
    assert "'https://login.example.com' is no issuer of this configuration" in said.err
    assert "http://127.0.0.1:8800" in said.err


def test_the_same_ban_again_is_the_one_there_is(made) -> None:
    assert made("ban", "add", "--subject", "bob").out == "ban 1 added\n"
    assert made("ban", "add", "--subject", "bob").out == "ban 1 says so already\n"
    assert made("ban", "add", "--subject", "bob", "--for", "1h").out == "ban 1 says so already\n"
    assert made("ban", "add", "--subject", "bob", "--for", "forever").out == "ban 2 added\n"
    assert made("ban", "add", "--subject", "carol").out == "ban 3 added\n"


def test_the_key_of_assertions_is_listed(made) -> None:
    rows = json.loads(made("keys", "list", "--json").out)
    assert [row["signs"] for row in rows] == ["tokens", "assertions"]
    assert "assertions" in made("keys", "list").out


def test_a_store_that_is_no_database_is_said(made, tmp_path) -> None:
    for name in ("doorward.db-wal", "doorward.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / "doorward.db").write_bytes(b"something else entirely, " * 100)
    said = made("ban", "list")
    assert said.code == 1
    assert "doorward.db is no SQLite file" in said.err
