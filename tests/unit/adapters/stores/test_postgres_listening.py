"""The listening goes on, whatever is wrong with it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from doorward.adapters.stores.postgres.listening import Listener
from tests.unit.leaping import leaping


class Connection:
    """One that hears nothing: the first has a bug in it."""

    closed = True

    def __init__(self, bug: Exception | None) -> None:
        self._bug = bug
        self.heard = asyncio.Event()
        self.over = asyncio.Event()

    async def execute(self, *_: object, **__: object) -> None:
        """Whatever is asked is answered."""

    async def notifies(self, *, timeout: float) -> AsyncIterator[Any]:  # noqa: ASYNC109 - psycopg's own
        self.heard.set()
        if self._bug is not None:
            raise self._bug
        await self.over.wait()
        return
        yield

    async def close(self) -> None:
        self.over.set()


class Link:
    """As far as a listener needs it."""

    def __init__(self, *bugs: Exception | None) -> None:
        self.connections = [Connection(bug) for bug in bugs]
        self._left = list(self.connections)
        self.told: list[tuple[str, str]] = []

    async def connect(self, *, within: float | None = None) -> Connection:
        return self._left.pop(0)

    def fault(self, where: str, error: BaseException) -> None:
        self.told.append((where, str(error)))


@leaping
async def test_a_bug_is_told_and_the_listening_begun_anew() -> None:
    link = Link(ZeroDivisionError("a bug"), None)
    listener = Listener(link, within=1.0)  # type: ignore[arg-type]
    await listener.open(within=1.0)
    first, second = link.connections
    await second.heard.wait()
    assert link.told == [("postgres listening", "a bug")]
    assert first.over.is_set()
    assert (listener.listens, listener.lives) == (True, 2)
    second.over.set()
    await listener.close()
    assert not listener.listens
