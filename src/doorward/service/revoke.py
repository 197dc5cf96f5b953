"""Revocations act here: read from the log, done to every live connection that they hit, then acknowledged.

The log is written first, by whoever revokes; a node that was away reads from its cursor before it admits again. The
same pure predicate judges live connections and handshakes, so the way back is blocked by what closed the way in.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import floor, inf
from typing import Final

from doorward.core.auditing import clean, mask
from doorward.core.auditing_revocations import revoked
from doorward.core.revocation import MEMBERS, hits
from doorward.ports import RevocationLog, StoreError
from doorward.service.connections import ACT_EVERY
from doorward.service.live import Live
from doorward.service.watch import REPLACED, Watch
from doorward.service.withdrawals import Withdrawals
from doorward.service.within import answered
from doorward.values.revocation import Acknowledgement, Effect, Revocation, TargetKind

GLANCE_EVERY: Final = 0.004
GLANCES: Final = 25
"""After so many that found nothing the log is asked all the same: only so an absent or replaced one is noticed."""
BLIND_GLANCES: Final = 5
AWAITED: Final = 10.0
ACKNOWLEDGE_AGAIN_AFTER: Final = (0.25, 1.0, 2.5)
QUICK: Final = 1.5
STOOD_STILL: Final = 0.25
MAX_NAMED: Final = 16


class Follower:
    """Follows the log for one worker, and answers by its number `worker`. `away_since` is when the log stopped
    answering, None while it does.

    `quick`: an answer that takes longer, in seconds, is as none for whoever comes to the door; those who are inside are
    judged by it all the same. `handshake_rate`: how many of those whom it closes may come back a second.
    """

    def __init__(
        self,
        *,
        watch: Watch,
        withdrawals: Withdrawals,
        log: RevocationLog,
        node: str,
        worker: int,
        quick: float = QUICK,
        handshake_rate: Callable[[], float] = lambda: inf,
    ) -> None:
        self._watch = watch
        self._withdrawals = withdrawals
        self._log = log
        self._node = node
        self.worker = worker
        self._quick = quick
        self._handshake_rate = handshake_rate
        self._waiting: list[tuple[Revocation, float]] = []
        self._some = asyncio.Event()
        self.away_since: float | None = None

    async def start(self) -> None:
        """Read the whole log before anything is admitted. Raises StoreError.

        What is new in it is acknowledged too: somebody may be waiting for the worker of this name that died.
        """
        self._withdrawals.on_new = self._noticed_late
        await self._withdrawals.catch_up()
        self._withdrawals.on_new = self._noticed

    def _noticed_late(self, new: Sequence[Revocation]) -> None:
        since = self._watch.clock.now() - AWAITED
        self._noticed([revocation for revocation in new if revocation.instant >= since])

    def _noticed(self, new: Sequence[Revocation]) -> None:
        now = self._watch.clock.now()
        self._waiting.extend((revocation, now) for revocation in new)
        self._some.set()

    async def poll(self) -> None:
        """Ask the log once anything was written, and every 100 ms (20 ms where no glance tells), until cancelled."""
        while True:
            try:
                was_quick = await self._look()
            except StoreError as error:
                self._watch.log_is_away = True
                if self.away_since is None:
                    self.away_since = self._watch.clock.now()
                    self._watch.note(f"the revocation log does not answer: {error}")
            else:
                if self.away_since is not None:
                    away = max(0.0, self._watch.clock.now() - self.away_since)
                    self.away_since = None
                    self._watch.note(f"the revocation log answers again after {away:.1f} s")
                self._watch.log_is_away = not was_quick
            await self._until_touched()

    async def _look(self) -> bool:
        """Read what is new, however long it takes; was that quick? While it is not, the door is shut: handshakes need
        not find out one by one, each as slowly. Raises StoreError."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        reading = asyncio.ensure_future(self._withdrawals.catch_up())
        try:
            done, _ = await asyncio.wait({reading}, timeout=self._quick)
            # where it is this process that stood still, the log is not to blame
            was_quick = bool(done) or loop.time() - began > self._quick + STOOD_STILL
            if not was_quick:
                self._watch.log_is_away = True
            await answered(reading)
        finally:
            reading.cancel()
        return was_quick

    async def _until_touched(self) -> None:
        """By a timer alone: a glance that finds nothing, which is nearly every one, wakes no task."""
        loop = asyncio.get_running_loop()
        over: asyncio.Future[None] = loop.create_future()

        def glance(nth: int) -> None:
            if over.done():
                return
            touched = self._log.touched()
            if touched or nth >= (BLIND_GLANCES if touched is None else GLANCES):
                over.set_result(None)
            else:
                loop.call_later(GLANCE_EVERY, glance, nth + 1)

        loop.call_later(GLANCE_EVERY, glance, 1)
        await over

    async def act(self) -> None:
        """Act on what was noticed, in order, until cancelled."""
        while True:
            await self._some.wait()
            await self.act_now()

    async def act_now(self) -> None:
        """Act on all that has been noticed so far."""
        self._some.clear()
        try:
            while self._waiting:
                await self._act_on(*self._waiting.pop(0))
        finally:
            if self._waiting:  # a bug of ours stopped us in between: the rest is not forgotten
                self._some.set()

    async def _act_on(self, revocation: Revocation, noticed: float) -> None:
        watch = self._watch
        closed, asked, rate = 0, 0, self._handshake_rate()
        identities: dict[str, None] = {}
        target = revocation.target
        async for live in watch.connections.each(having=(MEMBERS[target.kind], target.value)):
            if not hits(revocation, live.principal, live.connection, watch.rules.issuers):
                continue
            identity = live.principal.identity
            if len(identities) < MAX_NAMED:
                identities[identity.text] = None
            try:
                ends = self._do(revocation, live, reconnect_after=floor(closed / rate))
            except Exception as error:  # noqa: BLE001 - a bug of ours: audited, and it saves nobody behind it
                live.broken(error)
                ends = True
            closed, asked = closed + ends, asked + (not ends)
            if (closed + asked) % ACT_EVERY == 0:
                await asyncio.sleep(0)
        now = watch.clock.now()
        place = f"log {revocation.sequence}" if revocation.sequence else f"not durable yet, {revocation.id}"
        done = f"{place}: {clean(mask(revocation.cause))}; closed {closed}, asked {asked}"
        event = revoked(revocation, done, hit=closed + asked)
        watch.events.emit(replace(event, duration=now - revocation.instant))
        acknowledgement = Acknowledgement(
            revocation=revocation.id,
            sequence=revocation.sequence,
            node=self._node,
            worker=self.worker,
            closed=closed,
            asked=asked,
            at=now,
            took=now - noticed,
            identities=tuple(identities),
        )
        # not waited for: the next revocation must not be late because a store takes its time
        watch.errands.begin("acknowledge", self._acknowledge(acknowledgement, place))

    async def _acknowledge(self, acknowledgement: Acknowledgement, place: str) -> None:
        """Somebody may be waiting for it, so that it is tried for as long as he does."""
        for wait in (*ACKNOWLEDGE_AGAIN_AFTER, None):
            try:
                await answered(self._log.acknowledge(acknowledgement))
            except StoreError as error:
                if wait is None:
                    self._watch.note(f"revocation {place} was done and could not be acknowledged: {error}")
                else:
                    await asyncio.sleep(wait)
            else:
                return

    def _do(self, revocation: Revocation, live: Live, *, reconnect_after: int) -> bool:
        """Carry out one revocation on one connection. True when that closes it.

        Only who can't renew on the spot comes back with something else, after `reconnect_after` seconds.
        """
        match revocation.effect:
            case Effect.CLOSE if revocation.target.kind is TargetKind.CONNECTION:
                if revocation.cause == REPLACED:
                    live.replace()
                else:
                    live.close_by_operator()
                return True
            case Effect.CLOSE:
                live.revoke()
                return True
            case Effect.RENEW:
                live.demand_renewal(now=self._watch.clock.now(), reconnect_after=reconnect_after)
                return not live.admission.renewable
            case Effect.ROLES:
                live.put_roles(revocation.roles)
                return False
