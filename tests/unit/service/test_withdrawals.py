"""The node's copies: each revocation is learnt once, however many ask at the same time; a ban counts at once."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

import pytest

from doorward.ports import LogBehindError
from doorward.service.withdrawals import Withdrawals
from doorward.testing import START, FakeClock
from doorward.values.ban import Ban
from doorward.values.credential import Kind
from doorward.values.principal import Identity, Principal
from doorward.values.revocation import Effect, Revocation, Target, TargetKind


def revocation(sequence: int, id: str = "", **more: Any) -> Revocation:
    target = Target(TargetKind.IDENTITY, "alice")
    return replace(Revocation(target, 0.0, Effect.CLOSE, "test", 100.0, sequence=sequence, id=id), **more)


class SlowLog:
    """Answers only when it is told to, so that questions overlap; each answer is of the moment it was asked."""

    def __init__(self) -> None:
        self.records = [revocation(1), revocation(2)]
        self.go = asyncio.Event()

    async def read(self, *, after: int) -> Sequence[Revocation]:
        found = [record for record in self.records if record.sequence > after]
        await self.go.wait()
        return found


async def test_overlapping_questions_tell_of_each_revocation_once() -> None:
    """Else it would be done twice, and the second acknowledgement, of 0 connections, take the place of the first."""
    log = SlowLog()
    withdrawals = Withdrawals(log, None, FakeClock())  # type: ignore[arg-type]
    told: list[int] = []
    withdrawals.on_new = lambda new: told.extend(record.sequence for record in new)
    first = asyncio.create_task(withdrawals.catch_up())
    await asyncio.sleep(0)
    log.records.append(revocation(3))
    second = asyncio.create_task(withdrawals.catch_up())
    await asyncio.sleep(0)
    log.go.set()
    await asyncio.gather(first, second)
    assert told == [1, 2, 3]
    assert withdrawals.cursor == 3
    assert len(withdrawals) == 3


class Log:
    """Says what it is told to say."""

    def __init__(self) -> None:
        self.says: list[Revocation] = []
        self.behind = ""

    async def read(self, *, after: int) -> Sequence[Revocation]:
        found = [one for one in self.says if one.sequence == 0 or one.sequence > after]
        if self.behind:
            raise LogBehindError(self.behind, found)
        return found


class Learning:
    """Withdrawals over such a log, and what they told whom they tell."""

    def __init__(self) -> None:
        self.log = Log()
        self.clock = FakeClock()
        self.told: list[str] = []
        self.withdrawals = Withdrawals(self.log, None, self.clock)  # type: ignore[arg-type]
        self.withdrawals.on_new = lambda new: self.told.extend(one.id for one in new)

    async def hear(self, *says: Revocation) -> None:
        self.log.says = list(says)
        await self.withdrawals.catch_up()

    def known(self) -> list[tuple[str, int]]:
        principal = Principal(ALICE, Kind.TOKEN, issued_at=0.0, expires_at=100.0)
        return [(one.id, one.sequence) for one in self.withdrawals.candidates(principal, "c1")]


async def test_what_is_not_durable_yet_is_learnt_once_and_moves_no_cursor() -> None:
    it = Learning()
    for _ in range(3):
        await it.hear(revocation(0, "a"))
    assert (it.told, it.withdrawals.cursor, it.known()) == (["a"], 0, [("a", 0)])


async def test_what_becomes_durable_gets_its_place_and_is_not_done_again() -> None:
    it = Learning()
    await it.hear(revocation(0, "a"), revocation(1, "b"))
    await it.hear(revocation(1, "b"), revocation(2, "a"))
    assert (it.told, it.withdrawals.cursor) == (["a", "b"], 2)
    assert it.known() == [("a", 2), ("b", 1)]
    await it.hear(revocation(0, "a"))
    assert (it.told, it.known()) == (["a", "b"], [("a", 2), ("b", 1)])


async def test_what_is_known_of_a_log_that_is_behind_is_acted_on_and_the_question_fails() -> None:
    """Nobody comes in by it, and nobody stays who is known to be revoked."""
    it = Learning()
    it.log.behind = "the durable log is away"
    with pytest.raises(LogBehindError):
        await it.hear(revocation(1, "a"), revocation(0, "b"))
    assert (it.told, it.withdrawals.cursor) == (["a", "b"], 1)
    with pytest.raises(LogBehindError):
        await it.withdrawals.be_fresh(now=it.clock.now())


async def test_an_id_whose_place_has_another_target_counts_as_the_log_has_it() -> None:
    """Two calls with one id raced while nothing could be durable: the log has taken one of them."""
    it = Learning()
    await it.hear(revocation(0, "a", target=Target(TargetKind.IDENTITY, "bob")))
    assert it.known() == []
    await it.hear(revocation(1, "a"))
    assert (it.told, it.known(), len(it.withdrawals)) == (["a", "a"], [("a", 1)], 1)


async def test_candidates_are_of_their_moment_while_the_log_grows() -> None:
    it = Learning()
    await it.hear(revocation(1, "a"))
    principal = Principal(ALICE, Kind.TOKEN, issued_at=0.0, expires_at=100.0)
    before = it.withdrawals.candidates(principal, "c1")
    assert it.withdrawals.candidates(principal, "c1") is before, "asked again, it costs nothing"
    await it.hear(revocation(2, "b"))
    assert [one.id for one in before] == ["a"]
    assert it.known() == [("a", 1), ("b", 2)]


async def test_learning_many_of_one_target_copies_none_of_them_for_each_other() -> None:
    """60,000 of one subject took two minutes: each made a copy of all before it."""
    it = Learning()
    began = time.process_time()
    await it.hear(*(revocation(place, f"id{place}") for place in range(1, 10_001)))
    await it.hear(*(revocation(0, f"late{place}") for place in range(10_000)))
    await it.hear(*(revocation(10_001 + place, f"late{place}") for place in range(10_000)))
    assert len(it.known()) == 20_000
    assert time.process_time() - began < 5


async def test_without_an_id_the_place_in_the_log_tells_them_apart() -> None:
    it = Learning()
    await it.hear(revocation(1), revocation(2))
    await it.hear(revocation(2), revocation(3))
    assert (it.told, len(it.withdrawals)) == (["", "", ""], 3)


async def test_an_id_is_forgotten_with_its_revocation() -> None:
    it = Learning()
    now = it.clock.now()
    await it.hear(revocation(1, "a", expires_at=now + 10), revocation(2, "b", expires_at=now + 1000))
    it.clock.advance(11)
    it.withdrawals.forget()
    await it.hear(revocation(0, "a", expires_at=now + 2000), revocation(0, "b"))
    assert it.told == ["a", "b", "a"]


ALICE = Identity("https://login.example.com/", "alice", "")
SOMEBODY = IPv4Address("192.0.2.7")


class SlowBans:
    """Bans whose rows come only when the test says so; each answer is of the moment it was asked."""

    def __init__(self) -> None:
        self.bans: list[Ban] = []
        self.reads: list[asyncio.Event] = []

    def add(self, subject: str) -> None:
        self.bans.append(Ban(None, subject, None, None, "test", START, None))

    async def version(self) -> int:
        return len(self.bans)

    async def all(self, *, now: float) -> Sequence[Ban]:
        found = list(self.bans)
        self.reads.append(asyncio.Event())
        await self.reads[-1].wait()
        return found


class QuickBans(SlowBans):
    async def all(self, *, now: float) -> Sequence[Ban]:
        return list(self.bans)


async def test_a_ban_counts_for_a_renewal_however_lately_a_handshake_has_asked() -> None:
    """A renewal asks for no address, so nothing else would make the copy as young as the question."""
    bans = QuickBans()
    withdrawals = Withdrawals(None, bans, FakeClock())  # type: ignore[arg-type]
    assert await withdrawals.ban_on_address(SOMEBODY, now=START) is None
    bans.add("alice")
    assert await withdrawals.ban_on_identity(ALICE, now=START + 0.001) is not None


async def test_nobody_is_answered_from_the_copy_that_another_question_is_replacing() -> None:
    bans = SlowBans()
    withdrawals = Withdrawals(None, bans, FakeClock())  # type: ignore[arg-type]
    bans.add("alice")
    address = asyncio.create_task(withdrawals.ban_on_address(SOMEBODY, now=START))
    await asyncio.sleep(0)
    identity = asyncio.create_task(withdrawals.ban_on_identity(ALICE, now=START))
    await asyncio.sleep(0)
    for read in bans.reads:
        read.set()
    assert await address is None
    assert await identity is not None


async def test_rows_that_come_late_do_not_take_the_place_of_newer_ones() -> None:
    bans = SlowBans()
    withdrawals = Withdrawals(None, bans, FakeClock())  # type: ignore[arg-type]
    bans.add("bob")
    early = asyncio.create_task(withdrawals.ban_on_address(SOMEBODY, now=START))
    await asyncio.sleep(0)
    bans.add("alice")
    late = asyncio.create_task(withdrawals.ban_on_identity(ALICE, now=START))
    await asyncio.sleep(0)
    bans.reads[1].set()
    assert await late is not None
    bans.reads[0].set()
    await early
    asked = len(bans.reads)
    assert await withdrawals.ban_on_identity(ALICE, now=START) is not None
    assert len(bans.reads) == asked, "nothing has changed since the newer rows"


async def test_the_newest_come_first_page_by_page() -> None:
    log = Log()
    withdrawals = Withdrawals(log, None, FakeClock())  # type: ignore[arg-type]
    log.says = [revocation(place, f"id{place}") for place in (1, 2, 4, 7, 8)]
    await withdrawals.catch_up()
    assert [one.sequence for one in withdrawals.newest(limit=2)] == [8, 7]
    assert [one.sequence for one in withdrawals.newest(before=7, limit=2)] == [4, 2]
    assert [one.sequence for one in withdrawals.newest(before=5, limit=9)] == [4, 2, 1]
    assert [one.sequence for one in withdrawals.newest(before=1, limit=9)] == []
    assert withdrawals.find("id4") == log.says[2]
    assert withdrawals.find("id3") is None


async def test_what_has_no_place_yet_stands_first_and_then_where_it_belongs() -> None:
    log = Log()
    withdrawals = Withdrawals(log, None, FakeClock())  # type: ignore[arg-type]
    log.says = [revocation(0, "late"), revocation(0, "later"), revocation(1, "one"), revocation(2, "two")]
    for _ in range(2):  # they are said each time anew
        await withdrawals.catch_up()
        assert [one.id for one in withdrawals.newest(limit=3)] == ["later", "late", "two"]
    assert [one.id for one in withdrawals.newest(limit=1)] == ["later"]
    assert [one.id for one in withdrawals.newest(before=3, limit=3)] == ["two", "one"]
    log.says = [revocation(1, "one"), revocation(2, "two"), revocation(3, "late"), revocation(4, "later")]
    await withdrawals.catch_up()
    assert [one.id for one in withdrawals.newest(limit=9)] == ["later", "late", "two", "one"]
    found = withdrawals.find("late")
    assert found is not None
    assert found.sequence == 3


async def test_what_is_forgotten_is_listed_no_more() -> None:
    log = Log()
    clock = FakeClock()
    withdrawals = Withdrawals(log, None, clock)  # type: ignore[arg-type]
    log.says = [revocation(0, "unplaced", expires_at=START + 5), revocation(1, "short", expires_at=START + 5)]
    log.says.append(revocation(2, "long", expires_at=START + 50))
    await withdrawals.catch_up()
    clock.advance(10)
    withdrawals.forget()
    assert [one.id for one in withdrawals.newest(limit=9)] == ["long"]
    assert [withdrawals.find(id) for id in ("short", "unplaced")] == [None, None]
