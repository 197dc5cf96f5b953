"""What the admin API may ask and do: through the store and its feed, as commands do, so any worker answers for all.

Lists are read whole and cut into pages by a key that no change moves: a row that is there throughout a walk through the
pages stands on exactly one of them. Long lists are gone through in slices, since sockets share the loop.
"""

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any, Final, Generic, TypeVar

from doorward.core.auditing import MAX_TEXT, clean
from doorward.ports import Entropy, PresentConnection, Store, StoreError
from doorward.service import operate
from doorward.service.operate import ANSWER_WITHIN, CLOSED_FOR, Revoked
from doorward.service.overview import Overview, Survey
from doorward.service.present import Present
from doorward.service.watch import Watch
from doorward.service.withdrawals import Withdrawals
from doorward.values.administrator import Administrator
from doorward.values.ban import Ban
from doorward.values.ids import new_id
from doorward.values.revocation import Acknowledgement, Effect, Revocation, Target, TargetKind

T = TypeVar("T")

SLICE: Final = 512


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows, and whether there are more behind them."""

    rows: tuple[T, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class Told:
    """A revocation of the log, and which workers have acted on it by now."""

    revocation: Revocation
    acknowledgements: tuple[Acknowledgement, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """A revocation that is asked for. `key` is the id that it shall have ("": a new one): asked twice, it is done once.
    One that somebody chose goes through `id_of`."""

    target: Target
    effect: Effect = Effect.CLOSE
    roles: tuple[str, ...] = ()
    cause: str = "operator"
    key: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """An order that was carried out, now or before. `again`: it had been."""

    result: Revoked
    revocation: Revocation
    again: bool


@dataclass(frozen=True, slots=True)
class KeyTaken:
    """The order's key is that of another revocation, and nothing was done."""

    revocation: Revocation


def place_of(row: PresentConnection) -> tuple[int, str]:
    """Where a connection stands in the list, which is newest first: (microseconds of its opening, its id)."""
    return round(row.opened_at * 1e6), row.connection


class Administration:
    """`counts_for`: seconds after which nothing that a revocation could refuse is valid. `within`: how long a call may
    wait for the nodes' answers, in seconds. All methods raise StoreError."""

    def __init__(
        self,
        *,
        watch: Watch,
        store: Store,
        withdrawals: Withdrawals,
        present: Present,
        survey: Survey,
        entropy: Entropy,
        counts_for: Callable[[], float],
        within: Callable[[], float] = lambda: ANSWER_WITHIN,
    ) -> None:
        self._watch = watch
        self._store = store
        self._withdrawals = withdrawals
        self._present = present
        self._survey = survey
        self._entropy = entropy
        self._counts_for = counts_for
        self._within = within

    @property
    def now(self) -> float:
        return self._watch.clock.now()

    async def overview(self) -> Overview:
        """Raises OSError too, where this node's own counts can't be read."""
        return await self._survey.overview()

    # connections

    async def connections(
        self, wanted: Mapping[str, str], *, after: tuple[int, str] | None, limit: int
    ) -> Page[PresentConnection]:
        """Those of which each member in `wanted` has that value, newest first, from behind the place `after`."""
        rows = await self._present.connections()
        behind = None if after is None else _downwards(after)

        def fits(row: PresentConnection) -> bool:
            return (behind is None or _downwards(place_of(row)) > behind) and all(
                getattr(row, name) == value for name, value in wanted.items()
            )

        return await _page(rows, fits, key=lambda row: _downwards(place_of(row)), limit=limit)

    async def connection(self, id: str) -> PresentConnection | None:
        for row in await self._present.connections():
            if row.connection == id:
                return row
        return None

    async def close(self, connection: str, *, cause: str, key: str, by: str) -> Done | KeyTaken:
        """End one connection with `closed_by_operator`; its id comes back no more."""
        target = Target(TargetKind.CONNECTION, connection)
        return await self._revoke(Order(target, cause=cause, key=key), by=by, counts_for=CLOSED_FOR)

    # revocations

    async def revocations(self, *, before: int | None, limit: int) -> Page[Revocation]:
        """Those that still count, newest first, from below place `before` in the log."""
        await self._withdrawals.catch_up()
        found = self._withdrawals.newest(before=before, limit=limit + 1)
        return Page(tuple(found[:limit]), len(found) > limit)

    async def revocation(self, id: str) -> Told | None:
        await self._withdrawals.catch_up()
        found = self._withdrawals.find(id)
        return None if found is None else await self._told(found)

    async def _told(self, revocation: Revocation) -> Told:
        return Told(revocation, tuple(await self._store.revocations.acknowledgements(revocation.id)))

    async def revoke(self, order: Order, *, by: str) -> Done | KeyTaken:
        """Withdraw authority, and wait for the nodes as `doorward revoke` does."""
        return await self._revoke(order, by=by, counts_for=self._counts_for())

    async def _revoke(self, order: Order, *, by: str, counts_for: float) -> Done | KeyTaken:
        await self._withdrawals.catch_up()
        known = self._withdrawals.find(order.key) if order.key else None
        if known is not None:
            return await self._again(known, order)
        now = self.now
        made = Revocation(
            target=order.target,
            instant=now,
            effect=order.effect,
            cause=clean(order.cause, MAX_TEXT),
            expires_at=now + counts_for,
            by=by,
            roles=order.roles,
            id=order.key or new_id(self._entropy.bytes(16)),
        )
        result = await operate.revoke(
            self._store,
            self._watch.clock,
            id=made.id,
            target=made.target,
            effect=made.effect,
            roles=made.roles,
            cause=made.cause,
            by=by,
            counts_for=counts_for,
            within=self._within(),
        )
        with suppress(StoreError):  # it is done; that the log can't be read again just now changes nothing of that
            await self._withdrawals.catch_up()
        held = self._withdrawals.find(made.id) or replace(made, sequence=result.sequence)
        # two calls with one key may race: the log has taken one of them
        return Done(result, held, again=False) if _same(held, order) else KeyTaken(held)

    async def _again(self, known: Revocation, order: Order) -> Done | KeyTaken:
        """Say what became of it. It is not waited for: those who have not answered by now may never do."""
        if not _same(known, order):
            return KeyTaken(known)
        answers = (await self._told(known)).acknowledgements
        said = {(answer.node, answer.worker) for answer in answers}
        presence, now = self._store.presence, self.now
        lost = [one for one in await presence.unheard(now=now) if one.started_at <= known.instant]
        asked = [one for one in await presence.nodes(now=now) if one.started_at <= known.instant]
        nodes = {node for node, _ in said} | {one.node for one in (*asked, *lost)}
        silent = {one.node for one in asked if (one.node, one.worker) not in said}
        result = Revoked(
            id=known.id,
            sequence=known.sequence,
            durable=known.sequence > 0,
            closed=sum(answer.closed for answer in answers),
            asked=sum(answer.asked for answer in answers),
            nodes=len(nodes),
            answered=operate.answered_of(nodes, answers, silent=silent),
            silent=tuple(sorted(silent)),
            took=max((answer.at for answer in answers), default=known.instant) - known.instant,
            identities=tuple(dict.fromkeys(name for answer in answers for name in answer.identities)),
            unheard=operate.of_nodes(lost, answers, now=now),
        )
        return Done(result, known, again=True)

    # bans

    async def bans(self, *, after: int, limit: int) -> Page[Ban]:
        """Those that have not expired, oldest first, from behind the id `after`."""
        rows = await self._store.bans.all(now=self.now)
        return await _page(rows, lambda ban: ban.id > after, key=lambda ban: ban.id, limit=limit)

    async def ban(self, wanted: Ban) -> tuple[Ban, bool]:
        """The ban, and whether it is new: one that says the same, for as long, is left alone."""
        return await operate.ban(self._store, wanted, now=self.now)

    async def unban(self, id: int) -> Ban | None:
        """Lift a ban. The one that there was, None where there is none."""
        held = next((ban for ban in await self._store.bans.all(now=self.now) if ban.id == id), None)
        removed = await self._store.bans.remove(id)
        return held if removed else None


def by_line(administrator: Administrator) -> str:
    """Who did it, as the log and a ban keep it."""
    return f"{administrator.name} (admin token {administrator.token_id})"


def id_of(key: str, *, of: str) -> str:
    """The revocation's id for the key that an administrator of this name chose. Nobody's key is the id of a revocation
    of another's, or of one that a node will make: whose id is known already is taken for done."""
    return new_id(hashlib.sha256(json.dumps(["idempotency-key", of, key]).encode()).digest()[:16])


def _same(held: Revocation, order: Order) -> bool:
    return (held.target, held.effect, held.roles) == (order.target, order.effect, order.roles)


def _downwards(place: tuple[int, str]) -> tuple[int, str]:
    return -place[0], place[1]


async def _page(rows: Sequence[T], fits: Callable[[T], bool], *, key: Callable[[T], Any], limit: int) -> Page[T]:
    best: list[tuple[Any, T]] = []
    for start in range(0, len(rows), SLICE):
        some: Iterable[T] = filter(fits, rows[start : start + SLICE])
        best = sorted([*best, *((key(row), row) for row in some)], key=itemgetter(0))[: limit + 1]
        await asyncio.sleep(0)
    return Page(tuple(row for _, row in best[:limit]), len(best) > limit)
