"""What the demo prints: the commands work as they stand."""

from doorward.demo.accounts import Account
from doorward.demo.folder import Folder
from doorward.demo.guide import guide
from doorward.demo.terms import Terms

ACCOUNTS = (Account("alice", "bamo-kiru-tepa-sudi", ("member", "staff")), Account("bob", "x", ("member",)))


def text(tmp_path, terms):
    with Folder.open(tmp_path) as folder:
        return guide(terms, folder, ACCOUNTS, program=".venv/bin/doorward")


def test_it_names_urls_accounts_and_commands(tmp_path) -> None:
    said = text(tmp_path, Terms(port=9800))
    assert "http://127.0.0.1:9800/" in said
    assert "bamo-kiru-tepa-sudi" in said
    assert f".venv/bin/doorward revoke --subject bob -c {tmp_path}/doorward.toml" in said
    assert f".venv/bin/doorward audit tail -c {tmp_path}/doorward.toml" in said
    assert f"curl -K {tmp_path}/handshake -H @{tmp_path}/forged" in said
    assert "certificate" not in said


def test_beyond_loopback_it_says_what_a_browser_will_ask(tmp_path) -> None:
    assert "certificate" in text(tmp_path, Terms(bind="192.0.2.7"))
