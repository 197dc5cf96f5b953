"""Several nodes over a feed and a durable log: nothing that was revoked is missed, whatever either of them does."""

import asyncio
from collections.abc import Callable

import pytest

from doorward.adapters.stores.cluster import following
from doorward.adapters.stores.redis.feed import KEPT, PUBLISH, SETTLE, STREAM
from doorward.adapters.stores.redis.notices import BansChanged
from doorward.ports import LogBehindError, RefusedError, StoreError
from doorward.values.principal import Identity
from doorward.values.revocation import Revocation
from tests.stores.clock import NOW
from tests.stores.made import acknowledgement, ban, revocation
from tests.unit.adapters.stores.fake_redis import Durable, FakeRedis
from tests.unit.adapters.stores.nodes import SIGNED, Node, Place, placed

BANNED = ban(subject="mallory", issuer=None, tenant=None, network=None, expires_at=None)
WHO = Identity("https://login.example.com/", "mallory", "")


@pytest.fixture
def place() -> Place:
    return Place()


def one(name: str, **more: object) -> Revocation:
    return revocation(name, id=name, **more)


async def two(place: Place) -> tuple[Node, Node]:
    a, b = place.node(), place.node()
    for node in (a, b):
        await node.asks()
        await node.asks()
    return a, b


async def test_a_node_learns_at_the_door_what_another_has_revoked(place: Place) -> None:
    a, b = await two(place)
    assert await a.log.append(one("r1")) == 1
    assert await b.asks() == ["r1"]
    assert await a.asks() == ["r1"]


async def test_what_stands_next_is_taken_without_the_durable_log(place: Place) -> None:
    a, b = await two(place)
    for number in range(1, 5):
        await a.log.append(one(f"r{number}"))
    reads = place.durable.reads
    assert await b.asks() == ["r1", "r2", "r3", "r4"]
    assert place.durable.reads == reads


async def test_a_gap_is_filled_from_the_durable_log_before_anybody_is_answered(place: Place) -> None:
    a, b = await two(place)
    await a.log.append(one("r1"))
    await place.durable.revocations.append(one("r2"))
    await a.log.append(one("r3"))
    assert await b.asks() == ["r1", "r2", "r3"]


async def test_entries_out_of_order_end_in_the_order_of_the_log(place: Place) -> None:
    _, b = await two(place)
    for name in ("r1", "r2", "r3"):
        await place.durable.revocations.append(one(name))
    for sequence in (3, 1, 2):
        place.redis.add(b"n", SIGNED.of(placed(one(f"r{sequence}"), sequence)))
    assert await b.asks() == ["r1", "r2", "r3"]
    assert b.withdrawals.cursor == 3


async def test_replayed_entries_change_nothing(place: Place) -> None:
    a, b = await two(place)
    await a.log.append(one("r1"))
    await b.asks()
    for _ in range(3):
        place.redis.add(b"n", SIGNED.of(placed(one("r1"), 1)))
        place.redis.add(b"n", SIGNED.of(placed(one("r1"), 0)))
    await b.asks()
    await b.following.poll()
    await b.asks()
    assert (b.known, b.withdrawals.cursor, place.durable.appends) == (["r1"], 1, 1)


async def test_an_id_that_is_used_again_for_something_else_is_told_as_the_log_has_it(place: Place) -> None:
    """An API's caller may repeat its id with another body: no node may learn what the log does not have."""
    a, b = await two(place)
    await a.log.append(one("r1"))
    place.redis.flush()
    assert await b.log.append(one("r1", cause="another")) == 1
    late = place.node()
    for node in (b, late):
        await node.asks()
        assert [revocation.cause for revocation in await node.log.read(after=0)] == [one("r1").cause]


async def test_entries_of_what_was_forgotten_meanwhile_come_to_nothing(place: Place) -> None:
    a, _ = await two(place)
    await a.log.append(one("r1"))
    for number in range(2, 5):
        await a.log.append(one(f"r{number}", expires_at=NOW - 1))
    await place.durable.revocations.forget(now=NOW)
    late = place.node()
    for _ in range(2):
        assert await late.asks() == ["r1"]


async def test_what_could_not_be_published_is_found_by_the_poll_and_at_once_by_who_made_it(place: Place) -> None:
    a, b = await two(place)
    a.link.refuses = {PUBLISH}
    assert await a.log.append(one("r1")) == 1
    assert a.log.touched()
    assert await a.asks() == ["r1"]
    assert "could not be published" in a.notes[-1]
    await b.following.poll()
    assert b.log.touched()
    assert await b.asks() == ["r1"]


async def test_a_durable_log_that_tells_is_read_at_once(place: Place) -> None:
    _, b = await two(place)
    place.durable.tells = True
    await place.durable.revocations.append(one("r1"))
    assert b.log.touched()
    assert await b.asks() == ["r1"]


def flush(redis: FakeRedis) -> None:
    redis.flush()


def restart_empty(redis: FakeRedis) -> None:
    redis.restart(keeps=0)


def restart_with_old_data(redis: FakeRedis) -> None:
    redis.restart(keeps=1)


def restart_without_the_last(redis: FakeRedis) -> None:
    redis.restart(keeps=len(redis.stream) - 1)


def junk_behind_it(redis: FakeRedis) -> None:
    for _ in range(3):
        redis.add(b"n", b"junk" * 20)


@pytest.mark.parametrize(
    "loss", [flush, restart_empty, restart_with_old_data, restart_without_the_last, junk_behind_it]
)
async def test_what_redis_lost_is_in_the_durable_log(place: Place, loss: Callable[[FakeRedis], None]) -> None:
    a, b = await two(place)
    await a.log.append(one("r1"))
    await b.asks()
    await a.log.append(one("r2"))
    loss(place.redis)
    assert await b.asks() == ["r1", "r2"]
    await a.log.append(one("r3"))
    assert await b.asks() == ["r1", "r2", "r3"]
    assert await a.asks() == ["r1", "r2", "r3"]


async def test_an_empty_stream_is_begun_anew_by_whoever_finds_it(place: Place) -> None:
    a, _ = await two(place)
    place.redis.flush()
    await a.asks()
    assert len(place.redis.stream) == 1
    reads = place.durable.reads
    for _ in range(3):
        await a.asks()
    assert place.durable.reads == reads + 1, "one that was begun anew is proven once more, and then trusted"


# while the durable store is away


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


# while Redis is away


async def test_without_redis_nobody_comes_in_and_the_nodes_still_learn(place: Place) -> None:
    a, b = await two(place)
    b.link.away = True
    await a.log.append(one("r1"))
    with pytest.raises(LogBehindError):
        await b.asks()
    await b.following.poll()
    with pytest.raises(LogBehindError):
        await b.asks()
    assert (b.known, b.withdrawals.cursor) == (["r1"], 1)


async def test_without_redis_a_durable_log_that_tells_is_learnt_from_at_once(place: Place) -> None:
    _, b = await two(place)
    place.durable.tells = True
    b.link.away = True
    await place.durable.revocations.append(one("r1"))
    with pytest.raises(LogBehindError):
        await b.asks()
    assert (b.known, b.withdrawals.cursor) == (["r1"], 1)


async def test_a_revocation_made_without_redis_is_learnt_by_the_poll_and_answered_where_its_maker_looks(
    place: Place,
) -> None:
    a, b = await two(place)
    command = place.node()
    command.link.away = True
    assert await command.log.append(one("r1")) == 1
    await b.following.poll()
    assert await b.asks() == ["r1"]
    await b.log.acknowledge(acknowledgement("r1"))
    assert await command.log.acknowledgements("r1") == [acknowledgement("r1")]
    assert await a.log.acknowledgements("r1") == [acknowledgement("r1")]


async def test_an_answer_that_redis_can_not_take_goes_to_the_durable_store(place: Place) -> None:
    a, b = await two(place)
    await a.log.append(one("r1"))
    await b.asks()
    b.link.away = True
    await b.log.acknowledge(acknowledgement("r1"))
    assert await a.log.acknowledgements("r1") == [acknowledgement("r1")]


async def test_an_answer_to_what_is_not_durable_lies_in_redis(place: Place) -> None:
    a, b = await two(place)
    place.durable.away = True
    await a.log.append(one("r1"))
    await b.asks()
    await b.log.acknowledge(acknowledgement("r1"))
    assert await a.log.acknowledgements("r1") == [acknowledgement("r1")]
    a.link.away = True
    with pytest.raises(StoreError):
        await a.log.acknowledgements("r1")


# forged


async def test_no_forged_entry_moves_anything(place: Place) -> None:
    a, b = await two(place)
    genuine = SIGNED.of(placed(one("r9"), 9))
    for text in (genuine[:-1], b"x" * 32 + genuine[32:], genuine[32:], bytes(100)):
        place.redis.add(b"n", text)
        place.redis.hashes.setdefault(KEPT, {})[f"{len(place.redis.stream)}"] = text
    await b.asks()
    await b.following.poll()
    await b.asks()
    assert (b.known, b.withdrawals.cursor, await place.durable.kept()) == ([], 0, [])
    assert sum(count for _, count in b.refused) >= 4
    await a.log.append(one("r1"))
    assert await b.asks() == ["r1"]


# bans


async def test_a_ban_counts_on_every_node_at_once(place: Place) -> None:
    a, b = await two(place)
    before = await b.bans.version()
    id = await a.bans.add(ban())
    after = await b.bans.version()
    assert after != before
    assert await a.bans.remove(id)
    assert await b.bans.version() not in (before, after)


async def test_a_ban_that_could_not_be_told_counts_within_the_poll(place: Place) -> None:
    a, b = await two(place)
    before = await b.bans.version()
    a.link.refuses = {PUBLISH}
    await a.bans.add(ban())
    await b.following.poll()
    assert await b.bans.version() != before
    assert await a.bans.version() != before


async def test_a_banned_one_is_asked_for_only_where_both_stores_answer(place: Place) -> None:
    _, b = await two(place)
    b.link.away = True
    with pytest.raises(StoreError):
        await b.bans.version()


# asking


async def test_questions_at_once_share_their_looks(place: Place) -> None:
    _, b = await two(place)
    b.link.calls.clear()
    await asyncio.gather(*(b.bans.version() for _ in range(50)))
    assert len(b.link.calls) == 1


async def test_a_question_is_not_answered_by_a_look_of_before_it(place: Place) -> None:
    a, b = await two(place)
    early = asyncio.create_task(b.following.refresh())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await place.durable.revocations.append(one("r1"))
    place.redis.add(b"n", SIGNED.of(placed(one("r1"), 1)))
    assert await b.asks() == ["r1"]
    await early
    assert a.known == []


async def test_one_that_is_cancelled_takes_no_other_along(place: Place) -> None:
    a, b = await two(place)
    await a.log.append(one("r1"))
    first, second = (asyncio.create_task(b.asks()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == ["r1"]


async def test_older_ones_than_are_remembered_come_from_the_durable_log(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "REMEMBERED", 3)
    a, b = await two(place)
    for number in range(1, 8):
        await a.log.append(one(f"r{number}"))
        await b.asks()
    for after in range(9):
        found = await b.log.read(after=after)
        assert [one.sequence for one in found] == list(range(after + 1, 8))
    assert len(b.known) == 7


async def test_what_is_forgotten_is_forgotten_everywhere(place: Place) -> None:
    a, b = await two(place)
    await a.log.append(one("r1", expires_at=NOW + 10))
    await a.log.append(one("r2"))
    await b.asks()
    await b.log.acknowledge(acknowledgement("r1"))
    assert await b.log.forget(now=NOW + 11) == 1
    assert [one.id for one in await b.log.read(after=0)] == ["r2"]
    assert list(await a.log.acknowledgements("r1")) == []


# what a notice says is a reason to look, and no more


async def test_a_ban_counts_after_the_database_was_made_anew(place: Place) -> None:
    """Redis kept its stream, whose newest word is of a greater version than the new database counts to for long."""
    a, _ = await two(place)
    for _ in range(5):
        await a.bans.add(ban())
    place.durable = Durable()
    a, b = await two(place)
    assert await b.withdrawals.ban_on_identity(WHO, now=NOW) is None
    await a.bans.add(BANNED)
    assert await b.withdrawals.ban_on_identity(WHO, now=NOW) is not None


async def test_no_replayed_notice_keeps_a_ban_from_counting(place: Place) -> None:
    a, b = await two(place)
    place.redis.add(b"n", SIGNED.of(BansChanged(1_000)))
    assert await b.withdrawals.ban_on_identity(WHO, now=NOW) is None
    await a.bans.add(BANNED)
    assert await b.withdrawals.ban_on_identity(WHO, now=NOW) is not None
    a.link.refuses = {PUBLISH}
    await a.bans.remove(1)
    await b.following.poll()
    assert await b.withdrawals.ban_on_identity(WHO, now=NOW) is None


async def test_bans_are_read_anew_when_the_durable_store_is_back(place: Place) -> None:
    """A replica that took over may count to the same number by other bans."""
    _, b = await two(place)
    before = await b.bans.version()
    place.durable.away = True
    await b.following.poll()
    place.durable.away = False
    await b.following.poll()
    assert await b.bans.version() != before


# one that can't be held


async def test_one_that_the_durable_log_refuses_is_an_error_and_told_to_nobody(place: Place) -> None:
    a, b = await two(place)
    place.durable.refuses = {"bad"}
    with pytest.raises(RefusedError):
        await a.log.append(one("bad"))
    assert await b.asks() == []
    assert KEPT not in place.redis.hashes


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
    assert "the durable store is away" not in " ".join(b.notes)
    place.durable.fails = set()
    await b.following.poll()
    assert await place.durable.kept() == ["r1", "r2", "bad"]


# Redis keys that somebody made another type


async def test_a_stream_of_another_type_is_begun_anew(place: Place) -> None:
    a, b = await two(place)
    place.redis.make_strange(STREAM)
    assert await b.asks() == []
    await a.log.append(one("r1"))
    assert await b.asks() == ["r1"]


async def test_a_list_of_the_undurable_of_another_type_is_begun_anew(place: Place) -> None:
    a, b = await two(place)
    place.durable.away = True
    await a.log.append(one("r1"))
    place.redis.make_strange(KEPT)
    await b.asks()
    await b.following.poll()
    place.durable.away = False
    late = place.node()
    assert await late.asks() == ["r1"]
