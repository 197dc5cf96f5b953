"""Values as rows and texts: whole on the way back, and anything else than a value is a StoreError."""

import pytest

from doorward.adapters.stores.rows import (
    ban_of,
    principal_of,
    principal_text,
    revocation_of,
    revocation_row,
    spent_ticket_of,
    texts,
    texts_of,
)
from doorward.ports import StoreError
from doorward.values.ticket import SpentTicket
from tests.stores.made import principal, revocation


def test_a_principal_comes_back_whole() -> None:
    for one in (
        principal(),
        principal(issued_at=None, expires_at=None, claims={}, permissions=frozenset(), roles=()),
        principal("\x00'\"\\ \u2028 \ud800"),
    ):
        assert principal_of(principal_text(one)) == one


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{}", '{"identity": 7}', principal_text(principal()).replace("token", "x")]
)
def test_no_principal(text: str) -> None:
    with pytest.raises(StoreError):
        principal_of(text)


def test_lists_of_text() -> None:
    for values in ((), ("a", "b,c", "")):
        assert texts_of(texts(values)) == values
    for text in ("", "{}", "7"):
        with pytest.raises(StoreError):
            texts_of(text)


def test_a_revocation_that_is_none() -> None:
    one = revocation(sequence=1)
    row = (1, *revocation_row(one))
    assert revocation_of(row) == one
    for place in (2, 7, 11):  # kind, effect, roles
        with pytest.raises(StoreError):
            revocation_of((*row[:place], "x", *row[place + 1 :]))


def test_a_ban_that_is_none() -> None:
    with pytest.raises(StoreError, match="ban 7"):
        ban_of((7, "no network", None, None, None, "", 0.0, None, ""))


def test_a_spent_ticket_is_unknown_once_it_would_have_expired() -> None:
    row = (principal_text(principal()), "c", 0.0, 30.0, None, None, 20.0)
    assert spent_ticket_of(row, now=29.0) == SpentTicket(connection="c", spent_at=20.0)
    assert spent_ticket_of(row, now=30.0) is None
    assert spent_ticket_of(None, now=0.0) is None
