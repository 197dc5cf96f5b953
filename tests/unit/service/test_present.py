"""However many ask at once, the store is asked once; who hangs up takes nothing from the others."""

import asyncio
from collections.abc import Sequence

import pytest

from doorward.ports import PresentConnection, StoreError
from doorward.service.present import Present
from doorward.testing import FakeClock


class Slow:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.go = asyncio.Event()
        self.error: StoreError | None = None

    async def connections(self, *, now: float) -> Sequence[PresentConnection]:
        self.asked += 1
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return []


async def test_who_asks_meanwhile_gets_the_same_answer() -> None:
    store = Slow()
    present = Present(store, FakeClock())  # type: ignore[arg-type]
    asking = [asyncio.create_task(present.connections()) for _ in range(100)]
    await asyncio.sleep(0)
    asking[0].cancel()
    store.go.set()
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1:] == [[]] * 99
    assert store.asked == 1
    assert await present.connections() == []
    assert store.asked == 2, "and who asks afterwards asks anew"


async def test_a_failure_is_told_to_all_and_is_over() -> None:
    store = Slow()
    present = Present(store, FakeClock())  # type: ignore[arg-type]
    store.error = StoreError("away")
    asking = [asyncio.create_task(present.connections()) for _ in range(3)]
    await asyncio.sleep(0)
    store.go.set()
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert answers == [store.error] * 3
    store.error = None
    assert await present.connections() == []


async def test_if_nobody_waits_any_more_nobody_misses_a_failure() -> None:
    store = Slow()
    store.error = StoreError("away")
    present = Present(store, FakeClock())  # type: ignore[arg-type]
    asking = asyncio.create_task(present.connections())
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    store.go.set()
    with pytest.raises(StoreError):
        await present.connections()
