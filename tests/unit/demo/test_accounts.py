"""The demo's accounts: random, kept, and told apart from wrong ones without a hint."""

import re

import pytest

from doorward.demo.accounts import (
    Account,
    AccountsError,
    new_accounts,
    new_password,
    proven,
    read_accounts,
    write_accounts,
)

ALICE = Account("alice", "right", ("member", "staff"))
BOB = Account("bob", "other", ("member",))


def test_no_two_demos_share_a_password() -> None:
    made = {account.password for _ in range(20) for account in new_accounts()}
    assert len(made) == 40


def test_a_password_can_be_typed() -> None:
    assert re.fullmatch(r"([a-z]{4}-){3}[a-z]{4}", new_password())


def test_what_is_written_is_read_again() -> None:
    accounts = new_accounts()
    assert read_accounts(write_accounts(accounts)) == accounts


def test_a_password_is_not_shown() -> None:
    assert "right" not in repr(ALICE)


@pytest.mark.parametrize("text", ["", "[]", "{}", "1", '{"alice":1}', '{"alice":{"password":"","roles":[]}}', "{"])
def test_another_file_is_refused(text) -> None:
    with pytest.raises(AccountsError):
        read_accounts(text)


@pytest.mark.parametrize(
    ("name", "password", "found"),
    [
        ("alice", "right", ALICE),
        ("bob", "other", BOB),
        ("alice", "other", None),
        ("alice", "", None),
        ("ALICE", "right", None),
        ("mallory", "right", None),
        ("\ud800", "\ud800", None),
        ("ålice", "right", None),
    ],
)
def test_only_the_right_pair_is_proven(name, password, found) -> None:
    assert proven((ALICE, BOB), name=name, password=password) == found
