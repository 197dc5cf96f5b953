"""What `doorward ban` refuses, and what it lists."""

import pytest

from doorward.values.ban import WIDEST


@pytest.fixture
def made(doorward):
    assert doorward("init", "--backend", "ws://127.0.0.1:9001").code == 0
    assert doorward("token", "issue", "alice").code == 0
    return doorward


@pytest.mark.parametrize(
    ("network", "how_many"),
    [
        ("0.0.0.0/0", "4,294,967,296"),
        ("10.0.0.0/15", "131,072"),
        ("::/0", "2^128"),
        ("2001:db8::/31", "2^97"),
    ],
)
def test_nobody_bans_half_the_world_by_a_slip(made, network, how_many) -> None:
    said = made("ban", "add", "--address", network)
    assert (said.code, said.out) == (2, "")
    assert f"{how_many} addresses" in said.err
    assert "--unsafe-wide" in said.err
    assert made("ban", "list", "--json").out == "[]\n"
    assert made("ban", "add", "--address", network, "--unsafe-wide").out == "ban 1 added\n"


def test_the_help_names_the_same_size(doorward) -> None:
    said = " ".join(doorward("ban", "add", "--help").out.split())
    assert f"larger than /{WIDEST[4]}, IPv6 /{WIDEST[6]}." in said


@pytest.mark.parametrize("network", ["10.0.0.0/16", "192.0.2.7", "2001:db8::/32"])
def test_a_network_is_banned(made, network) -> None:
    assert made("ban", "add", "--address", network).code == 0


@pytest.mark.parametrize("life", ["0s", "0ms", "99999d", "9" * 400 + "d"])
def test_a_ban_that_no_list_would_show_is_not_made(made, life) -> None:
    said = made("ban", "add", "--subject", "bob", "--for", life)
    assert (said.code, said.out) == (2, "")
    assert "--for" in said.err
    assert made("ban", "list", "--json").out == "[]\n"


def test_the_longest_ban_is_listed(made) -> None:
    assert made("ban", "add", "--subject", "bob", "--for", "3650d").code == 0
    assert made("ban", "list").code == 0


def test_the_list_says_of_which_tenant(made) -> None:
    made("ban", "add", "--subject", "bob", "--tenant", "acme")
    made("ban", "add", "--subject", "bob")
    made("ban", "add", "--address", "192.0.2.7")
    head, *rows = [line.split() for line in made("ban", "list").out.splitlines()]
    assert head[:5] == ["id", "whom", "issuer", "tenant", "cause"]
    assert [row[:5] for row in rows] == [
        ["1", "bob", "any", "acme", "operator"],
        ["2", "bob", "any", "any", "operator"],
        ["3", "192.0.2.7", "any", "any", "operator"],
    ]


@pytest.mark.parametrize("id", ["abc", "0", "1.5", "9" * 17, "\u0663"])
def test_what_is_no_id_is_said_in_our_words(made, id) -> None:
    said = made("ban", "remove", id)
    assert (said.code, said.out) == (2, "")
    assert said.err.splitlines() == [f"error: {id!r} is no id of a ban, which is a number", "    doorward ban list"]


def test_what_is_no_ban_is_said(made) -> None:
    said = made("ban", "remove", "7")
    assert said.code == 1
    assert "there is no ban 7" in said.err
