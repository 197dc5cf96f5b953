"""AuditStore: every line once, in order, found by what it is about."""

import asyncio

import pytest

from doorward.ports import Store
from doorward.values.audit import EventKind
from tests.stores.clock import NOW
from tests.stores.grounds import Ground
from tests.stores.made import event

LINES = [
    (event(kind=EventKind.HANDSHAKE, subject="alice", reason="ticket_spent", at=NOW), "line 1"),
    (event(kind=EventKind.CLOSE, subject="alice", reason="revoked", at=NOW + 1), "line 2"),
    (event(kind=EventKind.HANDSHAKE, subject="bob", at=NOW + 2), 'line 3 "ü"'),
    (event(kind=EventKind.CLOSE, subject="bob", reason="revoked", at=NOW + 3), "line 4"),
]


async def test_in_order_after_an_id_up_to_a_limit(ground: Ground) -> None:
    a, b = [await ground.store(process) for process in ("a:0", "a:1")]
    assert await a.audit.newest() == 0
    await a.audit.append(LINES[:2])
    await b.audit.append(LINES[2:])
    await a.audit.append([])
    rows = await a.audit.query(after=0, limit=100)
    assert [line for _, line in rows] == [line for _, line in LINES]
    ids = [id for id, _ in rows]
    assert ids == sorted(set(ids))
    assert await b.audit.newest() == ids[-1]
    assert await b.audit.query(after=ids[0], limit=2) == rows[1:3]
    assert list(await b.audit.query(after=ids[-1], limit=2)) == []
    assert list(await b.audit.query(after=0, limit=0)) == []


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"kind": "handshake"}, [1, 3]),
        ({"subject": "alice"}, [1, 2]),
        ({"reason": "revoked"}, [2, 4]),
        ({"since": NOW + 2}, [3, 4]),
        ({"kind": "close", "subject": "bob"}, [4]),
        ({"kind": "close", "subject": "bob", "reason": "revoked", "since": NOW + 4}, []),
        ({"subject": "' OR 1=1 --"}, []),
    ],
)
async def test_filters(store: Store, asked: dict[str, str], found: list[int]) -> None:
    await store.audit.append(LINES)
    rows = await store.audit.query(after=0, limit=100, **asked)  # type: ignore[arg-type]
    assert [line for _, line in rows] == [LINES[n - 1][1] for n in found]


async def test_the_newest_up_to_a_limit_in_order(ground: Ground) -> None:
    a, b = [await ground.store(process) for process in ("a:0", "a:1")]
    assert list(await a.audit.latest(limit=3)) == []
    await a.audit.append(LINES[:2])
    await b.audit.append(LINES[2:])
    rows = list(await a.audit.query(after=0, limit=100))
    assert list(await a.audit.latest(limit=3)) == rows[1:]
    assert list(await b.audit.latest(limit=100)) == rows
    assert list(await b.audit.latest(limit=0)) == []
    assert list(await b.audit.latest(limit=1, kind="handshake")) == rows[2:3]
    assert list(await b.audit.latest(limit=1, subject="alice")) == rows[1:2]
    assert list(await b.audit.latest(limit=2, reason="revoked", since=NOW + 3)) == rows[3:]


async def test_the_newest_of_very_many(store: Store) -> None:
    await store.audit.append([(event(), f"{n}") for n in range(2345)])
    lines = [line for _, line in await store.audit.latest(limit=2100)]
    assert lines == [f"{n}" for n in range(245, 2345)]


async def test_parallel_batches_stay_whole(store: Store) -> None:
    batches = [[(event(), f"{n}.{m}") for m in range(10)] for n in range(30)]
    await asyncio.gather(*(store.audit.append(batch) for batch in batches))
    lines = [line for _, line in await store.audit.query(after=0, limit=1000)]
    whole = [[line for _, line in batch] for batch in batches]
    assert sorted(lines[n : n + 10] for n in range(0, 300, 10)) == sorted(whole)
