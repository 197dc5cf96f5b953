"""The store of several nodes as a whole: what it needs to open, to be ready, and what it tells of."""

import asyncio
from collections.abc import Callable

import pytest

from doorward.adapters.stores.cluster.presence import ClusterPresence
from doorward.adapters.stores.cluster.store import ClusterStore, Shared
from doorward.adapters.stores.cluster.told import Told
from doorward.adapters.stores.memory import MemoryStore
from doorward.ports import StoreError
from doorward.testing import FakeClock, FakeEntropy
from doorward.values.revocation import Revocation
from tests.stores.clock import NOW
from tests.stores.made import ban, node, present, revocation
from tests.unit.adapters.stores.fake_redis import Durable, FakeLink, FakeRedis
from tests.unit.adapters.stores.nodes import KEY, turns
from tests.unit.leaping import leaping


class Unwritten(list[str]):
    """Notes that nobody can write down."""

    tried = 0

    def append(self, line: str, /) -> None:
        self.tried += 1
        raise BrokenPipeError(32, "Broken pipe")


class Whole:
    """One process's store, and what it told."""

    def __init__(self, redis: FakeRedis, durable: Durable, *, follows: bool = True) -> None:
        self.link = FakeLink(redis)
        self.notes: list[str] = []
        self.refused: list[tuple[str, int]] = []
        self.made_durable: list[Revocation] = []
        self.lives: list[str] = []
        self.faults: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        self.fails_to_end = False
        memory = MemoryStore()

        async def begin() -> None:
            self.lives.append("begun")

        async def end() -> None:
            self.lives.append("ended")
            if self.fails_to_end:
                raise StoreError("gone")

        self.store = ClusterStore(
            durable,
            self.link,
            Shared(memory.tickets, memory.rates, memory.slots, memory.presence, begin=begin, end=end),
            key=KEY,
            clock=FakeClock(NOW),
            entropy=FakeEntropy(),
            told=Told(
                note=self._noted,
                refused=lambda why, count: self.refused.append((why, count)),
                made_durable=self.made_durable.append,
                fault=self._wrong,
            ),
            follows=follows,
        )

    def _noted(self, line: str) -> None:
        self.notes.append(line)

    def _wrong(self, where: str, error: BaseException) -> None:
        self.faults.put_nowait((where, type(error).__name__))
        raise OSError("not even this can be told")


@pytest.fixture
def redis() -> FakeRedis:
    return FakeRedis()


@pytest.fixture
def durable() -> Durable:
    return Durable()


async def test_it_opens_and_closes_both_and_may_be_closed_again(redis: FakeRedis, durable: Durable) -> None:
    whole = Whole(redis, durable)
    await whole.store.open()
    await whole.store.check()
    await whole.store.close()
    await whole.store.close()
    assert whole.lives == ["begun", "ended", "ended"]
    assert [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


async def test_a_side_that_can_not_be_left_in_order_keeps_no_other_open(redis: FakeRedis, durable: Durable) -> None:
    whole = Whole(redis, durable)
    await whole.store.open()
    whole.fails_to_end = True
    await whole.store.close()
    assert whole.link.closed
    assert whole.notes == ["not left in order: gone"]


@pytest.mark.parametrize(
    ("durable_away", "link_away", "said"),
    [
        (True, False, "store.url: PostgreSQL is away"),
        (False, True, "store.cluster_url: Redis is away"),
        (True, True, "store.url: PostgreSQL is away; store.cluster_url: Redis is away"),
    ],
)
async def test_a_node_does_not_start_with_one_side_away(
    redis: FakeRedis, durable: Durable, durable_away: bool, link_away: bool, said: str
) -> None:
    whole = Whole(redis, durable)
    durable.away, whole.link.away = durable_away, link_away
    with pytest.raises(StoreError) as failed:
        await whole.store.open()
    assert str(failed.value) == said


@pytest.mark.parametrize("away", ["durable", "link"])
async def test_a_command_is_content_with_one_side_and_says_so(redis: FakeRedis, durable: Durable, away: str) -> None:
    whole = Whole(redis, durable, follows=False)
    if away == "link":
        whole.link.away = True
    else:
        durable.away = True
    await whole.store.open()
    assert await whole.store.revocations.append(revocation()) == (1 if away == "link" else 0)
    await whole.store.close()
    said = "store.cluster_url: Redis is away" if away == "link" else "store.url: PostgreSQL is away"
    assert whole.notes == [said], "and what comes of that is no news"


async def test_a_ban_that_could_not_be_told_says_when_it_counts(redis: FakeRedis, durable: Durable) -> None:
    whole = Whole(redis, durable, follows=False)
    whole.link.away = True
    await whole.store.open()
    await whole.store.bans.add(ban())
    assert whole.notes[1] == (
        "each node finds the change of the bans by itself, within some 2 s; not told at once: Redis is away"
    )
    await whole.store.close()


async def test_a_command_needs_one_of_them(redis: FakeRedis, durable: Durable) -> None:
    whole = Whole(redis, durable, follows=False)
    durable.away = whole.link.away = True
    with pytest.raises(StoreError):
        await whole.store.open()


@pytest.mark.parametrize("away", ["durable", "link"])
async def test_it_is_ready_only_while_both_are(redis: FakeRedis, durable: Durable, away: str) -> None:
    whole = Whole(redis, durable)
    await whole.store.open()
    if away == "link":
        whole.link.away = True
    else:
        durable.away = True
    with pytest.raises(StoreError):
        await whole.store.check()
    durable.away = whole.link.away = False
    await whole.store.check()
    await whole.store.close()


async def test_junk_is_told_as_numbers_and_not_one_by_one(redis: FakeRedis, durable: Durable) -> None:
    whole = Whole(redis, durable)
    await whole.store.open()
    for _ in range(40):
        await whole.store.revocations.read(after=0)
        redis.add(b"n", b"x" * 100)
    await whole.store.revocations.read(after=0)
    assert whole.refused == []
    await whole.store.close()
    assert whole.refused == [("forged", 40)]


async def test_what_is_written_anywhere_touches(redis: FakeRedis, durable: Durable) -> None:
    a, b = [Whole(redis, durable) for _ in range(2)]
    for whole in (a, b):
        await whole.store.open()
        await whole.store.revocations.read(after=0)
    await turns()
    await b.store.revocations.read(after=0)
    assert not b.store.revocations.touched()
    await a.store.revocations.append(revocation())
    async with asyncio.timeout(20):
        while not b.store.revocations.touched():  # noqa: ASYNC110 - a glance has no event
            await asyncio.sleep(0)
    for whole in (a, b):
        await whole.store.close()


# presence: in both


async def test_a_beat_is_heard_while_either_is_away_and_the_newest_counts(redis: FakeRedis, durable: Durable) -> None:
    whole = Whole(redis, durable)
    presence = whole.store.presence
    await presence.beat(node(0))
    durable.away = True
    later = node(0, beat_at=NOW + 4)
    await presence.beat(later)
    await presence.beat(node(1, beat_at=NOW + 4))
    assert await presence.nodes(now=NOW + 5) == [later, node(1, beat_at=NOW + 4)]
    durable.away = False
    assert await presence.nodes(now=NOW + 5) == [later, node(1, beat_at=NOW + 4)]
    assert whole.notes == [
        "presence is kept by one store only: PostgreSQL is away",
        "presence is kept by both stores again",
    ]


async def test_a_command_keeps_no_presence_and_says_nothing_of_it(redis: FakeRedis, durable: Durable) -> None:
    whole = Whole(redis, durable, follows=False)
    durable.away = True
    assert await whole.store.presence.nodes(now=NOW) == []
    assert whole.notes == []


async def test_connections_lie_in_redis_alone_and_whoever_leaves_leaves_both(
    redis: FakeRedis, durable: Durable
) -> None:
    whole = Whole(redis, durable)
    presence = whole.store.presence
    await presence.beat(node(0))
    await presence.note(opened=[present("c1")], closed=())
    assert await presence.connections(now=NOW) == [present("c1")]
    assert list(await durable.presence.connections(now=NOW)) == []
    await presence.leave(node="gw-1", worker=0)
    assert await presence.nodes(now=NOW) == []
    assert list(await durable.presence.nodes(now=NOW)) == []


async def test_both_silent_is_an_error(durable: Durable) -> None:
    presence = ClusterPresence(durable.presence, durable.presence, note=lambda line: None)
    durable.away = True
    with pytest.raises(StoreError, match="PostgreSQL is away; and PostgreSQL is away"):
        await presence.nodes(now=NOW)


class Once:
    """Something that raises what nobody expected the first time, and is done ever after. `again` is set by then."""

    def __init__(self, deed: Callable[..., object]) -> None:
        self._deed = deed
        self._failed = False
        self.again = asyncio.Event()

    def __call__(self, *arguments: object, **more: object) -> object:
        if not self._failed:
            self._failed = True
            raise LookupError("a bug of ours")
        self.again.set()
        return self._deed(*arguments, **more)


@pytest.mark.parametrize("loop", ["durable log", "feed", "refused entries"])
@leaping
async def test_no_background_work_ends_by_a_bug_of_ours(redis: FakeRedis, durable: Durable, loop: str) -> None:
    """And telling of it fails as well (Whole): standard error may be gone."""
    whole = Whole(redis, durable)
    if loop == "durable log":
        once = whole.store._feed.kept = Once(whole.store._feed.kept)  # type: ignore[method-assign,assignment]
    elif loop == "feed":
        once = whole.link.reader = Once(whole.link.reader)  # type: ignore[method-assign,assignment]
    else:
        once = whole.store._tell = Once(whole.store._tell)  # type: ignore[method-assign,assignment]
    await whole.store.open()
    try:
        assert await asyncio.wait_for(whole.faults.get(), 30) == (loop, "LookupError")
        await asyncio.wait_for(once.again.wait(), 30)
    finally:
        await whole.store.close()


async def test_a_note_that_can_not_be_written_ends_no_following(redis: FakeRedis, durable: Durable) -> None:
    whole = Whole(redis, durable)
    whole.notes = Unwritten()
    whole.store._told.note("nobody hears it")
    await whole.store.open()
    try:
        durable.away = True
        await whole.store._following.poll()
        durable.away = False
        await whole.store._following.poll()
        assert whole.notes.tried >= 3
        assert not any(task.done() for task in whole.store._tasks)
    finally:
        await whole.store.close()
