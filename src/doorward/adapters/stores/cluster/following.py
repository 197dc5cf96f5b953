"""What this process knows of the common log: the stream's newest word, proven against the durable log.

Every question first looks at the stream (the fence). What stands next in order there is taken at its word, since it is
signed and was durable before; whatever leaves a doubt is settled by reading the durable log, which is polled besides.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import takewhile
from typing import Final

from doorward.adapters.stores.cluster.not_durable import NotDurable
from doorward.adapters.stores.cluster.sharing import Sharing
from doorward.adapters.stores.redis.feed import News, RedisFeed
from doorward.adapters.stores.redis.notices import BansChanged
from doorward.ports import Clock, Entropy, LogBehindError, Store, StoreError
from doorward.service.chance import fraction
from doorward.service.noting import Loss
from doorward.service.within import answered
from doorward.values.revocation import Revocation

POLL_EVERY: Final = 1.0
READ_WITHIN: Final = 2.0
AWAY_WITHIN: Final = 0.25
"""Seconds that a question waits for a durable store which is known to be away: enough to find it back."""
STALE_AFTER: Final = 3.0
"""Seconds. A durable log that could not be read for so long may hold what nobody could publish."""
REMEMBERED: Final = 10_000
"""Revocations, from the newest back. Who asks for older ones is answered by the durable log."""

_log = logging.getLogger(__name__)
FORGOTTEN_WITHIN: Final = 60.0
"""Seconds before its end in which a revocation may be forgotten already, by a process whose clock is ahead."""
SET_BACK: Final = (
    "the durable log has another revocation {}, or none, than this node knows: it was restored, or failed over to a "
    "replica that lagged. Start this node again, and revoke again what is missing"
)


class Following:
    """`name` is what the durable store is called. `note` gets lines for our own log, `made_durable` what this process
    has made durable at last.

    Where nobody `run`s it, as in a command, a question reads the durable log once its copy is too old.
    """

    def __init__(
        self,
        *,
        durable: Store,
        feed: RedisFeed,
        clock: Clock,
        entropy: Entropy,
        name: str,
        note: Callable[[str], None],
        made_durable: Callable[[Revocation], None],
    ) -> None:
        self._durable = durable
        self._feed = feed
        self._clock = clock
        self._entropy = entropy
        self._name = name
        self._loss = Loss(note, without=f"{name} is away", again=f"{name} is back")
        self._newest = 0
        self._proven = 0  # as far as the durable log has been read: what came by the stream since is read once more
        self._floor = 0  # of all above it up to `_newest` we have those that exist
        self._tail: OrderedDict[int, Revocation] = OrderedDict()
        self._places: dict[str, int] = {}
        self._unplaced = NotDurable(durable.revocations, clock=clock, note=note, made_durable=made_durable)
        self._ahead: dict[str, Revocation] = {}  # durable, and what stands before them was not read yet
        self._told: OrderedDict[str, None] = OrderedDict()  # ids that came by the stream
        self._doubts = 1
        self._settled = 0
        self._durable_at = 0.0
        self._is_away = False
        self._polls = False
        self._touched = False
        self._set_back = ""
        self._went_by = 0  # since it was set back: how far the log was read as it is
        self._looks = Sharing(self._refresh)
        self._reads = Sharing(self.read)
        self._durable_bans = -1
        self.ban_version = 0  # another one whenever there is a reason to look: none that is told keeps us from it

    # asking

    async def refresh(self) -> None:
        """From here on we know of everything that was durable or published when this was called. Raises StoreError.

        Questions that come while one is on its way share the next.
        """
        await self._looks()

    async def _refresh(self) -> None:
        try:
            news = await self._feed.look()
        except StoreError:
            await self._read_if_touched()  # nobody is let in, and whoever is inside is acted on at once all the same
            raise
        self._take(news)
        self._stop_if_set_back()
        doubts = self._doubts
        if doubts > self._settled:
            await self._begin_anew(news)
            await self._read_now()
            self._settled = max(self._settled, doubts)
        elif not self._is_fresh():
            await self._read_now()
        else:
            await self._read_if_touched()

    async def _read_if_touched(self) -> None:
        if self._durable.revocations.touched() and not self._is_away:
            with suppress(StoreError):  # it was noted; the poll goes on asking, and STALE_AFTER ends our patience
                await self._read_now()

    async def _read_now(self) -> None:
        """Somebody waits at the door: a durable store that takes longer is away. One reading serves all who come by
        then, so that a store which is slow is not asked once for each."""
        within = AWAY_WITHIN if self._is_away and self._polls else READ_WITHIN
        try:
            await answered(self._reads(), within=within)
        except StoreError as error:
            self._away(error)
            raise

    def _is_fresh(self) -> bool:
        return asyncio.get_running_loop().time() - self._durable_at <= STALE_AFTER

    async def _begin_anew(self, news: News) -> None:
        """Put something into an empty stream (News), and learn anew what is not durable yet: who was told of it may
        have been told by a stream that is gone."""
        if news.empty:
            await self._feed.publish(BansChanged(max(0, self._durable_bans)))
        self._hold(await self._feed.kept())

    def touched(self) -> bool:
        return self._touched or self._durable.revocations.touched() is True

    def wake(self) -> None:
        self._touched = True

    def seen(self) -> None:
        """Before a read: what comes from now on touches anew."""
        self._touched = False

    def doubt(self) -> None:
        """Something is durable that could not be published: the next question reads the durable log."""
        self._doubts += 1
        self._touched = True

    def known(self, *, after: int) -> Sequence[Revocation]:
        """Above `after`, as RevocationLog.read gives them, without asking anybody. Nothing that would leave a hole."""
        first = sorted((*self._unplaced.values(), *self._ahead.values()), key=lambda one: one.instant)
        if not self._floor <= after < self._newest:
            return first
        above = list(takewhile(lambda one: one.sequence > after, reversed(self._tail.values())))
        return [*first, *reversed(above)]

    async def as_it_stands(self, appended: Revocation) -> Revocation | None:
        """As the durable log has it, which may be an earlier one of this id; None where that was forgotten. A process
        that has never read the log, a command, takes its own word for it: its ids are new. Raises StoreError."""
        sequence = appended.sequence
        if not (self._durable_at or self._polls):
            return appended
        if sequence > self._newest:
            try:
                await self._reads()
            except StoreError:
                if not self._set_back:
                    raise
        known = self._tail.get(sequence)
        if known is not None and known.id == appended.id:
            return known
        rows = await self._durable.revocations.read(after=sequence - 1)
        return rows[0] if rows and rows[0].sequence == sequence else None

    def knows_all_above(self, after: int) -> bool:
        return after >= self._floor

    def has(self, id: str) -> bool:
        return id in self._places or id in self._unplaced or id in self._ahead

    def was_told(self, id: str) -> bool:
        """Did it come by the stream? Then who made it can reach Redis, and looks there for answers."""
        return id in self._told

    # learning

    def _take(self, news: News) -> None:
        for notice in news.notices:
            if isinstance(notice, BansChanged):
                self.ban_version += 1
                continue
            self._told[notice.id] = None
            if len(self._told) > REMEMBERED:
                self._told.popitem(last=False)
            if not notice.sequence:
                self._hold([notice])
            elif notice.sequence == self._newest + 1:
                self._place(notice)
            elif notice.sequence > self._newest or not self.has(notice.id):
                # a gap before it; or a number that we have seen given to another, where the log was set back
                self._doubts += 1
                self._ahead[notice.id] = replace(notice, sequence=0)
        if news.doubt:
            self._doubts += 1

    def _hold(self, found: Iterable[Revocation]) -> None:
        if self._unplaced.add(one for one in found if not self.has(one.id)):
            self._touched = True

    def hold(self, revocation: Revocation) -> None:
        """One of our own that is not durable yet."""
        self._hold([revocation])

    def _place(self, revocation: Revocation) -> None:
        if revocation.sequence <= self._newest:
            return
        self._newest = revocation.sequence
        self._tail[revocation.sequence] = revocation
        if revocation.id:
            self._places[revocation.id] = revocation.sequence
            self._unplaced.drop(revocation.id)
            self._ahead.pop(revocation.id, None)
        if len(self._tail) > REMEMBERED:
            self._floor, oldest = self._tail.popitem(last=False)
            self._places.pop(oldest.id, None)

    async def read(self) -> None:
        """Read the durable log from where we are, and the bans' version. Raises StoreError."""
        began, ahead, newest = asyncio.get_running_loop().time(), tuple(self._ahead), self._newest
        rows: Sequence[Revocation] = ()
        if not self._set_back:
            after = max(0, self._proven - 1)
            rows = await self._rows(after=after)
            self._never_set_back(range(after + 1, newest + 1), rows)
        if self._set_back:
            await self._go_by_the_log()
        self._stop_if_set_back()
        version = await self._durable.bans.version()
        if self._is_away:
            self._is_away = False
            self.ban_version += 1  # whoever answers now may count to the same number by other bans
            self._loss.end(now=asyncio.get_running_loop().time())
        for row in rows:
            self._place(row)
        self._proven = max(self._proven, rows[-1].sequence if rows else 0)
        for id in ahead:  # what was durable by then and is not there was forgotten since
            self._ahead.pop(id, None)
        if version != self._durable_bans:
            self._durable_bans = version
            self.ban_version += 1
        self._durable_at = max(self._durable_at, began)

    def _never_set_back(self, numbers: range, rows: Sequence[Revocation]) -> None:
        """What we know under these `numbers`, which were durable before `rows` were read, stands there, and nothing
        else does under any that we know. Where it does not, numbers are given away again, and we would overlook what
        gets them."""
        there = {row.sequence: row.id for row in rows}
        ends = self._clock.now() + FORGOTTEN_WITHIN
        for sequence in sorted({*numbers, *there}):
            known = self._tail.get(sequence)
            if known is None or there.get(sequence) == known.id:
                continue
            if sequence in there or known.expires_at > ends:
                self._set_back = SET_BACK.format(sequence)

    async def _go_by_the_log(self) -> None:
        """The numbers say nothing any more: whatever the log has that we do not know is acted on, all the same."""
        rows = await self._rows(after=self._went_by or self._floor)
        if not rows and not self._went_by:  # it lost more than we remember
            rows = await self._rows(after=0)
        self._act_on(rows)
        self._went_by = rows[-1].sequence if rows else self._went_by

    async def _rows(self, *, after: int) -> Sequence[Revocation]:
        """Raises StoreError; where the durable log has seen by itself that it was set back, what it has is acted on."""
        try:
            return await self._durable.revocations.read(after=after)
        except LogBehindError as behind:
            self._set_back = self._set_back or str(behind)
            self._act_on(behind.found)
            raise

    def _act_on(self, rows: Iterable[Revocation]) -> None:
        for row in rows:
            if row.id and not self.has(row.id):
                self._ahead[row.id] = replace(row, sequence=0)
                self._touched = True

    def _stop_if_set_back(self) -> None:
        if self._set_back:
            raise StoreError(self._set_back)

    def _away(self, error: StoreError) -> None:
        self._is_away = True
        why = str(error).removeprefix(self._name).lstrip(": ")
        self._loss.begin(why, now=asyncio.get_running_loop().time())

    # going on

    async def run(self) -> None:
        """Read the durable log once a second and try again what is not durable, until cancelled."""
        self._polls = True
        while True:
            await asyncio.sleep(POLL_EVERY * (0.8 + 0.4 * fraction(self._entropy)))
            await self.poll()

    async def poll(self) -> None:
        """One turn of `run`. Raises nothing."""
        before = self._newest
        kept: set[str] = set()
        try:
            found = await self._feed.kept()
            self._hold(found)
            kept = {one.id for one in found}
        except StoreError as error:
            _log.debug("not read: %s", error)  # the link has said that it is away
        waiting = kept.union(self._unplaced)
        try:
            await self.read()
        except StoreError as error:
            self._away(error)
        if self._set_back or not self._is_away:
            await self._try_again()
        await self._tell_again(waiting, kept)
        if self._newest > before:
            self._touched = True

    async def _tell_again(self, waiting: Iterable[str], kept: Collection[str]) -> None:
        """Of those that `waiting` names, Redis no longer keeps what is durable now, and once more what is not and was
        lost there. What fails is done by the next poll, here or elsewhere."""
        try:
            for id in waiting:
                if id in self._places:
                    await self._feed.settle(self._tail[self._places[id]])
                elif id in self._unplaced and id not in kept:
                    await self._feed.keep(self._unplaced[id])
        except StoreError as error:
            _log.debug("not told again: %s", error)

    async def _try_again(self) -> None:
        try:
            if await self._unplaced.try_again(was_read=lambda sequence: sequence <= self._newest):
                await self.read()
        except StoreError as error:
            _log.debug("not all is durable: %s", error)  # said by then, and the next poll goes on

    def end(self) -> None:
        """Whoever still asks is told that it is over."""
        self._looks.end()
        self._reads.end()

    def forget(self, *, now: float) -> Sequence[str]:
        """Drop what is over. The ids of those."""
        over = [one for one in self._tail.values() if one.expires_at < now]
        for one in over:
            del self._tail[one.sequence]
            self._places.pop(one.id, None)
            self._told.pop(one.id, None)
        return [one.id for one in over if one.id]
