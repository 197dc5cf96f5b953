"""RevocationLog: in commit order, read as soon as written, forgotten only when over."""

import asyncio
from dataclasses import replace

import pytest

from doorward.ports import Store
from doorward.values.revocation import Effect, Target, TargetKind
from tests.stores.clock import NOW
from tests.stores.grounds import Ground
from tests.stores.made import acknowledgement, revocation


@pytest.mark.parametrize("kind", TargetKind)
@pytest.mark.parametrize("effect", Effect)
async def test_what_was_appended_is_what_is_read(store: Store, kind: TargetKind, effect: Effect) -> None:
    written = revocation(
        target=Target(kind, "a value", issuer=None, tenant=""),
        effect=effect,
        roles=("member", "guest") if effect is Effect.ROLES else (),
    )
    sequence = await store.revocations.append(written)
    assert sequence > 0
    assert await store.revocations.read(after=0) == [replace(written, sequence=sequence)]


async def test_all_above_in_order(store: Store) -> None:
    sequences = [await store.revocations.append(revocation(f"user{n}")) for n in range(5)]
    assert sequences == sorted(set(sequences))
    for n, sequence in enumerate(sequences):
        rest = await store.revocations.read(after=sequence)
        assert [one.sequence for one in rest] == sequences[n + 1 :]
        assert [one.target.value for one in rest] == [f"user{m}" for m in range(n + 1, 5)]
    assert list(await store.revocations.read(after=sequences[-1])) == []
    assert list(await store.revocations.read(after=10**9)) == []


async def test_a_glance_tells_that_there_may_be_more(ground: Ground) -> None:
    a, b = [await ground.store(process) for process in ("a:0", "a:1")]
    for name in ("first", "second"):
        await b.revocations.read(after=0)
        await b.revocations.read(after=0)  # the first to read at all finds no note of what was read before
        assert not b.revocations.touched()
        await a.revocations.append(revocation(name))
        async with asyncio.timeout(20):  # where word of it comes over a network, it takes a moment
            while not b.revocations.touched():  # noqa: ASYNC110 - a glance has no event
                await asyncio.sleep(0.001)


async def test_many_at_once_come_whole_and_in_order(store: Store) -> None:
    sequences = await asyncio.gather(*(store.revocations.append(revocation(f"user{n}")) for n in range(1000)))
    assert len(set(sequences)) == 1000
    assert [one.sequence for one in await store.revocations.read(after=0)] == sorted(sequences)


async def test_a_write_is_read_at_once_through_another_store(ground: Ground) -> None:
    a, b = [await ground.store(process) for process in ("a:0", "a:1")]
    for n in range(20):
        writer, reader = (a, b) if n % 2 else (b, a)
        sequence = await writer.revocations.append(revocation(f"user{n}"))
        assert [one.sequence for one in await reader.revocations.read(after=sequence - 1)] == [sequence]


async def test_a_reader_never_finds_a_new_one_below_what_it_has_seen(ground: Ground) -> None:
    a, b = [await ground.store(process) for process in ("a:0", "a:1")]
    writing = [asyncio.create_task(store.revocations.append(revocation())) for _ in range(50) for store in (a, b)]
    cursor = 0
    seen: list[int] = []
    # Only those still on their way are waited for: a loop that never rests keeps the writers' threads from working.
    unfinished = set(writing)
    while unfinished:
        _, unfinished = await asyncio.wait(unfinished, timeout=0.001, return_when=asyncio.FIRST_COMPLETED)
        for one in await a.revocations.read(after=cursor):
            assert one.sequence > cursor
            cursor = one.sequence
            seen.append(cursor)
    assert seen == sorted(await asyncio.gather(*writing))


async def test_what_is_over_is_forgotten_and_its_number_never_used_again(store: Store) -> None:
    kept = await store.revocations.append(revocation("kept", expires_at=NOW + 100))
    records = [revocation(f"over{n}", expires_at=NOW + 10) for n in range(3)]
    over = [await store.revocations.append(record) for record in records]
    await store.revocations.acknowledge(acknowledgement(records[0].id))
    assert await store.revocations.forget(now=NOW + 5) == 0
    assert await store.revocations.forget(now=NOW + 11) == 3
    assert [one.sequence for one in await store.revocations.read(after=0)] == [kept]
    assert list(await store.revocations.acknowledgements(records[0].id)) == []
    assert await store.revocations.append(revocation()) > over[-1]


async def test_a_flood_pushes_nothing_out(store: Store) -> None:
    """RV-26, in small: a denial stays until it is over, whatever comes after it."""
    first = await store.revocations.append(revocation("early"))
    await asyncio.gather(*(store.revocations.append(revocation(f"user{n}", expires_at=NOW)) for n in range(2500)))
    assert await store.revocations.forget(now=NOW + 1) == 2500
    assert [one.sequence for one in await store.revocations.read(after=0)] == [first]


async def test_acknowledgements_of_every_worker(ground: Ground) -> None:
    a, b = [await ground.store(process) for process in ("a:0", "a:1")]
    written = revocation()
    await a.revocations.append(written)
    rows = [acknowledgement(written.id, worker, closed=worker) for worker in range(3)]
    for row in reversed(rows):
        await b.revocations.acknowledge(row)
    other = acknowledgement(written.id, node="gw-0", identities=())
    await a.revocations.acknowledge(other)
    assert await a.revocations.acknowledgements(written.id) == [other, *rows]
    assert list(await a.revocations.acknowledgements(revocation().id)) == []


async def test_a_worker_acknowledges_once_the_last_counts(store: Store) -> None:
    written = revocation()
    await store.revocations.append(written)
    for closed in (1, 2):
        await store.revocations.acknowledge(acknowledgement(written.id, closed=closed))
    assert await store.revocations.acknowledgements(written.id) == [acknowledgement(written.id, closed=2)]


async def test_nothing_is_kept_about_what_is_not_in_the_log(store: Store) -> None:
    await store.revocations.append(revocation(id=""))
    for unknown in ("nothing", ""):
        await store.revocations.acknowledge(acknowledgement(unknown))
        assert list(await store.revocations.acknowledgements(unknown)) == []


async def test_one_id_is_taken_once(ground: Ground) -> None:
    """What could not be heard to have been written is written again; an API's call may be repeated."""
    a, b = [await ground.store(process) for process in ("a:0", "a:1")]
    first = revocation("first")
    sequence = await a.revocations.append(first)
    later = await b.revocations.append(revocation("later"))
    again = [await store.revocations.append(replace(first, cause="again", sequence=9)) for store in (a, b)]
    assert again == [sequence, sequence]
    log = await b.revocations.read(after=0)
    assert [one.sequence for one in log] == [sequence, later]
    assert log[0] == replace(first, sequence=sequence)


async def test_one_id_from_many_at_once_is_taken_once(ground: Ground) -> None:
    a, b = [await ground.store(process) for process in ("a:0", "a:1")]
    one = revocation()
    sequences = await asyncio.gather(*(store.revocations.append(one) for _ in range(20) for store in (a, b)))
    assert len(set(sequences)) == 1
    assert len(await a.revocations.read(after=0)) == 1


async def test_those_without_an_id_are_all_kept(store: Store) -> None:
    sequences = [await store.revocations.append(revocation(id="")) for _ in range(3)]
    assert len(set(sequences)) == 3
    assert [one.id for one in await store.revocations.read(after=0)] == ["", "", ""]


async def test_an_id_is_forgotten_with_its_revocation(store: Store) -> None:
    over = revocation(expires_at=NOW + 10)
    first = await store.revocations.append(over)
    assert await store.revocations.forget(now=NOW + 11) == 1
    assert await store.revocations.append(over) > first
