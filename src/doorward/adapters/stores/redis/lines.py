"""Every connection of one life of the link: to one server, or to each master of a Redis Cluster.

They live and end together. A question goes to the line that serves its keys; where the cluster sends it on (MOVED, ASK,
TRYAGAIN) it follows, since a server that sends it on has done nothing with it.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from doorward.adapters.stores.redis.address import RedisAddress
from doorward.adapters.stores.redis.call import ASKING, Call, packed_load
from doorward.adapters.stores.redis.line import Line
from doorward.adapters.stores.redis.opening import check_server, read_sections, words_of
from doorward.adapters.stores.redis.slot_map import Node, SlotMapError, nodes_of, read_slots
from doorward.ports import StoreError

MOST_HOPS: Final = 8
TRY_AGAIN_AFTER: Final = 0.02
JOINS_WITHIN: Final = 2.0
# A script met a key that a moving slot has taken along, and stopped there. All of ours may be run again from the start.
_NOT_HERE: Final = "attempted to access a non local key"

Lost = Callable[[str], None]


class Lines:
    """`lost` is called once, with why, when one of them ends: then all of them are of no use any more."""

    def __init__(self, address: RedisAddress, *, lost: Lost) -> None:
        self._address = address
        self._told_lost = lost
        self._loop = asyncio.get_running_loop()
        self._lines: dict[Node, Line] = {}
        self._only: Line | None = None
        self._masters: list[Node] = []
        self._opening: dict[Node, asyncio.Task[None]] = {}
        self._over = False
        self.why = ""

    async def open(self, seeds: list[Node]) -> None:
        """Connect to all that serve anything, asking the `seeds` in turn who they are. Raises StoreError."""
        if self._address.cluster:
            self._masters = await self._ask_for_map(seeds)
            await self._connect_all(nodes_of(self._masters))
        else:
            await self._connect((self._address.host, self._address.port))
        if self._over:
            raise StoreError(self.why)

    async def _connect_all(self, nodes: list[Node]) -> None:
        opening = [asyncio.ensure_future(self._connect(node)) for node in nodes]
        try:
            await asyncio.gather(*opening)
        finally:
            for one in opening:
                one.cancel()
            await asyncio.gather(*opening, return_exceptions=True)

    @property
    def nodes(self) -> list[Node]:
        return list(self._lines)

    @property
    def each(self) -> list[Line]:
        return list(self._lines.values())

    def send(self, call: Call) -> None:
        """To the line that serves it. Raises StoreError."""
        (self._only or self._line(call.slot)).send(call)

    def life(self, slot: int) -> str:
        """Which life of which server serves a slot: another one after a restart or a failover. Raises StoreError."""
        return self._line(slot).life

    def address(self, slot: int) -> RedisAddress:
        """Who serves a slot. Raises StoreError."""
        return self._line(slot).address

    async def close(self) -> None:
        self._over = True
        tasks = list(self._opening.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *(line.close() for line in self._lines.values()), return_exceptions=True)

    def _line(self, slot: int) -> Line:
        try:
            return self._only or self._lines[self._masters[slot]]
        except (IndexError, KeyError):
            raise StoreError(f"{self._address.shown}: nobody serves slot {slot} now") from None

    async def _ask_for_map(self, seeds: list[Node]) -> list[Node]:
        why = "no node of it is known"
        for seed in seeds:
            line = Line(self._address.at(*seed), lost=lambda _: None, refused=_nobody_asked)
            try:
                await line.open()
                if read_sections(await line.ask("INFO", "cluster")).get("cluster_enabled") != "1":
                    raise StoreError("it is no node of a Redis Cluster: begin store.cluster_url with redis://")
                told = read_sections(await line.ask("CLUSTER", "INFO"))
                if told.get("cluster_state") != "ok":
                    raise StoreError("the cluster says that it is down")
                return read_slots(await line.ask("CLUSTER", "SLOTS"), asked=seed)
            except (RedisError, OSError, StoreError, SlotMapError) as error:
                why = f"{seed[0]}:{seed[1]}: {words_of(error)}"
            finally:
                await line.close()
        raise StoreError(why)

    async def _connect(self, node: Node) -> None:
        line = Line(self._address.at(*node), lost=self._lost, refused=self._refused)
        try:
            await line.open()
            await check_server(line)
            line.begin()
        except BaseException as error:
            await line.close()
            if isinstance(error, RedisError | OSError):
                raise StoreError(words_of(error)) from None
            raise
        self._lines[node] = line
        if not self._address.cluster:
            self._only = line

    def _lost(self, why: str) -> None:
        if not self._over:
            self._over, self.why = True, why
            self._told_lost(why)

    # what was not done, and why

    def _refused(self, line: Line, call: Call, error: ResponseError) -> None:
        call.hops += 1
        if isinstance(error, TryAgainError) or _NOT_HERE in str(error):
            self._loop.call_later(TRY_AGAIN_AFTER, self._again, call)
            return
        if call.hops > MOST_HOPS:
            call.future.set_exception(StoreError(f"{self._address.shown}: sent from node to node: {error}"))
            return
        match error:
            case NoScriptError() if call.script is not None:
                # Where it came by ASK it must come by ASK again, which counts for the very next command only.
                line.send(call, packed_load(call.script), *((ASKING,) if self._masters else ()))
            case MovedError() if self._masters and (moved := _node(error, line)) in self._lines:
                self._masters[call.slot] = moved
                self._send_to(moved, call)
            case MovedError() if self._masters:
                # A master that was none before: a replica that took over, which may not have heard all. So we begin
                # anew, and what is ours is put back.
                self._lost(f"slot {call.slot} is served by {error.host}:{error.port} now")
            case AskError() if self._masters:
                self._send_to(_node(error, line), call, ASKING)
            case ReadOnlyError() | ClusterDownError():
                # It is no master any more, or serves nothing: whoever is will be found when we connect again.
                call.future.set_exception(StoreError(f"{self._address.shown}: {error}"))
                self._lost(str(error))
            case OutOfMemoryError():
                call.future.set_exception(StoreError(f"{self._address.shown} is full (maxmemory): {error}"))
            case _:
                call.future.set_exception(StoreError(f"{self._address.shown}: {error}"))

    def _send_to(self, node: Node, call: Call, *before: bytes) -> None:
        line = self._lines.get(node)
        if line is not None:
            line.send(call, *before)
            return
        if node not in self._opening:
            self._opening[node] = asyncio.create_task(self._join(node), name=f"redis joins {node[0]}:{node[1]}")
        self._opening[node].add_done_callback(lambda _: self._joined(node, call, before))

    async def _join(self, node: Node) -> None:
        """A master that was not there when we connected."""
        try:
            async with asyncio.timeout(JOINS_WITHIN):
                await self._connect(node)
        except (StoreError, TimeoutError) as error:
            self._lost(f"{node[0]}:{node[1]}: {str(error) or 'no connection'}")
        finally:
            del self._opening[node]

    def _joined(self, node: Node, call: Call, before: tuple[bytes, ...]) -> None:
        line = self._lines.get(node)
        if line is not None and not call.future.done():
            line.send(call, *before)

    def _again(self, call: Call) -> None:
        if call.future.done():
            return
        try:
            self.send(call)
        except StoreError as error:
            call.future.set_exception(error)


def _nobody_asked(line: Line, call: Call, error: ResponseError) -> None:
    """A line that was never begun has no calls."""


def _node(error: AskError, line: Line) -> Node:
    """A node that knows no name of its own means the host that we asked."""
    return error.host or line.address.host, error.port
