"""Sharing: one asking answers all who came before it began, and nobody who came later."""

import asyncio

import pytest

from doorward.adapters.stores.cluster.sharing import Sharing
from doorward.ports import StoreError
from tests.unit.adapters.stores.nodes import turns


class Work:
    """Runs until it is told to go on."""

    def __init__(self) -> None:
        self.runs = 0
        self.go = asyncio.Semaphore(0)
        self.fails = False

    async def __call__(self) -> None:
        self.runs += 1
        await self.go.acquire()
        if self.fails:
            raise ValueError("it failed")


async def test_all_who_come_at_once_share_one_run() -> None:
    work = Work()
    sharing = Sharing(work)
    asked = [sharing() for _ in range(50)]
    work.go.release()
    await asyncio.gather(*asked)
    assert work.runs == 1


async def test_who_comes_while_it_runs_is_answered_by_the_next() -> None:
    work = Work()
    sharing = Sharing(work)
    first = sharing()
    await turns()
    later = [sharing() for _ in range(3)]
    work.go.release()
    await first
    await turns()
    assert not any(one.done() for one in later)
    work.go.release()
    await asyncio.gather(*later)
    assert work.runs == 2


async def test_a_failure_is_everybodys_and_the_next_run_begins_anew() -> None:
    work = Work()
    work.fails = True
    sharing = Sharing(work)
    asked = [sharing() for _ in range(3)]
    work.go.release()
    assert [type(error) for error in await asyncio.gather(*asked, return_exceptions=True)] == [ValueError] * 3
    work.fails = False
    work.go.release()
    await sharing()


async def test_who_is_cancelled_takes_nobody_along() -> None:
    work = Work()
    sharing = Sharing(work)
    first, second = sharing(), sharing()
    await turns()
    first.cancel()
    work.go.release()
    await second
    assert first.cancelled()


async def test_at_the_end_nobody_waits_for_ever() -> None:
    work = Work()
    sharing = Sharing(work)
    running = sharing()
    await turns()
    waiting = sharing()
    sharing.end()
    for one in (running, waiting):
        with pytest.raises(StoreError, match="closed"):
            await one
