"""A ticket, by each thing that it must be."""

from dataclasses import replace

import pytest

from doorward.core.judging.tickets import judge_ticket
from doorward.values.credential import Kind
from doorward.values.decision import Deny, Reason, Step
from doorward.values.principal import Identity, Principal
from doorward.values.ticket import SpentTicket, Ticket

NOW = 1_790_000_000.0
PARENT = Principal(Identity("i", "alice"), Kind.TOKEN, NOW - 5, NOW + 600)
TICKET = Ticket(b"d" * 32, PARENT, "c-1", issued_at=NOW - 1, expires_at=NOW + 29)
PAGE = "https://app.example.com"


def judged(
    ticket: Ticket | SpentTicket, *, path: str = "/chat/a", origin: str | None = PAGE, now: float = NOW
) -> object:
    return judge_ticket(ticket, path=path, origin=origin, now=now)


def reason(outcome: object) -> Reason:
    assert isinstance(outcome, Deny)
    assert outcome.step is Step.PROVE
    return outcome.reason


def test_it_lends_its_parents_authority_and_its_own_connection() -> None:
    assert judged(TICKET) == (PARENT, "c-1")
    assert judged(TICKET, path="/anything", origin=None) == (PARENT, "c-1")


def test_spent() -> None:
    assert reason(judged(SpentTicket("c-0", NOW - 2))) is Reason.TICKET_SPENT


@pytest.mark.parametrize("late", [0.0, 0.001, 3600.0])
def test_its_own_end_is_exact(late: float) -> None:
    assert judged(TICKET, now=NOW + 28.999) == (PARENT, "c-1")
    assert reason(judged(TICKET, now=NOW + 29 + late)) is Reason.TICKET_EXPIRED


def test_it_dies_with_its_parent() -> None:
    short = replace(TICKET, principal=replace(PARENT, expires_at=NOW + 10))
    assert isinstance(judged(short, now=NOW + 9.999), tuple)
    assert reason(judged(short, now=NOW + 10)) is Reason.TICKET_EXPIRED
    endless = replace(TICKET, principal=replace(PARENT, expires_at=None))
    assert isinstance(judged(endless, now=NOW + 28), tuple)


def test_bound_to_a_path() -> None:
    bound = replace(TICKET, path="/chat/a")
    assert isinstance(judged(bound), tuple)
    for path in ("/chat/b", "/chat/a/", "/chat", "/CHAT/a", ""):
        assert reason(judged(bound, path=path)) is Reason.TICKET_ELSEWHERE


def test_bound_to_an_origin() -> None:
    bound = replace(TICKET, origin=PAGE)
    assert isinstance(judged(bound), tuple)
    assert isinstance(judged(bound, origin=None), tuple), "step 6 has judged the missing Origin"
    for origin in ("https://app.example.com:444", "http://app.example.com", "null", ""):
        assert reason(judged(bound, origin=origin)) is Reason.TICKET_ELSEWHERE
