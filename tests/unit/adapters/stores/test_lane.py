"""A lane: bounded in time and number, one wake a batch, closed when all is done, and nothing left when the loop is."""

import asyncio
import logging
import sqlite3
from collections.abc import Sequence
from threading import Event

import pytest

from doorward.adapters.stores.sqlite.lane import Job, Lane, Settle
from doorward.ports import StoreError


class Counting:
    """Hands that give every job its number, and hold until they may go on."""

    def __init__(self) -> None:
        self.go = Event()
        self.go.set()
        self.begun = Event()
        self.batches: list[int] = []
        self.done = 0
        self.ended = Event()

    def run(self, jobs: Sequence[Job], settle: Settle) -> None:
        self.begun.set()
        self.go.wait(10)
        self.batches.append(len(jobs))
        for job in jobs:
            self.done += 1
            job.result = self.done
        settle(jobs)

    def end(self) -> None:
        self.ended.set()


def nothing(connection: sqlite3.Connection) -> int:
    return 0


async def test_what_comes_in_one_turn_of_the_loop_is_one_batch() -> None:
    hands = Counting()
    lane = Lane(hands, name="lane")
    assert await asyncio.gather(*(lane.do(nothing) for _ in range(20))) == list(range(1, 21))
    assert await lane.do(nothing) == 21
    assert hands.batches == [20, 1]
    await lane.close()


async def test_a_batch_has_a_most() -> None:
    hands = Counting()
    lane = Lane(hands, name="lane", batch=8)
    await asyncio.gather(*(lane.do(nothing) for _ in range(20)))
    assert hands.batches == [8, 8, 4]
    await lane.close()


async def test_too_many_that_wait_are_refused_at_once() -> None:
    hands = Counting()
    hands.go.clear()
    lane = Lane(hands, name="lane", most_waiting=3)
    waiting = [lane.do(nothing) for _ in range(3)]
    with pytest.raises(StoreError, match="3 calls wait"):
        lane.do(nothing)
    hands.go.set()
    await asyncio.gather(*waiting)
    assert await lane.do(nothing) == 4
    await lane.close()


async def test_every_job_ends_at_its_deadline() -> None:
    hands = Counting()
    hands.go.clear()
    lane = Lane(hands, name="lane", deadline=0.05)
    first = lane.do(nothing)
    await asyncio.to_thread(hands.begun.wait, 10)
    loop = asyncio.get_running_loop()
    second_at = loop.time()
    second = lane.do(nothing)
    for late in (first, second):
        with pytest.raises(StoreError, match="no answer"):
            await late
    assert loop.time() - second_at >= 0.045
    hands.go.set()
    assert await lane.do(nothing) == 3
    await lane.close()


async def test_closing_does_what_waits_and_then_ends_the_thread() -> None:
    hands = Counting()
    lane = Lane(hands, name="lane")
    jobs = [lane.do(nothing) for _ in range(5)]
    await lane.close()
    assert [job.result() for job in jobs] == [1, 2, 3, 4, 5]
    assert hands.ended.is_set()
    with pytest.raises(StoreError, match="closed"):
        lane.do(nothing)
    await lane.close()


async def test_closing_a_lane_that_hangs_ends_at_the_deadline() -> None:
    hands = Counting()
    hands.go.clear()
    lane = Lane(hands, name="lane", deadline=0.05)
    job = lane.do(nothing)
    with pytest.raises(StoreError, match="did not end"):
        await lane.close()
    hands.go.set()
    await lane.close()
    assert job.done()


async def test_what_nobody_waits_for_is_logged_when_it_fails(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Counting):
        def run(self, jobs: Sequence[Job], settle: Settle) -> None:
            for job in jobs:
                job.error = StoreError("the disk is full")
            settle(jobs)

    lane = Lane(Failing(), name="lane")
    with caplog.at_level(logging.WARNING):
        over: list[str] = []
        assert lane.post(nothing, then=lambda: over.append("over")) is True
        await lane.close()
        assert lane.post(nothing) is False
        await asyncio.sleep(0)
    assert over == ["over"]
    assert sorted(record.getMessage() for record in caplog.records) == [
        "not done: the disk is full",
        "not done: the store is closed",
    ]


def test_a_loop_that_ends_first_leaves_no_thread() -> None:
    hands = Counting()
    hands.go.clear()

    async def leave() -> None:
        lane = Lane(hands, name="lane")
        lane.do(nothing)
        await asyncio.to_thread(hands.begun.wait, 10)

    asyncio.run(leave())
    hands.go.set()
    assert hands.ended.wait(10)
