"""The connections to PostgreSQL: a bug of ours costs one call, and no connection its turn for ever."""

import asyncio
from typing import Any

import pytest

from doorward.adapters.stores.postgres.link import Link
from doorward.ports import StoreError
from tests.unit.leaping import leaping


class Place:
    """Where nobody ever gets in: first by a bug of ours, so many times."""

    def __init__(self, bugs: int) -> None:
        self.bugs = bugs

    async def connect(self) -> Any:
        if self.bugs:
            self.bugs -= 1
            raise LookupError
        raise StoreError("PostgreSQL is away")


class Gone:
    """The connection that was there when the store opened."""

    closed = True

    async def close(self) -> None:
        """It is."""


async def link(bugs: int, told: list[str]) -> Link:
    def fault(where: str, error: BaseException) -> None:
        told.append(where)
        raise BrokenPipeError(32, "Broken pipe")

    made = Link(Place(bugs), probe="SELECT 1", size=1, deadline=30.0, fault=fault)  # type: ignore[arg-type]
    await made.open(Gone())  # type: ignore[arg-type]
    return made


@leaping
async def test_a_connection_with_a_bug_of_ours_fails_that_call_and_takes_the_next() -> None:
    told: list[str] = []
    only = await link(1, told)
    try:
        with pytest.raises(StoreError, match="not done: LookupError"):
            await only.ask("SELECT 1")
        with pytest.raises(StoreError, match="is away"):
            await asyncio.wait_for(only.ask("SELECT 1"), 20)
        assert told == ["postgres lane"]
    finally:
        await only.close()


@leaping
async def test_the_probe_goes_on_after_a_bug_of_ours() -> None:
    told: list[str] = []
    only = await link(0, told)
    try:
        only._place.bugs = 1  # type: ignore[attr-defined]
        only.lose("no answer")
        assert only._probe is not None
        async with asyncio.timeout(30):
            while only._away != "PostgreSQL is away":
                await asyncio.wait([only._probe], timeout=0.01)
        assert told == ["postgres probe"]
        assert not only._probe.done()
    finally:
        await only.close()
