"""SlotStore: both limits hold at once, the oldest goes, and nothing of a dead process stays."""

import asyncio
from dataclasses import replace

from doorward.ports import Store
from doorward.values.decision import Reason
from doorward.values.question import Slot, SlotsFull
from doorward.values.rules import WhenFull
from tests.stores.clock import NOW
from tests.stores.grounds import Ground
from tests.stores.made import slot

IDENTITY_FULL = SlotsFull(Reason.SLOTS_IDENTITY)
ADDRESS_FULL = SlotsFull(Reason.SLOTS_ADDRESS)
OLDEST = WhenFull.REPLACE_OLDEST


async def test_no_more_than_the_identity_may_have(store: Store) -> None:
    assert await store.slots.take(slot("c1"), now=NOW) == Slot()
    assert await store.slots.take(slot("c2"), now=NOW) == Slot()
    assert await store.slots.take(slot("c3"), now=NOW) == IDENTITY_FULL
    assert await store.slots.take(slot("c4", "bob"), now=NOW) == Slot()


async def test_two_tenants_or_issuers_are_two_identities(store: Store) -> None:
    alice = slot("c1", per_identity=1, per_address=9)
    assert await store.slots.take(alice, now=NOW) == Slot()
    other_tenant = replace(alice, connection="c2", identity=alice.identity._replace(tenant="other"))
    assert await store.slots.take(other_tenant, now=NOW) == Slot()
    other_issuer = replace(alice, connection="c3", identity=alice.identity._replace(issuer="https://other.example"))
    assert await store.slots.take(other_issuer, now=NOW) == Slot()
    assert await store.slots.take(replace(alice, connection="c4"), now=NOW) == IDENTITY_FULL


async def test_no_more_than_the_address_may_have(store: Store) -> None:
    for n in range(3):
        assert await store.slots.take(slot(f"c{n}", f"user{n}"), now=NOW) == Slot()
    assert await store.slots.take(slot("c3", "user3"), now=NOW) == ADDRESS_FULL
    assert await store.slots.take(slot("c3", "user3", address="192.0.2.2"), now=NOW) == Slot()


async def test_a_refused_one_holds_nothing(store: Store) -> None:
    for connection in ("c1", "c2", "refused"):
        await store.slots.take(slot(connection), now=NOW)
    await store.slots.release("c1")
    assert await store.slots.take(slot("c3"), now=NOW) == Slot()
    assert await store.slots.take(slot("c4"), now=NOW) == IDENTITY_FULL


async def test_what_is_given_back_is_free_again_once(store: Store) -> None:
    for connection in ("c1", "c2"):
        await store.slots.take(slot(connection), now=NOW)
    for _ in range(3):
        await store.slots.release("c1")
    await store.slots.release("never heard of")
    assert await store.slots.take(slot("c3"), now=NOW) == Slot()
    assert await store.slots.take(slot("c4"), now=NOW) == IDENTITY_FULL


async def test_many_are_given_back_at_once(store: Store) -> None:
    for n in range(3):
        assert await store.slots.take(slot(f"c{n}", f"user{n}"), now=NOW) == Slot()
    await store.slots.release("c0", "c2", "never heard of", "c0")
    for n in (3, 4):
        assert await store.slots.take(slot(f"c{n}", f"user{n}"), now=NOW) == Slot()
    assert await store.slots.take(slot("c5", "user5"), now=NOW) == ADDRESS_FULL


async def test_the_identitys_oldest_is_named_and_its_place_given_away(store: Store) -> None:
    for connection in ("c1", "c2"):
        await store.slots.take(slot(connection), now=NOW)
    assert await store.slots.take(slot("c3", when_full=OLDEST), now=NOW) == Slot(replaced=("c1",))
    await store.slots.release("c1")
    assert await store.slots.take(slot("c4"), now=NOW) == IDENTITY_FULL
    assert await store.slots.take(slot("c5", when_full=OLDEST), now=NOW) == Slot(replaced=("c2",))


async def test_the_addresss_oldest_is_named(store: Store) -> None:
    for n in range(3):
        await store.slots.take(slot(f"c{n}", f"user{n}"), now=NOW)
    assert await store.slots.take(slot("c3", "user3", when_full=OLDEST), now=NOW) == Slot(replaced=("c0",))
    assert await store.slots.take(slot("c4", "user3"), now=NOW) == ADDRESS_FULL


async def test_one_victim_serves_both_limits(store: Store) -> None:
    for n, subject in enumerate(("bob", "alice", "alice")):
        await store.slots.take(slot(f"c{n}", subject), now=NOW)
    assert await store.slots.take(slot("c3", when_full=OLDEST), now=NOW) == Slot(replaced=("c1",))


async def test_the_identitys_victim_elsewhere_does_not_make_room_here(store: Store) -> None:
    await store.slots.take(slot("elsewhere", address="192.0.2.9", per_identity=1), now=NOW)
    for n in range(3):
        await store.slots.take(slot(f"c{n}", f"user{n}"), now=NOW)
    question = slot("new", per_identity=1, when_full=OLDEST)
    assert await store.slots.take(question, now=NOW) == Slot(replaced=("elsewhere", "c0"))


async def test_a_limit_that_was_lowered_replaces_all_above_it(store: Store) -> None:
    for n in range(4):
        await store.slots.take(slot(f"c{n}", per_identity=9, per_address=9), now=NOW)
    question = slot("new", per_identity=2, per_address=9, when_full=OLDEST)
    assert await store.slots.take(question, now=NOW) == Slot(replaced=("c0", "c1", "c2"))


async def test_where_none_may_be_nobody_is_replaced(store: Store) -> None:
    await store.slots.take(slot("c1"), now=NOW)
    assert await store.slots.take(slot("c2", per_identity=0, when_full=OLDEST), now=NOW) == IDENTITY_FULL
    assert await store.slots.take(slot("c2", per_address=0, when_full=OLDEST), now=NOW) == ADDRESS_FULL
    assert await store.slots.take(slot("c3", per_identity=1), now=NOW) == IDENTITY_FULL


async def test_racing_calls_never_pass_a_limit(ground: Ground) -> None:
    store = await ground.store("a:0")
    answers = await asyncio.gather(
        *(store.slots.take(slot(f"c{n}", per_identity=7, per_address=99), now=NOW) for n in range(100))
    )
    assert answers.count(Slot()) == 7
    assert answers.count(IDENTITY_FULL) == 93


async def test_a_beat_keeps_what_is_held(ground: Ground) -> None:
    store = await ground.store("a:0")
    await store.slots.take(slot("c1", per_identity=1), now=NOW)
    for after in range(2, 60, 2):
        await store.slots.beat(now=NOW + after)
    assert await store.slots.take(slot("c2", per_identity=1), now=NOW + 60) == IDENTITY_FULL


async def test_processes_share_the_limits(shared_ground: Ground) -> None:
    a, b = [await shared_ground.store(process) for process in ("a:0", "a:1")]
    await a.slots.take(slot("c1"), now=NOW)
    await b.slots.take(slot("c2"), now=NOW)
    assert await a.slots.take(slot("c3"), now=NOW) == IDENTITY_FULL
    assert await b.slots.take(slot("c3", when_full=OLDEST), now=NOW) == Slot(replaced=("c1",))
    await b.slots.release("c2")
    assert await a.slots.take(slot("c4"), now=NOW) == Slot()


async def test_a_dead_processs_slots_come_free_within_10_s(shared_ground: Ground) -> None:
    dead, living = [await shared_ground.store(process) for process in ("a:0", "a:1")]
    await dead.slots.take(slot("c1"), now=NOW)
    await dead.slots.beat(now=NOW)
    await living.slots.take(slot("c2"), now=NOW)
    for after in (2, 4, 6):
        await living.slots.beat(now=NOW + after)
    assert await living.slots.take(slot("c3"), now=NOW + 6) == IDENTITY_FULL
    for after in (8, 10):
        await living.slots.beat(now=NOW + after)
    assert await living.slots.take(slot("c3"), now=NOW + 10) == Slot()
    assert await living.slots.take(slot("c4"), now=NOW + 10) == IDENTITY_FULL


async def test_a_process_that_comes_back_holds_nothing(shared_ground: Ground) -> None:
    """Its clients come back at once, and must not be refused for the sake of their own dead connections."""
    first = await shared_ground.store("a:0")
    await first.slots.take(slot("c1", per_identity=1), now=NOW)
    again = await shared_ground.store("a:0")
    assert await again.slots.take(slot("c2", per_identity=1), now=NOW) == Slot()


async def test_who_was_late_itself_frees_nobody(shared_ground: Ground) -> None:
    """All were held up, by a lock or a suspended machine: the first to beat again must not free the others' slots."""
    a, b = [await shared_ground.store(process) for process in ("a:0", "a:1")]
    await a.slots.take(slot("c1", per_identity=1), now=NOW)
    for store in (a, b):
        await store.slots.beat(now=NOW)
    await b.slots.beat(now=NOW + 3600)
    await a.slots.beat(now=NOW + 3600)
    await b.slots.beat(now=NOW + 3602)
    assert await b.slots.take(slot("c2", per_identity=1), now=NOW + 3602) == IDENTITY_FULL
