"""Who is there, said in both stores, so that a revocation knows whom to expect while one of them is away.

The rows of connections are in Redis alone: they are many, and nothing hangs on them but a list.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from doorward.adapters.stores.terms import ALIVE_WITHIN
from doorward.ports import Presence, PresentConnection, PresentNode, StoreError

T = TypeVar("T")


class ClusterPresence:
    """`note` None: a command's, which only reads, and has said already which store is away."""

    def __init__(self, durable: Presence, shared: Presence, *, note: Callable[[str], None] | None) -> None:
        self._durable = durable
        self._shared = shared
        self._note = note
        self._missing = ""

    async def beat(self, node: PresentNode) -> None:
        await self._one_of(self._durable.beat(node), self._shared.beat(node))

    async def leave(self, *, node: str, worker: int) -> None:
        await self._one_of(self._durable.leave(node=node, worker=worker), self._shared.leave(node=node, worker=worker))

    async def nodes(self, *, now: float) -> Sequence[PresentNode]:
        return _newest(await self._one_of(self._durable.nodes(now=now), self._shared.nodes(now=now)))

    async def unheard(self, *, now: float) -> Sequence[PresentNode]:
        """In either: who left while one of the two was away is named for nothing, and better so than left out."""
        lost = await self._one_of(self._durable.unheard(now=now), self._shared.unheard(now=now))
        nodes = _newest([*lost, await self.nodes(now=now)])
        return [node for node in nodes if now - node.beat_at > ALIVE_WITHIN]

    async def note(self, *, opened: Sequence[PresentConnection], closed: Sequence[str]) -> None:
        await self._shared.note(opened=opened, closed=closed)

    async def connections(self, *, now: float) -> Sequence[PresentConnection]:
        return await self._shared.connections(now=now)

    async def _one_of(self, durable: Awaitable[T], shared: Awaitable[T]) -> list[T]:
        """What those answered that did, noted once when one begins to fail. Raises StoreError when both do."""
        answers: list[T] = []
        failures: list[str] = []
        for answer in await asyncio.gather(durable, shared, return_exceptions=True):
            if isinstance(answer, StoreError):
                failures.append(str(answer))
            elif isinstance(answer, BaseException):
                raise answer
            else:
                answers.append(answer)
        if not answers:
            raise StoreError("; and ".join(failures))
        missing = failures[0] if failures else ""
        if self._note is not None and bool(missing) != bool(self._missing):
            lost = f"presence is kept by one store only: {missing}"
            self._note(lost if missing else "presence is kept by both stores again")
        self._missing = missing
        return answers


def _newest(lists: Iterable[Iterable[PresentNode]]) -> list[PresentNode]:
    """Of each worker the newest heartbeat, in order of node and worker."""
    found: dict[tuple[str, int], PresentNode] = {}
    for nodes in lists:
        for node in nodes:
            known = found.get((node.node, node.worker))
            if known is None or node.beat_at > known.beat_at:
                found[node.node, node.worker] = node
    return [found[place] for place in sorted(found)]
