"""The feed: what was published is found, what nobody of us wrote is dropped, and whatever may be missing shows."""

import asyncio
from collections.abc import Callable

import pytest

from doorward.adapters.stores.redis.feed import AT_ONCE, KEPT, RedisFeed
from doorward.adapters.stores.redis.notices import MOST, BansChanged
from doorward.ports import StoreError
from doorward.testing import FakeEntropy
from doorward.values.revocation import Revocation
from tests.stores.made import acknowledgement, revocation
from tests.unit.adapters.stores.fake_redis import FakeLink, FakeRedis
from tests.unit.adapters.stores.nodes import KEY, SIGNED, placed


class Reading:
    def __init__(self, redis: FakeRedis) -> None:
        self.link = FakeLink(redis)
        self.refused: list[tuple[str, int]] = []
        self.feed = RedisFeed(
            self.link, key=KEY, entropy=FakeEntropy(), refused=lambda why, count: self.refused.append((why, count))
        )

    async def new(self) -> tuple[list[str], bool]:
        """Ids (or bans' versions) that a look finds, and whether it leaves a doubt."""
        news = await self.feed.look()
        return [one.id if isinstance(one, Revocation) else f"bans {one.version}" for one in news.notices], news.doubt


@pytest.fixture
def redis() -> FakeRedis:
    return FakeRedis()


@pytest.fixture
def writer(redis: FakeRedis) -> RedisFeed:
    return Reading(redis).feed


@pytest.fixture
async def reader(redis: FakeRedis, writer: RedisFeed) -> Reading:
    """One that has looked at a stream with an entry."""
    await writer.publish(BansChanged(1))
    reader = Reading(redis)
    assert await reader.new() == (["bans 1"], True)
    assert await reader.new() == ([], False)
    return reader


def one(sequence: int) -> Revocation:
    return placed(revocation(id=f"r{sequence}"), sequence)


async def test_what_was_published_is_found_once_and_in_order(reader: Reading, writer: RedisFeed) -> None:
    for sequence in (1, 2):
        await writer.publish(one(sequence))
    await writer.publish(BansChanged(7))
    assert await reader.new() == (["r1", "r2", "bans 7"], False)
    assert await reader.new() == ([], False)


async def test_a_look_at_nothing_new_is_one_cheap_command(reader: Reading) -> None:
    reader.link.calls.clear()
    await reader.new()
    assert reader.link.calls == ["XREVRANGE"]


def flushed(redis: FakeRedis) -> None:
    redis.flush()


def deleted(redis: FakeRedis) -> None:
    redis.stream.clear()


def cut(redis: FakeRedis) -> None:
    redis.stream.pop()


def trimmed(redis: FakeRedis) -> None:
    """So far that what was seen last is gone."""
    del redis.stream[:1]
    redis.add(b"n", SIGNED.of(one(9)))


def restarted_empty(redis: FakeRedis) -> None:
    redis.restart(keeps=0)


def restarted_with_old_data(redis: FakeRedis) -> None:
    redis.restart(keeps=1)


def restarted_with_all_data(redis: FakeRedis) -> None:
    redis.restart()


def flushed_and_begun_again(redis: FakeRedis) -> None:
    redis.flush()
    redis.add(b"n", SIGNED.of(BansChanged(5)))


def another_entry_under_the_same_id(redis: FakeRedis) -> None:
    id, _ = redis.stream.pop()
    redis.add(b"n", SIGNED.of(one(9)), id=id)


LOSSES = [
    flushed,
    deleted,
    cut,
    trimmed,
    restarted_empty,
    restarted_with_old_data,
    restarted_with_all_data,
    flushed_and_begun_again,
    another_entry_under_the_same_id,
]


@pytest.mark.parametrize("loss", LOSSES)
async def test_a_stream_that_may_have_lost_something_shows(
    redis: FakeRedis, reader: Reading, loss: Callable[[FakeRedis], None]
) -> None:
    loss(redis)
    assert (await reader.new())[1]


@pytest.mark.parametrize("loss", LOSSES)
async def test_after_a_loss_the_feed_goes_on(
    redis: FakeRedis, reader: Reading, writer: RedisFeed, loss: Callable[[FakeRedis], None]
) -> None:
    loss(redis)
    await reader.new()
    await writer.publish(BansChanged(8))
    await reader.new()
    await writer.publish(one(3))
    assert await reader.new() == (["r3"], False)


async def test_an_empty_stream_is_in_doubt_at_each_look(redis: FakeRedis) -> None:
    """Between any two looks it may have been filled and flushed."""
    reader = Reading(redis)
    for _ in range(2):
        news = await reader.feed.look()
        assert (news.doubt, news.empty) == (True, True)


async def test_more_than_one_look_takes_is_a_doubt(redis: FakeRedis, reader: Reading, writer: RedisFeed) -> None:
    for sequence in range(AT_ONCE + 20):
        await writer.publish(one(sequence + 1))
    found, doubt = await reader.new()
    assert (len(found), doubt) == (AT_ONCE, True)
    assert await reader.new() == ([], False)


async def test_a_look_that_fails_has_seen_nothing(reader: Reading, writer: RedisFeed, redis: FakeRedis) -> None:
    await writer.publish(one(1))
    redis.restart()
    reader.link.away = True
    with pytest.raises(StoreError):
        await reader.feed.look()
    reader.link.away = False
    assert await reader.new() == (["r1"], True)


JUNK = [
    ((b"n", b"hello"), "unsigned"),
    ((b"n", b"x" * 200), "forged"),
    ((b"n", b""), "unsigned"),
    ((b"n", bytes(MOST + 1)), "too long"),
    ((b"other", SIGNED.of(BansChanged(9))), "unsigned"),
    ((b"n", SIGNED.of(BansChanged(9)), b"m", b""), "unsigned"),
    ((b"n", SIGNED.of(BansChanged(9))[:-1]), "forged"),
]


@pytest.mark.parametrize(("fields", "why"), JUNK)
async def test_what_nobody_of_us_wrote_is_dropped_and_told(
    redis: FakeRedis, reader: Reading, writer: RedisFeed, fields: tuple[bytes, ...], why: str
) -> None:
    redis.add(*fields)
    await writer.publish(one(1))
    assert await reader.new() == (["r1"], False)
    assert reader.refused == [(why, 1)]
    assert await reader.new() == ([], False)


async def test_a_flood_of_junk_is_told_as_a_number(redis: FakeRedis, reader: Reading) -> None:
    for _ in range(300):
        redis.add(b"n", b"x" * 100)
    await reader.new()
    assert reader.refused == [("forged", 300)]


async def test_what_is_not_durable_is_kept_until_it_is(redis: FakeRedis, reader: Reading, writer: RedisFeed) -> None:
    await writer.keep(one(0))
    assert await reader.new() == (["r0"], False)
    assert [kept.id for kept in await reader.feed.kept()] == ["r0"]
    await writer.settle(placed(one(0), 4))
    assert await reader.new() == (["r0"], False)
    assert await reader.feed.kept() == []


async def test_junk_among_what_is_kept_is_told_once(redis: FakeRedis, reader: Reading, writer: RedisFeed) -> None:
    await writer.keep(one(0))
    redis.hashes[KEPT] |= {"x": b"junk" * 20, "y": SIGNED.of(BansChanged(1)), "z": SIGNED.of(one(7))}
    for _ in range(2):
        assert [kept.id for kept in await reader.feed.kept()] == ["r0"]
    assert reader.refused == [("forged", 1)]


async def test_acknowledgements_come_back_and_forged_ones_do_not(redis: FakeRedis, reader: Reading) -> None:
    feed = reader.feed
    rows = [acknowledgement("r1", worker) for worker in range(2)]
    for row in rows:
        await feed.acknowledge(row)
    (place,) = redis.hashes
    redis.hashes[place]["9:gw"] = b"forged" * 20
    redis.hashes[place]["8:gw"] = SIGNED.of_answer(acknowledgement("another"))
    assert list(await feed.acknowledgements("r1")) == rows
    assert reader.refused == [("forged (an acknowledgement)", 1)]
    await feed.forget(["r1"])
    assert list(await feed.acknowledgements("r1")) == []


async def test_who_listens_is_woken(redis: FakeRedis, reader: Reading, writer: RedisFeed) -> None:
    woken = asyncio.Semaphore(0)
    listening = asyncio.create_task(reader.feed.listen(woken.release))
    async with asyncio.timeout(10):
        for sequence in (1, 2, 3):
            await asyncio.sleep(0)
            await writer.publish(one(sequence))
            await woken.acquire()
            await reader.new()
        reader.link.away = True
        redis.more.set()
        await woken.acquire()  # of what a way that is away may have kept from us
        reader.link.away = False
        await writer.publish(one(4))
        await woken.acquire()
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
