"""What a worker does while nobody asks: timers, the revocation log, presence, heartbeats, the clock; and the drain."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from typing import Final, Protocol

from doorward.core import leases
from doorward.core.timekeeping import BEATS_APART
from doorward.ports import Entropy, PresentNode, Store, StoreError
from doorward.service.admit import Door
from doorward.service.connections import ACT_EVERY
from doorward.service.revoke import Follower
from doorward.service.timekeeping import Timekeeper
from doorward.service.watch import Watch
from doorward.service.withdrawals import Withdrawals

PRESENCE_EVERY: Final = 0.25
BEAT_EVERY: Final = BEATS_APART
HOUSEKEEPING_EVERY: Final = 1.0
FORGET_EVERY: Final = 60
STORE_AWAY_AFTER: Final = 30.0
CLOSING_TAKES: Final = 5.0


class Chores(Protocol):
    """What housekeeping needs of the adapters. May raise StoreError."""

    async def refresh_keys(self) -> None: ...


class Tending:
    """The loops of one worker. `close_without_store`: live connections end when the log is long away. `more`: loops of
    the adapters', by name."""

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
        more: Mapping[str, Callable[[], Awaitable[None]]],
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
        self._worker = worker
        self._close_without_store = close_without_store
        self._more = more
        self._started_at = watch.clock.now()
        self._tasks: list[asyncio.Task[None]] = []
        self._was_here = False

    async def start(self) -> None:
        """Read the whole log, say that we are there, then begin. Raises StoreError."""
        await self._watch.connections.restart()  # the clock may have been set since they were made
        self._started_at = self._watch.clock.now()
        await self._follower.start()
        self._was_here = True
        await self.beat()
        self._tasks = [
            asyncio.create_task(self._guarded(name, work), name=name)
            for name, work in (
                ("timers", self._watch.connections.run),
                ("revocations", self._follower.poll),
                ("acting", self._follower.act),
                ("presence", self._report),
                ("housekeeping", self._keep_house),
                *self._more.items(),
            )
        ]

    async def _guarded(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """A loop of ours that fails is a bug; without it authority would not be followed, so it is begun again."""
        while True:
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - a bug of ours: audited, and the loop goes on
                self._watch.events.fault(name, error)
                await asyncio.sleep(HOUSEKEEPING_EVERY)

    async def _report(self) -> None:
        clock = self._watch.clock
        beat_at = clock.now()
        while True:
            await asyncio.sleep(PRESENCE_EVERY)
            await self._watch.report_presence()
            # by the clock, for a process that stood still must say at once that it is back
            if not 0.0 <= clock.now() - beat_at < BEAT_EVERY:
                beat_at = clock.now()
                await self._beat_or_note()

    async def _beat_or_note(self) -> None:
        try:
            await self.beat()
            await self._store.slots.beat(now=self._watch.clock.now())
        except StoreError as error:
            self._watch.note(f"no heartbeat: {error}")
        await self._follow(await self._timekeeper.beat())

    async def _follow(self, jump: float | None) -> None:
        """Our clock has jumped. Set back, it prolongs nobody's lease: what was left of it is left of it."""
        if jump is None:
            return
        if jump < 0:
            async for live in self._watch.connections.each():
                live.lease = leases.sooner(live.lease, by=-jump)
        await self._watch.connections.restart()

    async def beat(self) -> None:
        """Say that this worker lives. Raises StoreError."""
        await self._store.presence.beat(
            PresentNode(
                node=self._node,
                worker=self._worker,
                pid=os.getpid(),
                started_at=self._started_at,
                beat_at=self._watch.clock.now(),
                cursor=self._withdrawals.cursor,
                connections=len(self._watch.connections),
            )
        )

    async def _keep_house(self) -> None:
        for turn in count(1):
            await asyncio.sleep(HOUSEKEEPING_EVERY)
            await self.keep_house(turn)

    async def keep_house(self, turn: int) -> None:
        """What is due once a second, and now and then. Never raises StoreError."""
        self._watch.events.tick()
        await self._follow(self._timekeeper.tick())
        if self._store_is_gone() and self._close_without_store():
            done = 0
            async for live in self._watch.connections.each():
                live.store_away()
                done += 1
                if done % ACT_EVERY == 0:
                    await asyncio.sleep(0)
        try:
            await self._chores.refresh_keys()
            if turn % FORGET_EVERY == 0:
                self._withdrawals.forget()
                await self._store.revocations.forget(now=self._watch.clock.now())
        except StoreError as error:
            self._watch.note(f"housekeeping: {error}")

    def _store_is_gone(self) -> bool:
        since = self._follower.away_since
        return since is not None and self._watch.clock.now() - since >= STORE_AWAY_AFTER

    async def drain(self, within: float) -> None:
        """Refuse what is new, and close what lives with 1012, spread over `within` seconds.

        Each close names a delay to come back after, spread as well, so that the next node meets no herd (REV-12).
        """
        self._door.draining = True
        clock, connections = self._watch.clock, self._watch.connections
        begun = clock.now()
        lives = list(connections)
        spread = max(0.0, within - CLOSING_TAKES)
        for place, live in enumerate(lives):
            wait = begun + spread * place / len(lives) - clock.now()
            if wait > 0:
                await asyncio.sleep(wait)
            elif place % ACT_EVERY == 0:
                await asyncio.sleep(0)
            chance = int.from_bytes(self._entropy.bytes(2)) / 65535
            live.drain(reconnect_after=1.0 + chance * max(1.0, within))
        left = within - (clock.now() - begun)
        if left > 0:
            await connections.emptied(within=left)

    async def stop(self) -> None:
        """End the loops and the errands, and leave presence, where it was ever entered."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._watch.errands.finish(1.0)
        if not self._was_here:
            return
        await self._watch.report_presence()
        try:
            await self._store.presence.leave(node=self._node, worker=self._worker)
        except StoreError as error:
            self._watch.note(f"presence could not be left: {error}")
