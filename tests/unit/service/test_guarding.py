"""A loop that fails is told of and goes on, even where nobody can be told."""

import asyncio
import logging

import pytest

from doorward.service.guarding import guarded, log_fault


class Loop:
    """Fails so many times, then waits until it is cancelled, or returns where it is `over`."""

    def __init__(self, fails: int, *, over: bool = False) -> None:
        self.fails = fails
        self.over = over
        self.runs = 0
        self.goes_on = asyncio.Event()

    async def __call__(self) -> None:
        self.runs += 1
        if self.runs <= self.fails:
            raise OSError(32, "Broken pipe")
        self.goes_on.set()
        if not self.over:
            await asyncio.Event().wait()


def untold(where: str, error: BaseException) -> None:
    raise OSError(28, "No space left")


async def test_what_fails_is_told_and_begun_again() -> None:
    told: list[tuple[str, str]] = []
    loop = Loop(2)

    def fault(where: str, error: BaseException) -> None:
        told.append((where, type(error).__name__))

    task = asyncio.create_task(guarded("loop", loop, fault=fault, pause=0))
    await asyncio.wait_for(loop.goes_on.wait(), 10)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert told == [("loop", "BrokenPipeError")] * 2


async def test_it_goes_on_where_it_can_not_be_told() -> None:
    loop = Loop(2)
    task = asyncio.create_task(guarded("loop", loop, fault=untold, pause=0))
    await asyncio.wait_for(loop.goes_on.wait(), 10)
    task.cancel()
    await asyncio.wait([task])
    assert loop.runs == 3


async def test_work_that_is_over_is_over() -> None:
    loop = Loop(1, over=True)
    await guarded("loop", loop, fault=untold, pause=0)
    assert loop.runs == 2


def test_without_a_stream_of_events_it_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        log_fault("sweeps", LookupError())
    assert "fault in sweeps" in caplog.text
