"""A limit ends what takes too long, and hears everybody else; what waits for nothing needs no task."""

import asyncio
from collections.abc import Coroutine

import pytest

from doorward.service.within import Within, begin


async def test_what_is_quick_is_not_disturbed() -> None:
    with Within(0.01) as limit:
        await asyncio.sleep(0)
        limit.again(60.0)
    await asyncio.sleep(0.02)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def waiting(seconds: float, again: float | None = None) -> None:
    with Within(seconds) as limit:
        if again is not None:
            limit.again(again)
        await asyncio.Event().wait()


async def test_what_takes_too_long_is_ended() -> None:
    for seconds, again in ((0.0, None), (0.0, None), (60.0, 0.0)):
        with pytest.raises(TimeoutError):
            await waiting(seconds, again)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_an_error_stays_what_it_is() -> None:
    with pytest.raises(LookupError), Within(60.0):
        raise LookupError


async def test_another_s_cancellation_is_heard_even_at_the_same_moment() -> None:
    loop = asyncio.get_running_loop()
    for seconds in (60.0, 0.0):
        task = asyncio.create_task(waiting(seconds))
        await asyncio.sleep(0)
        # with no time at all both come in one turn of the loop, the limit first
        loop.call_later(0.0, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_limit_within_a_limit_ends_itself_alone() -> None:
    with Within(60.0):
        with pytest.raises(TimeoutError):
            await waiting(0.0)
        await asyncio.sleep(0)


def test_it_is_a_task_s() -> None:
    async def outside() -> None:
        loop = asyncio.get_running_loop()
        told: asyncio.Future[BaseException] = loop.create_future()

        def callback() -> None:
            try:
                with Within(1.0):
                    pass
            except RuntimeError as error:
                told.set_result(error)

        loop.call_soon(callback)
        assert "task" in str(await told)

    asyncio.run(outside())


async def test_what_waits_for_nothing_needs_no_task() -> None:
    seen = []

    async def work() -> None:
        with Within(0.0):
            seen.append(1)

    assert begin(work()) is None
    assert seen == [1]
    await asyncio.sleep(0.01)


async def test_what_waits_goes_on_in_a_task_with_its_limits_and_can_be_cancelled() -> None:
    for seconds, outcome in ((0.0, TimeoutError), (60.0, asyncio.CancelledError)):
        task = begin(waiting(seconds), name="it")
        assert task is not None
        assert task.get_name() == "it"
        if seconds:
            asyncio.get_running_loop().call_soon(task.cancel)
        with pytest.raises(outcome):
            await task


async def test_it_is_handed_what_it_waits_for_and_what_is_thrown() -> None:
    loop = asyncio.get_running_loop()
    first, second = loop.create_future(), loop.create_future()
    seen: list[object] = []

    async def work() -> None:
        seen.append(await first)
        try:
            await second
        except LookupError as error:
            seen.append(error)
        await asyncio.sleep(0)
        with Within(60.0):
            await asyncio.sleep(0)
        seen.append("end")

    task = begin(work())
    assert task is not None
    first.set_result("one")
    await asyncio.sleep(0)
    second.set_exception(error := LookupError())
    await task
    assert seen == ["one", error, "end"]


async def test_an_error_before_the_first_wait_is_the_beginner_s() -> None:
    async def work() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        begin(work())


async def test_limits_are_those_of_what_entered_them() -> None:
    """Of one thing begun within another, and of the task from which both are begun."""
    inner: list[asyncio.Task[None] | None] = []

    async def outer() -> None:
        with Within(60.0):
            inner.append(begin(waiting(0.0)))
            await asyncio.sleep(0.02)

    with Within(60.0):
        task = begin(outer())
        assert task is not None
        await task
    assert inner[0] is not None
    with pytest.raises(TimeoutError):
        await inner[0]


@pytest.mark.parametrize("is_done", [False, True])
async def test_who_is_cancelled_before_the_task_s_first_step_is_told(*, is_done: bool) -> None:
    """A peer may leave in the very pass of the loop in which its handshake began to wait."""
    loop = asyncio.get_running_loop()
    awaited = loop.create_future()
    seen: list[str] = []

    async def work() -> None:
        try:
            await awaited
        except asyncio.CancelledError:
            seen.append(f"told, {awaited.cancelled()}")
            await asyncio.sleep(0)
            seen.append("ended")
            raise

    task = begin(work())
    assert task is not None
    if is_done:
        awaited.set_result(None)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == [f"told, {not is_done}", "ended"]


async def test_the_task_runs_a_coroutine_and_no_generator() -> None:
    """Since Python 3.12 a task of a generator is a TypeError."""
    loop = asyncio.get_running_loop()
    given: list[object] = []

    def factory(loop, work, **more):
        given.append(work)
        return asyncio.Task(work, loop=loop, **more)

    loop.set_task_factory(factory)
    try:
        task = begin(asyncio.sleep(0))
    finally:
        loop.set_task_factory(None)
    assert task is not None
    await task
    assert [isinstance(work, Coroutine) for work in given] == [True]
