"""What a worker does while nobody asks: timers, the revocation log, presence, heartbeats, the clock; and the drain."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from itertools import count
from typing import Final, Protocol

from doorward.core import leases
from doorward.core.pacing import spread, turns
from doorward.core.timekeeping import BEATS_APART
from doorward.ports import Entropy, PresentNode, Store, StoreError
from doorward.service.admit import Door
from doorward.service.chance import fraction
from doorward.service.connections import ACT_EVERY
from doorward.service.guarding import guarded
from doorward.service.live import Live
from doorward.service.namesakes import Namesakes
from doorward.service.noting import Loss
from doorward.service.predecessors import Predecessors
from doorward.service.revoke import Follower
from doorward.service.timekeeping import Timekeeper
from doorward.service.watch import Watch
from doorward.service.withdrawals import Withdrawals
from doorward.service.within import answered
from doorward.values.audit import AuditEvent, EventKind, Outcome

PRESENCE_EVERY: Final = 0.25
BEAT_EVERY: Final = BEATS_APART
HOUSEKEEPING_EVERY: Final = 1.0
FORGET_EVERY: Final = 60
STORE_AWAY_AFTER: Final = 30.0
STORE_AWAY_CLOSING: Final = 10.0
CLOSING_TAKES: Final = 5.0


class Chores(Protocol):
    """What housekeeping needs of the adapters. May raise StoreError."""

    async def refresh_keys(self) -> None: ...


class Tending:
    """The loops of one worker. `close_without_store`: live connections end when the log is long away. `handshake_rate`:
    how many of those whom we close may come back a second, of this worker's. `more`: loops of the adapters', by name.
    `age`: seconds since the gateway was launched that this worker is one of, None where nobody can tell.
    """

    def __init__(
        self,
        *,
        watch: Watch,
        door: Door,
        follower: Follower,
        withdrawals: Withdrawals,
        store: Store,
        entropy: Entropy,
        chores: Chores,
        timekeeper: Timekeeper,
        node: str,
        worker: int,
        close_without_store: Callable[[], bool],
        handshake_rate: Callable[[], float],
        more: Mapping[str, Callable[[], Awaitable[None]]],
        version: str = "",
        age: Callable[[], float] | None = None,
    ) -> None:
        self._watch = watch
        self._door = door
        self._follower = follower
        self._withdrawals = withdrawals
        self._store = store
        self._entropy = entropy
        self._chores = chores
        self._timekeeper = timekeeper
        self._node = node
        self._names = Namesakes(node=node, worker=worker, entropy=entropy)
        self._close_without_store = close_without_store
        self._handshake_rate = handshake_rate
        self._more = dict(more)
        if age is not None:
            before = Predecessors(store.presence, watch.clock, node=node, worker=lambda: self._names.worker, age=age)
            self._more["predecessors"] = before.run
        self._version = version
        self._started_at = watch.clock.now()
        self._tasks: list[asyncio.Task[None]] = []
        self._unsaid = False
        losses = {
            "beat": ("no heartbeat", "heartbeats are sent again"),
            "slots": ("the places of connections are not renewed", "the places of connections are renewed again"),
            "keys": ("signing keys are not refreshed", "signing keys are refreshed again"),
            "forget": ("revocations that are over are not dropped", "revocations that are over are dropped again"),
        }
        self._losses = {
            name: Loss(lambda line: watch.note(line), without=without, again=again)  # noqa: PLW0108 - as it is by then
            for name, (without, again) in losses.items()
        }
        self._was_here = False
        self._closing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read the whole log, say that we are there, then begin. Raises StoreError."""
        await self._watch.connections.restart()  # the clock may have been set since they were made
        self._started_at = self._watch.clock.now()
        await self._follower.start()
        self._was_here = True
        await self.beat()
        self._tasks = [
            asyncio.create_task(guarded(name, work, fault=self._watch.events.fault), name=name)
            for name, work in (
                ("timers", self._watch.connections.run),
                ("revocations", self._follower.poll),
                ("acting", self._follower.act),
                ("presence", self._report),
                ("housekeeping", self._keep_house),
                *self._more.items(),
            )
        ]

    async def _report(self) -> None:
        clock = self._watch.clock
        beat_at = clock.now()
        while True:
            await asyncio.sleep(PRESENCE_EVERY)
            await self._watch.report_presence()
            # by the clock, for a process that stood still must say at once that it is back; and so must one that could
            # not say it, since whoever revokes waits for those that are known to live
            if self._unsaid or not 0.0 <= clock.now() - beat_at < BEAT_EVERY:
                beat_at = clock.now()
                await self._beat_or_note()

    async def _beat_or_note(self) -> None:
        # one store may be there without the other
        said = [await self._succeeds("beat", self.beat()), await self._succeeds("slots", self._beat_slots())]
        self._unsaid = not all(said)
        await self._follow(await self._timekeeper.beat())

    async def _succeeds(self, name: str, work: Awaitable[object]) -> bool:
        """Did that succeed? Where not, it is said once."""
        try:
            await work
        except StoreError as error:
            self._losses[name].begin(error, now=self._watch.clock.now())
            return False
        self._losses[name].end(now=self._watch.clock.now())
        return True

    async def _beat_slots(self) -> None:
        await answered(self._store.slots.beat(now=self._watch.clock.now()))

    async def _follow(self, jump: float | None) -> None:
        """Our clock has jumped. Set back, it prolongs nobody's lease: what was left of it is left of it."""
        if jump is None:
            return
        if jump < 0:
            if self._follower.away_since is not None:
                self._follower.away_since += jump
            async for live in self._watch.connections.each():
                live.lease = leases.sooner(live.lease, by=-jump)
        await self._watch.connections.restart()

    async def beat(self) -> None:
        """Say that this worker lives. Raises StoreError."""
        await self._meet_namesakes()
        await answered(
            self._store.presence.beat(
                PresentNode(
                    node=self._node,
                    worker=self._names.worker,
                    pid=os.getpid(),
                    started_at=self._started_at,
                    beat_at=self._watch.clock.now(),
                    cursor=self._withdrawals.cursor,
                    connections=len(self._watch.connections),
                    version=self._version,
                    ready=not self._door.is_shut,
                    ahead=self._timekeeper.ahead,
                )
            )
        )

    async def _meet_namesakes(self) -> None:
        now = self._watch.clock.now()
        with suppress(StoreError):  # the heartbeat itself will say it
            present = await answered(self._store.presence.nodes(now=now))
            if self._names.meet(present, started_at=self._started_at, now=now) and not self._door.draining:
                said = f"another gateway is named {self._node} too: give each a server.node of its own"
                self._watch.note(said)
                self._watch.events.emit(AuditEvent(EventKind.NODE, Outcome.FAILED, detail=said))
        self._follower.worker = self._names.worker
        self._watch.renumber(self._names.worker)

    async def _keep_house(self) -> None:
        for turn in count(1):
            await asyncio.sleep(HOUSEKEEPING_EVERY)
            await self.keep_house(turn)

    async def keep_house(self, turn: int) -> None:
        """What is due once a second, and now and then. Never raises StoreError."""
        self._watch.events.tick()
        await self._follow(self._timekeeper.tick())
        if self._closing is None and self._is_over():
            self._closing = asyncio.create_task(self._close_all(), name="closing without the store")
            self._closing.add_done_callback(self._closed)
        await self._succeeds("keys", answered(self._chores.refresh_keys()))
        if turn % FORGET_EVERY == 0:
            self._withdrawals.forget()
            await self._succeeds("forget", answered(self._store.revocations.forget(now=self._watch.clock.now())))

    def _store_is_gone(self) -> bool:
        since = self._follower.away_since
        return since is not None and self._watch.clock.now() - since >= STORE_AWAY_AFTER

    def _is_over(self) -> bool:
        """Must live connections end, for the log is long away?"""
        return self._store_is_gone() and self._close_without_store()

    async def _close_all(self) -> None:
        """1013, spread like a drain's closes, for as long as the store is gone: who has not had his turn may stay."""
        rate = self._handshake_rate()
        lives = list(self._watch.connections)
        async for live, delay in self._in_turn(
            lives, rate, closing=min(STORE_AWAY_CLOSING, spread(len(lives), rate=rate))
        ):
            if not self._is_over():
                return
            live.store_away(reconnect_after=delay)

    def _closed(self, closing: asyncio.Task[None]) -> None:
        self._closing = None
        if not closing.cancelled() and (error := closing.exception()) is not None:
            self._watch.events.fault("closing without the store", error)

    async def drain(self, within: float) -> None:
        """Refuse what is new, and close what lives with 1012, spread over `within` seconds.

        Each close names a delay to come back after, so that the next node never meets more than the handshake rate
        (core/pacing.py, REV-12).
        """
        loop, connections, rate = asyncio.get_running_loop(), self._watch.connections, self._handshake_rate()
        begun = loop.time()
        lives = list(connections)
        self._door.drain(back_within=spread(len(lives), rate=rate))
        self._watch.note(f"draining: {_counted(len(lives))} inside, at most {within:g} s")
        try:
            async for live, delay in self._in_turn(lives, rate, closing=max(0.0, within - CLOSING_TAKES)):
                live.drain(reconnect_after=delay)
            left = within - (loop.time() - begun)
            if left > 0:
                await connections.emptied(within=left)
        finally:
            cut = len(connections)
            self._watch.note(
                f"drained: {_counted(max(0, len(lives) - cut))} closed, {cut} {'is' if cut == 1 else 'are'} cut"
            )

    async def _in_turn(self, lives: Sequence[Live], rate: float, *, closing: float) -> AsyncIterator[tuple[Live, int]]:
        """Each when its turn to be closed has come, with the whole seconds after which it comes back."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        plan = turns(len(lives), rate=rate, closing=closing, phase=fraction(self._entropy))
        for place, (live, turn) in enumerate(zip(lives, plan, strict=True)):
            wait = begun + turn.after - loop.time()
            if wait > 0:
                await self._watch.connections.emptied(within=wait)  # no need to wait for who has left by himself
            elif place % ACT_EVERY == 0:
                await asyncio.sleep(0)
            yield live, turn.delay

    async def stop(self) -> None:
        """End the loops and the errands, and leave presence, where it was ever entered."""
        if self._closing is not None:
            self._tasks.append(self._closing)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._watch.errands.finish(1.0)
        if not self._was_here:
            return
        await self._watch.report_presence()
        try:
            await answered(self._store.presence.leave(node=self._node, worker=self._names.worker))
        except StoreError as error:
            self._watch.note(f"presence could not be left: {error}")


def _counted(connections: int) -> str:
    return "1 connection" if connections == 1 else f"{connections} connections"
