"""The revocation log: sequences from one counter, whose row is locked until the commit, so they follow its order.

Those that are appended in one moment share one commit. Every commit wakes who listens (listening.py).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from doorward.adapters.stores.postgres.link import Link
from doorward.adapters.stores.postgres.listening import Listener
from doorward.adapters.stores.postgres.numbers import Counters
from doorward.adapters.stores.rows import acknowledgement_of, acknowledgement_row, revocation_of, revocation_row
from doorward.ports import LogBehindError, StoreError
from doorward.values.revocation import Acknowledgement, Revocation

_APPEND: Final = """
SELECT doorward_append_revocations($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::float8[], $7::text[],
                                   $8::text[], $9::float8[], $10::text[], $11::text[])
"""
_READ: Final = """
SELECT sequence, id, kind, value, issuer, tenant, instant, effect, cause, expires_at, made_by, roles
FROM doorward_revocations WHERE sequence > $1::bigint ORDER BY sequence LIMIT 500
"""
_PAGE: Final = 500  # rows that are read at once: well under a millisecond for the event loop
# What somebody forgot meanwhile needs no acknowledgement: it would stay for ever.
_ACKNOWLEDGE: Final = """
INSERT INTO doorward_acknowledgements (revocation, sequence, node, worker, closed, asked, at, took, identities)
SELECT id, $2::bigint, $3, $4::bigint, $5::bigint, $6::bigint, $7::float8, $8::float8, $9
FROM doorward_revocations WHERE id = $1 AND id <> ''
ON CONFLICT (revocation, node, worker) DO UPDATE SET
    sequence = excluded.sequence, closed = excluded.closed, asked = excluded.asked, at = excluded.at,
    took = excluded.took, identities = excluded.identities
"""
_ACKNOWLEDGEMENTS: Final = """
SELECT revocation, sequence, node, worker, closed, asked, at, took, identities
FROM doorward_acknowledgements WHERE revocation = $1 ORDER BY node, worker
"""
_FORGET: Final = "SELECT doorward_forget_revocations($1::float8, $2::bigint)"
_FORGET_MOST: Final = 250  # in one statement, which has its time limit
_AT_ONCE: Final = 64  # that share a commit, and the time limit of one statement


@dataclass(slots=True)
class _Waiting:
    revocation: Revocation
    future: asyncio.Future[int]


class PostgresRevocations:
    def __init__(self, link: Link, counters: Counters, listener: Listener) -> None:
        self._link = link
        self._counters = counters
        self._listener = listener
        self._waiting: list[_Waiting] = []
        self._appending: asyncio.Task[None] | None = None
        self._newest = 0  # as of the last read
        self._lives = 0  # of the listener, when that read began; and what it had heard by then
        self._heard = 0
        self._last: Revocation | None = None  # the newest that was read: another one in its place was put there since
        self._set_back = ""
        self._since: list[Revocation] = []  # once it was set back: all that it has, as it is

    async def append(self, revocation: Revocation) -> int:
        waiting = _Waiting(revocation, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._appending is None:
            self._appending = asyncio.create_task(self._append_all())
        return await waiting.future

    async def read(self, *, after: int) -> Sequence[Revocation]:
        """Raises LogBehindError, from then on, where the log was set back: what it has now is to be acted on."""
        lives, heard, seen, last = self._listener.lives, self._listener.heard, self._newest, self._last
        newest = (await self._counters.look()).revocations
        if newest < seen:
            self._was_set_back(f"ended at {seen} and now ends at {newest}")
        begin = after
        if last is not None and (newest > after or (lives, heard) != (self._lives, self._heard)):
            begin = min(after, last.sequence - 1)
        found = [] if self._set_back else await self._pages(begin, newest)
        if last is not None and any(row.sequence == last.sequence and row.id != last.id for row in found):
            self._was_set_back(f"has another revocation {last.sequence} than was read")
        if self._set_back:
            known = await self._as_it_is(newest)
            self._was_read(newest, lives=lives, heard=heard)
            raise LogBehindError(self._set_back, known)
        if found and (self._last is None or found[-1].sequence > self._last.sequence):
            self._last = found[-1]
        self._was_read(max(newest, found[-1].sequence if found else 0), lives=lives, heard=heard)
        return [row for row in found if row.sequence > after]

    def _was_read(self, newest: int, *, lives: int, heard: int) -> None:
        self._newest = max(self._newest, newest)
        self._lives = max(self._lives, lives)
        self._heard = max(self._heard, self._listener.was_read(self._newest, heard=heard))

    async def _pages(self, after: int, newest: int) -> list[Revocation]:
        found: list[Revocation] = []
        while (found[-1].sequence if found else after) < newest:
            page = await self._link.ask(_READ, (found[-1].sequence if found else after,), again=True)
            found += map(revocation_of, page)
            if len(page) < _PAGE:
                break
        return found

    async def _as_it_is(self, newest: int) -> Sequence[Revocation]:
        """All that the log has, none with a place: its numbers say nothing any more to who has read it before."""
        since = self._since
        more = await self._pages(since[-1].sequence if since else 0, newest)
        if self._since is since:  # else somebody else was quicker
            self._since = [*since, *more]
        return [replace(one, sequence=0) for one in self._since if one.id]

    def touched(self) -> bool | None:
        if not self._listener.listens:
            return None
        return self._listener.heard != self._heard or self._listener.lives != self._lives

    async def acknowledge(self, acknowledgement: Acknowledgement) -> None:
        await self._link.ask(_ACKNOWLEDGE, acknowledgement_row(acknowledgement), again=True)

    async def acknowledgements(self, id: str) -> Sequence[Acknowledgement]:
        return [acknowledgement_of(row) for row in await self._link.ask(_ACKNOWLEDGEMENTS, (id,), again=True)]

    async def forget(self, *, now: float) -> int:
        forgotten = 0
        while True:
            some: int = (await self._link.one(_FORGET, (now, _FORGET_MOST)))[0]
            forgotten += some
            if some < _FORGET_MOST:
                return forgotten

    async def _append_all(self) -> None:
        """As long as somebody waits: what comes while one commit is on its way goes with the next."""
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_AT_ONCE], self._waiting[_AT_ONCE:]
                await self._append(batch)
        finally:
            self._appending = None
            for waiting in self._waiting:  # none, unless a bug of ours stopped us
                _settle(waiting, StoreError("not appended: the one before it failed"))
            self._waiting = []

    async def _append(self, batch: list[_Waiting]) -> None:
        batch = [waiting for waiting in batch if not waiting.future.done()]
        if not batch:
            return
        columns = zip(*(revocation_row(waiting.revocation) for waiting in batch), strict=True)
        again = all(waiting.revocation.id for waiting in batch)
        try:
            sequences: list[int] = (await self._link.one(_APPEND, [list(column) for column in columns], again=again))[0]
        except StoreError as error:
            await self._failed(batch, error)
            return
        except BaseException as error:
            for waiting in batch:
                _settle(waiting, StoreError(f"not appended: {type(error).__name__}"))
            raise
        for waiting, sequence in zip(batch, sequences, strict=True):
            if not waiting.future.done():
                waiting.future.set_result(sequence)

    async def _failed(self, batch: list[_Waiting], error: StoreError) -> None:
        """One of them may have spoilt it for all, by a text that can't be kept: then each is tried alone."""
        if len(batch) == 1 or self._link.is_away or not all(waiting.revocation.id for waiting in batch):
            for waiting in batch:
                _settle(waiting, error)
            return
        for waiting in batch:
            await self._append([waiting])

    def _was_set_back(self, how: str) -> None:
        """A node that has read it before would overlook all that gets a number which it has passed."""
        if not self._set_back:
            self._set_back = (
                f"the revocation log {how}: the database was restored, or failed over to a replica that lagged. "
                "Start this node again, and revoke again what is missing"
            )


def _settle(waiting: _Waiting, error: StoreError) -> None:
    if not waiting.future.done():
        waiting.future.set_exception(error)
