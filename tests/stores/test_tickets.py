"""TicketStore: a ticket is spent once, by one caller, for good."""

import asyncio
from collections import Counter

from doorward.ports import Store
from doorward.values.ticket import SpentTicket, Ticket
from tests.stores.clock import NOW
from tests.stores.grounds import Ground
from tests.stores.made import digest, principal, ticket


async def test_what_was_put_is_what_is_spent(store: Store) -> None:
    whole = ticket("whole")
    bare = ticket(
        "bare",
        principal(
            issued_at=None, expires_at=None, session="", token_id="", roles=(), permissions=frozenset(), claims={}
        ),
        path=None,
        origin=None,
    )
    for one in (whole, bare):
        await store.tickets.put(one, most=10)
        assert await store.tickets.look(one.digest) == one
        assert await store.tickets.spend(one.digest, now=NOW + 1) == one


async def test_spent_is_told_apart_from_unknown(store: Store) -> None:
    await store.tickets.put(ticket(1), most=10)
    await store.tickets.spend(digest(1), now=NOW + 1)
    spent = SpentTicket(connection="connection-of-1", spent_at=NOW + 1)
    assert await store.tickets.spend(digest(1), now=NOW + 2) == spent
    assert await store.tickets.look(digest(1)) == spent
    assert await store.tickets.spend(digest(2), now=NOW + 2) is None
    assert await store.tickets.look(digest(2)) is None


async def test_once_it_would_have_expired_a_spent_ticket_is_unknown(ground: Ground) -> None:
    store = await ground.store("a:0")
    await store.tickets.put(ticket(1, expires_at=NOW + 30), most=10)
    await store.tickets.spend(digest(1), now=NOW)
    assert await store.tickets.spend(digest(1), now=NOW + 29.9) is not None
    assert await store.tickets.spend(digest(1), now=NOW + 30) is None
    ground.clock.at = NOW + 30
    assert await store.tickets.look(digest(1)) is None


async def test_an_expired_ticket_is_handed_out_for_the_core_to_judge(store: Store) -> None:
    await store.tickets.put(ticket(1, expires_at=NOW + 30), most=10)
    assert await store.tickets.spend(digest(1), now=NOW + 31) == ticket(1)
    assert await store.tickets.spend(digest(1), now=NOW + 31) is None


async def test_looking_spends_nothing(store: Store) -> None:
    await store.tickets.put(ticket(1), most=10)
    for _ in range(3):
        assert await store.tickets.look(digest(1)) == ticket(1)
    assert await store.tickets.spend(digest(1), now=NOW) == ticket(1)


async def test_of_racing_calls_exactly_one_gets_it(ground: Ground) -> None:
    """TS-02: 2 and 200 at the same instant, through two stores."""
    stores = [await ground.store("a:0"), await ground.store("a:1")]
    for racers, code in [(2, n) for n in range(50)] + [(200, 100 + n) for n in range(3)]:
        await stores[0].tickets.put(ticket(code), most=1000)
        answers = await asyncio.gather(
            *(stores[n % 2].tickets.spend(digest(code), now=NOW) for n in range(racers)),
        )
        assert Counter(map(type, answers)) == {Ticket: 1, SpentTicket: racers - 1}


async def test_beyond_the_most_the_oldest_dies(store: Store) -> None:
    """TKT-07, TS-08: eleven live tickets of one session."""
    for n in range(11):
        await store.tickets.put(ticket(n, issued_at=NOW + n), most=10)
    assert await store.tickets.spend(digest(0), now=NOW + 12) is None
    for n in range(1, 11):
        assert await store.tickets.spend(digest(n), now=NOW + 12) is not None


async def test_the_most_counts_live_tickets_of_one_identity_and_session(store: Store) -> None:
    await store.tickets.put(ticket("mine"), most=2)
    await store.tickets.put(ticket("other session", principal(session="s2")), most=2)
    await store.tickets.put(ticket("other subject", principal("bob")), most=2)
    await store.tickets.put(ticket("spent"), most=2)
    await store.tickets.spend(digest("spent"), now=NOW)
    await store.tickets.put(ticket("second"), most=2)
    for code in ("mine", "other session", "other subject", "second"):
        assert isinstance(await store.tickets.look(digest(code)), Ticket), code


async def test_an_expired_ticket_takes_no_live_ones_place(store: Store) -> None:
    await store.tickets.put(ticket("live", expires_at=NOW + 100), most=2)
    await store.tickets.put(ticket("expired", expires_at=NOW + 5), most=2)
    await store.tickets.put(ticket("new", issued_at=NOW + 6, expires_at=NOW + 36), most=2)
    for code in ("live", "new"):
        assert isinstance(await store.tickets.look(digest(code)), Ticket), code


async def test_a_spent_ticket_can_not_be_put_back(store: Store) -> None:
    await store.tickets.put(ticket(1), most=10)
    await store.tickets.spend(digest(1), now=NOW)
    answers = await asyncio.gather(store.tickets.put(ticket(1), most=10), return_exceptions=True)
    assert [type(answer).__name__ for answer in answers] == ["StoreError"]
    assert isinstance(await store.tickets.spend(digest(1), now=NOW), SpentTicket)


async def test_a_clock_that_steps_back_brings_no_ticket_back(store: Store) -> None:
    """TS-05, the server's clock set back by an hour."""
    await store.tickets.put(ticket(1), most=10)
    await store.tickets.spend(digest(1), now=NOW)
    assert isinstance(await store.tickets.spend(digest(1), now=NOW - 3600), SpentTicket)
