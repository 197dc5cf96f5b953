"""Errands are kept until they are done, never fail in silence, and those that wait for nothing are done at once."""

import asyncio

from doorward.service.errands import Errands


async def test_an_errand_that_waits_for_nothing_is_done_at_once_and_one_that_waits_is_kept() -> None:
    errands = Errands(lambda name, error: None)
    some, done = asyncio.Event(), []

    async def work(number: int) -> None:
        if number:
            await some.wait()
        done.append(number)

    errands.begin("now", work(0))
    assert done == [0]
    errands.begin("later", work(1))
    errands.run("later", work(2))
    await asyncio.sleep(0)
    assert done == [0]
    some.set()
    await errands.finish(1.0)
    assert done == [0, 1, 2]


async def test_a_fault_is_told_however_it_was_begun() -> None:
    told: list[tuple[str, str]] = []
    errands = Errands(lambda name, error: told.append((name, type(error).__name__)))

    async def wrong(*, at_once: bool) -> None:
        if not at_once:
            await asyncio.sleep(0)
        raise LookupError

    errands.begin("one", wrong(at_once=True))
    errands.begin("two", wrong(at_once=False))
    errands.run("three", wrong(at_once=True))
    await errands.finish(1.0)
    assert sorted(told) == [("one", "LookupError"), ("three", "LookupError"), ("two", "LookupError")]


async def test_what_is_late_is_cancelled() -> None:
    errands = Errands(lambda name, error: None)
    for do in (errands.begin, errands.run):
        do("for ever", asyncio.Event().wait())  # type: ignore[arg-type]
    await errands.finish(0.01)
    await errands.finish(0.01)
