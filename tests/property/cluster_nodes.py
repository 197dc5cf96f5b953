"""Stores in processes of their own, which a property test can really kill: one for each node of its cluster.

A child holds one store at a time, opened as one node would, and the node's copy of the revocation log over it. What it
is asked comes by a pipe and is answered in order. One that was not killed serves the next example.
"""

import asyncio
import ctypes
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from doorward.adapters.stores.postgres.store import PostgresStore
from doorward.adapters.stores.sqlite import SqliteStore
from doorward.core.revocation import hits
from doorward.ports import Store, StoreError
from doorward.service.withdrawals import Withdrawals
from doorward.values.principal import Identity
from doorward.values.question import Slot, TakeSlot
from doorward.values.rules import WhenFull
from doorward.values.ticket import SpentTicket, Ticket
from tests.stores.clock import StillClock
from tests.stores.cluster_ground import Node as ClusterNode
from tests.stores.made import digest, principal, revocation, ticket

WITHIN = 60.0
LIFE = 100_000.0
_SPAWN = get_context("forkserver")
_SPAWN.set_forkserver_preload(["tests.property.cluster_nodes"])

Make = Callable[..., Store]
"""(clock, the node's name, where) -> its store, not open yet. A function of a module: the child gets its name."""


def sqlite_of(clock: StillClock, process: str, path: str) -> Store:
    return SqliteStore(path, clock=clock, process=process, shared=True)


def postgres_of(clock: StillClock, process: str, url: str) -> Store:
    return PostgresStore(url, clock=clock, process=process, own_time=True)


def cluster_of(clock: StillClock, process: str, url: str, redis_url: str) -> Store:
    return ClusterNode(postgres_of(clock, process, url), redis_url, process=process, clock=clock)


class Child:
    """A node that lives. `ask` and `answer` may be apart, so that several are asked at the same moment."""

    def __init__(self) -> None:
        self._pipe, theirs = _SPAWN.Pipe()
        self._process: BaseProcess = _SPAWN.Process(target=_serve, args=(theirs, os.getpid()), daemon=True)
        self._process.start()
        theirs.close()

    def ask(self, name: str, *arguments: Any, now: float) -> None:
        self._pipe.send((name, now, arguments))

    def answer(self) -> Any:
        """The answer; None where the store did not answer. Raises what was a bug."""
        if not self._pipe.poll(WITHIN):
            raise AssertionError("the node says nothing")
        outcome, value = self._pipe.recv()
        if outcome == "bug":
            raise AssertionError(value)
        return value

    def call(self, name: str, *arguments: Any, now: float) -> Any:
        self.ask(name, *arguments, now=now)
        return self.answer()

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self._process.join(WITHIN)
        self._pipe.close()


class Children:
    """Those of one pytest process. Whoever is given back has nothing open."""

    def __init__(self) -> None:
        self._idle: list[Child] = []

    def take(self) -> Child:
        return self._idle.pop() if self._idle else Child()

    def give(self, child: Child) -> None:
        self._idle.append(child)

    def end(self) -> None:
        for child in self._idle:
            child.kill()
        self._idle.clear()


# ---- in the child


class _Node:
    def __init__(self) -> None:
        self.clock = StillClock()
        self.store: Store | None = None

    @property
    def _held(self) -> Store:
        if self.store is None:
            raise RuntimeError("nothing is open")
        return self.store

    async def do(self, name: str, now: float, arguments: tuple[Any, ...]) -> Any:
        self.clock.at = now
        return await getattr(self, name)(*arguments)

    async def open(self, make: Make, name: str, place: tuple[Any, ...]) -> bool:
        """As a gateway does: the whole log is read before anything is admitted."""
        self.store = make(self.clock, name, *place)
        await self.store.open()
        self.withdrawals = Withdrawals(self.store.revocations, self.store.bans, self.clock)
        await self.withdrawals.catch_up()
        await self._held.slots.beat(now=self.clock.at)
        return True

    async def close(self) -> bool:
        store, self.store = self.store, None
        if store is not None:
            await store.close()
        return True

    async def put(self, code: str) -> bool:
        now = self.clock.at
        owner = principal(f"buyer {code}", issued_at=now, expires_at=now + LIFE)
        whole = replace(ticket(code, owner), issued_at=now, expires_at=now + LIFE)
        await self._held.tickets.put(whole, most=3)
        return True

    async def spend(self, code: str) -> str:
        match await self._held.tickets.spend(digest(code), now=self.clock.at):
            case Ticket() as won:
                return "won" if won.principal.identity.subject == f"buyer {code}" else "another's"
            case SpentTicket():
                return "spent"
            case None:
                return "unknown"

    async def take(self, connection: str, subject: str, most: int) -> str:
        question = TakeSlot(
            connection=connection,
            identity=Identity("i", subject),
            address=f"192.0.2.{len(subject)}",
            per_identity=most,
            per_address=1000,
            when_full=WhenFull.REFUSE,
        )
        answer = await self._held.slots.take(question, now=self.clock.at)
        return "taken" if isinstance(answer, Slot) else "full"

    async def release(self, connection: str) -> bool:
        await self._held.slots.release(connection)
        return True

    async def beat(self) -> bool:
        await self._held.slots.beat(now=self.clock.at)
        return True

    async def revoke(self, subject: str, id: str) -> int:
        one = replace(revocation(subject), id=id, instant=self.clock.at, expires_at=self.clock.at + LIFE)
        return await self._held.revocations.append(one)

    async def refuses(self, subject: str, issued_at: float) -> bool:
        """Would a handshake with what was issued then be refused as revoked? Asked as its last step asks."""
        await self.withdrawals.catch_up()
        owner = principal(subject, issued_at=issued_at)
        return any(hits(one, owner, "connection", {}) for one in self.withdrawals.candidates(owner, "connection"))

    async def logged(self) -> list[tuple[int, str]]:
        return [(one.sequence, one.id) for one in await self._held.revocations.read(after=0)]


def _serve(pipe: Connection, parent: int) -> None:
    ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))  # PR_SET_PDEATHSIG: with the fork server
    asyncio.run(_answering(pipe))


async def _answering(pipe: Connection) -> None:
    node, asked = _Node(), asyncio.Queue[tuple[str, float, tuple[Any, ...]] | None]()

    def read() -> None:
        try:
            asked.put_nowait(pipe.recv())
        except EOFError:
            loop.remove_reader(pipe.fileno())
            asked.put_nowait(None)

    loop = asyncio.get_running_loop()
    loop.add_reader(pipe.fileno(), read)
    while (question := await asked.get()) is not None:
        try:
            pipe.send(("answered", await node.do(*question)))
        except StoreError:
            pipe.send(("unavailable", None))
        except Exception as error:  # noqa: BLE001 - it is the test's to tell
            import traceback

            pipe.send(("bug", f"{error!r}: {traceback.format_exc()}"))
