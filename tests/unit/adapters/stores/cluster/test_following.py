"""Several nodes over a feed and a durable log: nothing that was revoked is missed, whatever either of them does."""

import asyncio
from collections.abc import Callable

import pytest

from doorward.adapters.stores.cluster import following
from doorward.adapters.stores.redis.feed import KEPT, PUBLISH, STREAM
from doorward.adapters.stores.redis.notices import BansChanged
from doorward.ports import LogBehindError, StoreError
from doorward.values.principal import Identity
from tests.stores.clock import NOW
from tests.stores.made import acknowledgement, ban
from tests.unit.adapters.stores.fake_redis import Durable, FakeRedis
from tests.unit.adapters.stores.nodes import SIGNED, Place, one, placed, two

BANNED = ban(subject="mallory", issuer=None, tenant=None, network=None, expires_at=None)
WHO = Identity("https://login.example.com/", "mallory", "")


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
    assert "not told at once" in a.notes[-1]
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


async def test_that_the_durable_store_is_away_is_said_once_and_once_when_it_is_back(place: Place) -> None:
    node = place.node()
    for place.durable.away in (True, True, False, False):
        await node.following.poll()
    assert node.notes == ["PostgreSQL is away: is away", "PostgreSQL is back after 0.0 s"]
