"""What the durable log has not taken counts on every node all the same, and is in it in the end, once."""

import asyncio

import pytest

from doorward.adapters.stores.cluster import following, revocations
from doorward.adapters.stores.redis.feed import KEPT, SETTLE
from doorward.ports import LogBehindError, RefusedError, StoreError
from tests.stores.clock import NOW
from tests.stores.made import revocation
from tests.unit.adapters.stores.nodes import SIGNED, Place, one, placed, turns, two


async def test_what_is_not_durable_counts_on_every_node_at_once(place: Place) -> None:
    a, b = await two(place)
    place.durable.away = True
    assert await a.log.append(one("r1")) == 0
    for node in (a, b):
        assert await node.asks() == ["r1"]
        assert node.withdrawals.cursor == 0
    assert await place.durable.kept() == []


async def test_what_is_not_durable_is_made_so_by_any_node_and_gets_its_place(place: Place) -> None:
    """The command that made it has ended meanwhile."""
    a, b = await two(place)
    command = place.node()
    place.durable.away = True
    assert await command.log.append(one("r1")) == 0
    assert await command.log.append(one("r2", instant=NOW + 1)) == 0
    await a.asks()
    place.durable.away = False
    await b.following.poll()
    assert await place.durable.kept() == ["r1", "r2"]
    assert [made.id for made in b.made_durable] == ["r1", "r2"]
    assert place.redis.hashes[KEPT] == {}
    for node in (a, b):
        assert await node.asks() == ["r1", "r2"]
        assert node.withdrawals.cursor == 2
    await a.following.poll()
    assert a.made_durable == []


async def test_two_nodes_that_try_the_same_at_once_make_one_row(place: Place) -> None:
    a, b = await two(place)
    place.durable.away = True
    await a.log.append(one("r1"))
    await b.asks()
    place.durable.away = False
    await asyncio.gather(a.following.poll(), b.following.poll())
    assert await place.durable.kept() == ["r1"]
    for node in (a, b):
        await node.asks()
        assert (node.known, node.withdrawals.cursor) == (["r1"], 1)


async def test_a_node_that_starts_knows_what_is_not_durable_yet(place: Place) -> None:
    a, _ = await two(place)
    place.durable.away = True
    await a.log.append(one("r1"))
    place.durable.away = False
    place.redis.stream.clear()
    late = place.node()
    assert await late.asks() == ["r1"]


async def test_what_was_done_though_its_answer_was_lost_is_one_row(place: Place) -> None:
    a, b = await two(place)
    place.durable.breaks_after = True
    assert await a.log.append(one("r1")) == 0
    place.durable.breaks_after = False
    await b.asks()
    await b.following.poll()
    assert await b.asks() == ["r1"]
    assert await place.durable.kept() == ["r1"]
    assert b.withdrawals.cursor == 1


async def test_who_waits_at_the_door_waits_for_no_slow_durable_store(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, b = await two(place)
    monkeypatch.setattr(following, "READ_WITHIN", 0.01)
    place.durable.flows.clear()
    place.redis.flush()
    with pytest.raises(LogBehindError, match="no answer"):
        await b.asks()
    place.durable.flows.set()
    assert await b.asks() == []


async def test_settling_that_could_not_be_told_is_done_by_the_next_poll(place: Place) -> None:
    a, b = await two(place)
    place.durable.away = True
    await a.log.append(one("r1"))
    place.durable.away = False
    a.link.refuses = {SETTLE}
    await a.following.poll()
    assert place.redis.hashes[KEPT]
    await b.following.poll()
    await b.following.poll()
    assert place.redis.hashes[KEPT] == {}
    assert await place.durable.kept() == ["r1"]


async def test_what_is_not_durable_and_was_lost_by_redis_is_told_again_by_who_knows_it(place: Place) -> None:
    a, b = await two(place)
    place.durable.away = True
    await a.log.append(one("r1"))
    place.redis.flush()
    await a.following.poll()
    assert await place.durable.kept() == []
    assert "r1" in place.redis.hashes[KEPT]
    assert await b.follows() == ["r1"]


async def test_what_is_over_is_not_tried_again(place: Place) -> None:
    a, b = await two(place)
    place.durable.away = True
    await a.log.append(one("r1", expires_at=NOW + 10))
    await b.asks()
    place.clock.advance(11)
    place.durable.away = False
    await a.following.poll()
    await b.following.poll()
    assert await place.durable.kept() == []
    assert list(await b.log.read(after=0)) == []


async def test_both_away_is_an_error_and_so_is_one_that_could_not_be_tried_again(place: Place) -> None:
    a, _ = await two(place)
    place.durable.away = True
    with pytest.raises(StoreError):
        await a.log.append(revocation(id=""))
    a.link.away = True
    with pytest.raises(StoreError, match="PostgreSQL is away; and Redis is away"):
        await a.log.append(one("r1"))


async def test_a_durable_log_that_was_not_read_for_long_closes_the_door_and_the_nodes_still_act(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = await two(place)
    running = asyncio.create_task(b.following.run())
    await asyncio.sleep(0)
    place.durable.away = True
    await b.following.poll()
    assert await b.asks() == []
    monkeypatch.setattr(following, "STALE_AFTER", -1.0)
    await a.log.append(one("r1"))
    with pytest.raises(LogBehindError):
        await b.asks()
    assert b.known == ["r1"]
    place.durable.away = False
    monkeypatch.undo()
    await b.following.poll()
    assert await b.asks() == ["r1"]
    running.cancel()


@pytest.mark.parametrize("ends_well", [True, False])
async def test_all_act_while_the_durable_log_takes_its_time(
    place: Place, monkeypatch: pytest.MonkeyPatch, ends_well: bool
) -> None:
    a, b = await two(place)
    monkeypatch.setattr(revocations, "ACT_AFTER", 0.0)
    place.durable.flows.clear()
    appending = asyncio.create_task(a.log.append(one("r1")))
    await turns()
    assert await b.follows() == ["r1"]
    assert not appending.done()
    place.durable.fails = set() if ends_well else {"r1"}
    place.durable.flows.set()
    assert await appending == (1 if ends_well else 0)
    place.durable.fails = set()
    await b.following.poll()
    assert await place.durable.kept() == ["r1"]
    assert place.redis.hashes[KEPT] == {}
    for node in (a, b):
        await node.asks()
        assert (node.known, node.withdrawals.cursor) == (["r1"], 1)


async def test_where_nobody_can_be_told_meanwhile_the_durable_log_is_waited_for(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = await two(place)
    monkeypatch.setattr(revocations, "ACT_AFTER", 0.0)
    place.durable.flows.clear()
    a.link.away = True
    appending = asyncio.create_task(a.log.append(one("r1")))
    await turns()
    assert any("waits for the durable log" in note for note in a.notes)
    place.durable.flows.set()
    assert await appending == 1
    await b.following.poll()
    assert await b.asks() == ["r1"]


async def test_one_whose_place_can_not_be_read_any_more_is_acted_on_by_all_and_settled_later(place: Place) -> None:
    """It is durable; the durable store fell silent right after it, and nobody else can learn it there."""
    a, b = await two(place)
    place.durable.takes_one_more = True
    assert await a.log.append(one("r1")) == 1
    for node in (a, b):
        assert await node.follows() == ["r1"]
    place.durable.takes_one_more = place.durable.away = False
    await b.following.poll()
    assert place.redis.hashes[KEPT] == {}
    for node in (a, b):
        assert await node.asks() == ["r1"]
        assert node.withdrawals.cursor == 1
    assert await place.durable.kept() == ["r1"]


async def test_a_door_that_stayed_open_through_a_short_outage_stays_open_after_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log grows too old only once the store is back, and before the next poll has found that out."""
    _, b = await two(place)
    running = asyncio.create_task(b.following.run())
    await asyncio.sleep(0)
    place.durable.away = True
    await b.following.poll()
    place.durable.away = False
    assert await b.asks() == []
    monkeypatch.setattr(following, "STALE_AFTER", -1.0)
    assert await b.asks() == []
    running.cancel()


async def test_nobody_waits_long_for_a_durable_store_that_is_known_to_hang_and_it_is_asked_once_for_all(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, b = await two(place)
    running = asyncio.create_task(b.following.run())
    await asyncio.sleep(0)
    place.durable.away = True
    await b.following.poll()
    place.durable.away = False
    place.durable.flows.clear()
    monkeypatch.setattr(following, "STALE_AFTER", -1.0)
    monkeypatch.setattr(following, "AWAY_WITHIN", 0.0)
    calls = place.durable.calls
    for _ in range(3):
        with pytest.raises(LogBehindError):
            await b.asks()
    assert place.durable.calls == calls + 1
    place.durable.flows.set()
    monkeypatch.undo()
    await b.following.poll()
    assert await b.asks() == []
    running.cancel()


async def test_entries_ahead_of_a_gap_are_acted_on_while_the_durable_log_can_not_fill_it(place: Place) -> None:
    _, b = await two(place)
    for name in ("r1", "r2"):
        await place.durable.revocations.append(one(name))
    place.redis.add(b"n", SIGNED.of(placed(one("r2"), 2)))
    place.durable.away = True
    with pytest.raises(LogBehindError):
        await b.asks()
    assert (b.known, b.withdrawals.cursor) == (["r2"], 0)
    place.durable.away = False
    assert await b.asks() == ["r2", "r1"]
    assert b.withdrawals.cursor == 2


# one that can't be held


async def test_one_that_the_durable_log_refuses_is_an_error_and_told_to_nobody(place: Place) -> None:
    a, b = await two(place)
    place.durable.refuses = {"bad"}
    with pytest.raises(RefusedError):
        await a.log.append(one("bad"))
    assert await b.asks() == []
    assert KEPT not in place.redis.hashes


async def test_one_that_is_refused_only_once_all_have_acted_is_told_as_done_and_not_durable(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = await two(place)
    monkeypatch.setattr(revocations, "ACT_AFTER", 0.0)
    place.durable.refuses = {"bad"}
    place.durable.flows.clear()
    appending = asyncio.create_task(a.log.append(one("bad")))
    await turns()
    assert await b.follows() == ["bad"]
    place.durable.flows.set()
    assert await appending == 0


@pytest.mark.parametrize("cause", ["\udcff", "a\0b", "x" * 5000])
@pytest.mark.parametrize("away", [False, True])
async def test_one_that_no_log_could_hold_is_refused_whether_or_not_it_is_away(
    place: Place, cause: str, away: bool
) -> None:
    a, b = await two(place)
    place.durable.away = away
    with pytest.raises(RefusedError):
        await a.log.append(one("bad", cause=cause))
    assert (await b.asks(), place.durable.appends) == ([], 0)


async def test_one_that_can_not_be_made_durable_keeps_no_other_from_it(place: Place) -> None:
    a, b = await two(place)
    place.durable.away = True
    for number, name in enumerate(("bad", "r1", "r2")):
        await a.log.append(one(name, instant=NOW + number))
    place.durable.away = False
    place.durable.refuses = {"bad"}
    for _ in range(3):
        await b.following.poll()
    assert await place.durable.kept() == ["r1", "r2"]
    assert sorted(await b.asks()) == ["bad", "r1", "r2"]
    assert [note for note in b.notes if "bad" in note] == ["revocation bad can't be made durable: it can't be held"]
    assert place.durable.appends == 3


async def test_one_that_fails_each_time_takes_its_turn_behind_the_others(place: Place) -> None:
    a, b = await two(place)
    place.durable.away = True
    for number, name in enumerate(("bad", "r1", "r2")):
        await a.log.append(one(name, instant=NOW + number))
    place.durable.away = False
    place.durable.fails = {"bad"}
    for _ in range(4):
        await b.following.poll()
    assert await place.durable.kept() == ["r1", "r2"]
    assert len([note for note in b.notes if "bad" in note]) == 1
    assert "PostgreSQL is away:" not in " ".join(b.notes)
    place.durable.fails = set()
    await b.following.poll()
    assert await place.durable.kept() == ["r1", "r2", "bad"]
