"""The revocation log of several nodes: durable first, then told to all; told all the same while it can't be durable."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from doorward.adapters.stores.cluster.following import Following
from doorward.adapters.stores.redis.feed import RedisFeed
from doorward.core.revocation import can_be_held
from doorward.ports import LogBehindError, RefusedError, RevocationLog, StoreError
from doorward.values.revocation import Acknowledgement, Revocation

ASK_DURABLE_EVERY: Final = 0.1
"""Seconds. Answers lie there only from nodes that do not reach Redis."""
ACT_AFTER: Final = 1.0
"""Seconds that the durable log may take before all are told meanwhile: whoever asks may be more patient than that."""


class ClusterRevocations:
    def __init__(
        self, durable: RevocationLog, feed: RedisFeed, following: Following, *, note: Callable[[str], None]
    ) -> None:
        self._durable = durable
        self._feed = feed
        self._following = following
        self._note = note
        self._asked: tuple[str, float, Sequence[Acknowledgement]] = ("", 0.0, ())

    async def append(self, revocation: Revocation) -> int:
        """Raises RefusedError for what can't be held, before anybody is told: nothing would ever make it durable."""
        if not can_be_held(revocation):
            raise RefusedError("a revocation whose texts are too long, or no text, can't be held")
        appending = asyncio.ensure_future(self._durable.append(revocation))
        is_kept = False
        try:
            done, _ = await asyncio.wait({appending}, timeout=ACT_AFTER)
            if not done:
                is_kept = await self._kept_meanwhile(revocation)
            sequence = await appending
        except RefusedError:
            if is_kept:  # all act on it, until it is over
                return 0
            raise
        except StoreError as error:
            if not is_kept:
                await self._keep(revocation, error)
            return 0
        finally:
            appending.cancel()
        try:
            placed = await self._following.as_it_stands(replace(revocation, sequence=sequence))
            if placed is not None and placed.id:
                await self._feed.publish(placed)
            else:
                self._following.doubt()
        except StoreError as error:
            self._following.doubt()
            self._note(f"revocation {revocation.id} is in the log, where each node finds it; not told at once: {error}")
            # where the log was set back nobody would settle it
            if revocation.id and not is_kept and not isinstance(error, LogBehindError):
                await self._tell_without_place(revocation)
        return sequence

    async def _tell_without_place(self, revocation: Revocation) -> None:
        """It is durable, and others may be as unable to read it there: they act on it as on one that is not."""
        with suppress(StoreError):  # noted by then: each finds it in the durable log
            await self._feed.keep(replace(revocation, sequence=0))
            self._following.hold(revocation)

    async def _kept_meanwhile(self, revocation: Revocation) -> bool:
        """The durable log is slow: all act by now, and the log takes it once, whoever tells it."""
        try:
            await self._keep(revocation, StoreError(f"no answer from the durable log within {ACT_AFTER:g} s"))
        except StoreError as error:
            self._note(f"revocation {revocation.id} waits for the durable log: {error}")
            return False
        return True

    async def _keep(self, revocation: Revocation, away: StoreError) -> None:
        """Raises StoreError where it would be lost: nobody to tell, or no id by which it could be tried again."""
        if not revocation.id:
            raise away
        try:
            await self._feed.keep(replace(revocation, sequence=0))
        except StoreError as error:
            raise StoreError(f"{away}; and {error}") from error
        self._following.hold(revocation)
        self._note(f"revocation {revocation.id} is not durable yet: {away}")

    async def read(self, *, after: int) -> Sequence[Revocation]:
        following = self._following
        following.seen()
        try:
            await following.refresh()
            older = [] if following.knows_all_above(after) else await self._durable.read(after=after)
        except StoreError as error:
            raise LogBehindError(str(error), following.known(after=after)) from error
        return [*(one for one in following.known(after=after) if not (older and one.sequence)), *older]

    def touched(self) -> bool:
        return self._following.touched()

    async def acknowledge(self, acknowledgement: Acknowledgement) -> None:
        id = acknowledgement.revocation
        if self._following.has(id):
            try:
                await self._feed.acknowledge(acknowledgement)
            except StoreError as error:
                self._note(f"revocation {id} could not be acknowledged in Redis: {error}")
            else:
                if self._following.was_told(id):
                    return
        await self._durable.acknowledge(acknowledgement)

    async def acknowledgements(self, id: str) -> Sequence[Acknowledgement]:
        durable, away = await self._durable_acknowledgements(id)
        try:
            answers = await self._feed.acknowledgements(id)
        except StoreError as error:
            if away is not None:
                raise StoreError(f"{away}; and {error}") from error
            answers = ()
        by_worker = {(answer.node, answer.worker): answer for answer in (*durable, *answers)}
        return [answer for _, answer in sorted(by_worker.items())]

    async def _durable_acknowledgements(self, id: str) -> tuple[Sequence[Acknowledgement], StoreError | None]:
        """Asked now and then: a command that waits for answers asks two hundred times a second."""
        asked, at, found = self._asked
        now = asyncio.get_running_loop().time()
        if asked == id and now - at < ASK_DURABLE_EVERY:
            return found, None
        try:
            found = await self._durable.acknowledgements(id)
        except StoreError as error:
            return (), error
        self._asked = (id, now, found)
        return found, None

    async def forget(self, *, now: float) -> int:
        forgotten = await self._durable.forget(now=now)
        await self._feed.forget(self._following.forget(now=now))
        return forgotten
