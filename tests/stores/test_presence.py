"""Presence: workers that beat, and the connections of those."""

from dataclasses import replace

from doorward.ports import Store
from tests.stores.clock import NOW
from tests.stores.grounds import Ground
from tests.stores.made import node, present


async def test_workers_that_beat_are_there(ground: Ground) -> None:
    a, b = [await ground.store(process) for process in ("gw-1:0", "gw-1:1")]
    await a.presence.beat(node(0))
    await b.presence.beat(node(1, beat_at=NOW + 5))
    assert await a.presence.nodes(now=NOW + 5) == [node(0), node(1, beat_at=NOW + 5)]
    assert await b.presence.nodes(now=NOW + 10) == [node(0), node(1, beat_at=NOW + 5)]
    assert await a.presence.nodes(now=NOW + 10.5) == [node(1, beat_at=NOW + 5)]
    later = node(0, beat_at=NOW + 11, cursor=9, connections=0, version="1.2.3", ready=False, ahead=-1.5)
    await a.presence.beat(later)
    assert await b.presence.nodes(now=NOW + 11) == [later, node(1, beat_at=NOW + 5)]


async def test_connections_of_living_workers(ground: Ground) -> None:
    a, b = [await ground.store(process) for process in ("gw-1:0", "gw-1:1")]
    await a.presence.beat(node(0))
    await b.presence.beat(node(1, beat_at=NOW + 8))
    rows = [present("c1", 0), present("c2", 1, opened_at=NOW + 1), present("c3", 1, opened_at=NOW + 2, expires_at=NOW)]
    await a.presence.note(opened=rows[:1], closed=())
    await b.presence.note(opened=rows[1:], closed=())
    assert await a.presence.connections(now=NOW + 8) == rows
    assert await a.presence.connections(now=NOW + 12) == rows[1:]
    await b.presence.note(opened=(), closed=["c2", "never opened"])
    assert await a.presence.connections(now=NOW + 8) == [rows[0], rows[2]]


async def test_opened_and_closed_in_one_note_is_closed(store: Store) -> None:
    await store.presence.beat(node())
    await store.presence.note(opened=[present("c1"), present("c2")], closed=["c1"])
    assert await store.presence.connections(now=NOW) == [present("c2")]


async def test_a_renewed_connection_is_one_row(store: Store) -> None:
    await store.presence.beat(node())
    await store.presence.note(opened=[present("c1", expires_at=NOW + 1)], closed=())
    await store.presence.note(opened=[present("c1", expires_at=NOW + 60)], closed=())
    assert await store.presence.connections(now=NOW) == [present("c1", expires_at=NOW + 60)]


async def test_who_goes_by_another_number_takes_along_what_is_open_and_nothing_of_the_twins(ground: Ground) -> None:
    """A stranger's: two gateways of one name, and the first one's connections were listed nowhere any more."""
    a, b = [await ground.store(process) for process in ("gw-1:0", "gw-1:0 of another machine")]
    await a.presence.beat(node(0))
    await a.presence.note(opened=[present("a1", opened_at=NOW)], closed=())
    twin = replace(node(0), pid=999, started_at=NOW + 1, beat_at=NOW + 1)
    await b.presence.beat(twin)
    await b.presence.note(opened=[present("b1", opened_at=NOW + 1.5)], closed=())
    await a.presence.note(opened=[present("a2", opened_at=NOW + 1.2)], closed=())
    await a.presence.beat(node(7, beat_at=NOW + 2))
    moved = [present("a1", 7, opened_at=NOW), present("a2", 7, opened_at=NOW + 1.2)]
    await a.presence.note(opened=moved, closed=())
    assert await a.presence.connections(now=NOW + 2) == [*moved, present("b1", opened_at=NOW + 1.5)]
    await a.presence.note(opened=[present("a3", 7, opened_at=NOW + 2)], closed=["a2"])
    left = [moved[0], present("a3", 7, opened_at=NOW + 2)]
    for _ in range(2):
        assert await a.presence.connections(now=NOW + 2) == [left[0], present("b1", opened_at=NOW + 1.5), left[1]]
        await a.presence.beat(node(7, beat_at=NOW + 2))
        await b.presence.beat(replace(twin, beat_at=NOW + 2))
    await b.presence.leave(node="gw-1", worker=0)
    assert await a.presence.connections(now=NOW + 2) == left


async def test_who_leaves_takes_everything_along(store: Store) -> None:
    for worker in (0, 1):
        await store.presence.beat(node(worker))
        await store.presence.note(opened=[present(f"c{worker}", worker)], closed=())
    await store.presence.leave(node="gw-1", worker=0)
    assert await store.presence.nodes(now=NOW) == [node(1)]
    assert await store.presence.connections(now=NOW) == [present("c1", 1)]
    await store.presence.beat(node(0))
    assert await store.presence.connections(now=NOW) == [present("c1", 1)]


async def test_a_later_life_under_the_same_name_has_none_of_the_earlier_connections(store: Store) -> None:
    await store.presence.beat(node(0))
    await store.presence.note(opened=[present("c1", opened_at=NOW)], closed=())
    again = replace(node(0), pid=999, started_at=NOW + 3, beat_at=NOW + 3)
    await store.presence.note(opened=[present("c2", opened_at=NOW + 3.5)], closed=())
    await store.presence.beat(again)
    assert await store.presence.connections(now=NOW + 3) == [present("c2", opened_at=NOW + 3.5)]


async def test_who_did_not_leave_is_known_for_an_hour(ground: Ground) -> None:
    """It may live all the same, cut off from the stores, and hold connections."""
    a, b = [await ground.store(process) for process in ("gw-1:0", "gw-1:1")]
    await a.presence.beat(node(0))
    await b.presence.beat(node(1))
    assert await b.presence.unheard(now=NOW + 10) == []
    assert await b.presence.unheard(now=NOW + 10.5) == [node(0), node(1)]
    await b.presence.beat(node(1, beat_at=NOW + 3600))
    assert await b.presence.unheard(now=NOW + 3600) == [node(0)]
    await b.presence.beat(node(1, beat_at=NOW + 3610))
    assert await b.presence.unheard(now=NOW + 3610) == []


async def test_who_leaves_or_begins_anew_is_not_missed(store: Store) -> None:
    await store.presence.beat(node(0))
    await store.presence.beat(node(1))
    await store.presence.leave(node="gw-1", worker=0)
    again = replace(node(1), pid=999, started_at=NOW + 300, beat_at=NOW + 300)
    await store.presence.beat(again)
    assert await store.presence.unheard(now=NOW + 300) == []
    assert await store.presence.unheard(now=NOW + 320) == [again]
