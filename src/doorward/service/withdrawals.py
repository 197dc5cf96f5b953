"""The node's copy of the revocation log and the bans, never older than the question that is asked of it.

`catch_up` reads what is new since the cursor: the follower as soon as it sees that anything was written, and every
handshake as its last step. New revocations go to whoever follows, so that one learnt by a handshake acts on live
connections as well.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Final

from doorward.core.peering import is_in
from doorward.core.revocation import keys_of
from doorward.ports import BanStore, Clock, LogBehindError, RevocationLog
from doorward.values.ban import Ban
from doorward.values.peer import Address
from doorward.values.principal import Identity, Principal
from doorward.values.revocation import Revocation, TargetKind

FRESH: Final = 0.05
_sequence: Final = attrgetter("sequence")
_Key = tuple[TargetKind, str]


class Withdrawals:
    """All revocations that still count, found by what they name, and all bans."""

    def __init__(self, log: RevocationLog, bans: BanStore, clock: Clock) -> None:
        self._log = log
        self._bans = bans
        self._clock = clock
        self.cursor = 0
        self._by_key: dict[_Key, dict[str | int, Revocation]] = {}  # each by its id, or where it has none its place
        self._candidates: dict[_Key, tuple[Revocation, ...]] = {}  # made when asked for, until one more is learnt
        self._by_id: dict[str, Revocation] = {}
        self._placed: list[Revocation] = []  # as they stand in the log
        self._unplaced: dict[str, Revocation] = {}  # by id: not durable yet
        self._read_at = -1.0
        self._ban_version = -1
        self._ban_questions = 0
        self._bans_of = 0  # the question whose rows the copy holds
        self._networks: tuple[Ban, ...] = ()
        self._subjects: dict[str, tuple[Ban, ...]] = {}
        self.on_new: Callable[[Sequence[Revocation]], None] = _nobody

    async def catch_up(self) -> None:
        """Read what is new. Raises StoreError; what is known all the same is taken."""
        began = self._clock.now()
        try:
            read = await self._log.read(after=self.cursor)
        except LogBehindError as behind:
            self._learn(behind.found)
            raise
        self._read_at = began
        self._learn(read)

    def _learn(self, read: Iterable[Revocation]) -> None:
        new = self._take(read)
        if new:
            self.on_new(new)

    async def be_fresh(self, *, now: float) -> None:
        """Read what is new, unless that was done less than 50 ms ago. Raises StoreError."""
        if not 0.0 <= now - self._read_at < FRESH:
            await self.catch_up()

    def _take(self, read: Iterable[Revocation]) -> Sequence[Revocation]:
        """Those of them that nobody knew: what another question took that was quicker is known, and was told.

        One that was not durable when it was learnt comes once more when it is: then it only gets its place, unless the
        log has another one of that id, which then counts in its stead.
        """
        new = []
        for revocation in read:
            sequence, id = revocation.sequence, revocation.id
            if 0 < sequence <= self.cursor:
                continue
            self.cursor = max(self.cursor, sequence)
            known = self._by_id.get(id)
            if known is not None and not sequence:
                continue
            if known is not None and not _says_the_same(known, revocation):
                self._drop(known)
                known = None
            if known is None:
                new.append(revocation)
            self._put(revocation)
        return new

    def _put(self, revocation: Revocation) -> None:
        """Where all that ask look. Places are given in order, so a late one stands behind all others as well."""
        key = _key(revocation)
        self._by_key.setdefault(key, {})[revocation.id or revocation.sequence] = revocation
        self._candidates.pop(key, None)
        if revocation.id:
            self._by_id[revocation.id] = revocation
        if revocation.sequence:
            self._placed.append(revocation)
            self._unplaced.pop(revocation.id, None)
        else:
            self._unplaced[revocation.id] = revocation

    def _drop(self, revocation: Revocation) -> None:
        key = _key(revocation)
        self._candidates.pop(key, None)
        held = self._by_key[key]
        del held[revocation.id or revocation.sequence]
        if not held:
            del self._by_key[key]
        self._by_id.pop(revocation.id, None)
        self._unplaced.pop(revocation.id, None)

    def find(self, id: str) -> Revocation | None:
        """The revocation of this id, as of the last look at the log."""
        return self._by_id.get(id)

    def newest(self, *, before: int | None = None, limit: int) -> Sequence[Revocation]:
        """Those that stand before place `before` in the log, the last of them first, at most `limit`.

        None: from the very end, where those stand first that have no place yet.
        """
        first = [] if before is not None else list(reversed(self._unplaced.values()))[:limit]
        end = len(self._placed) if before is None else bisect_left(self._placed, before, key=_sequence)
        begin = max(0, end - (limit - len(first)))
        return [*first, *reversed(self._placed[begin:end])]

    def candidates(self, principal: Principal, connection: str) -> tuple[Revocation, ...]:
        """All that could hit; core/revocation.py decides."""
        found: tuple[Revocation, ...] = ()
        if not self._by_key:
            return found
        for key in keys_of(principal, connection):
            held = self._by_key.get(key)
            if held is None:
                continue
            if key not in self._candidates:
                self._candidates[key] = tuple(held.values())
            found += self._candidates[key]
        return found

    async def ban_on_address(self, address: Address, *, now: float) -> Ban | None:
        """Raises StoreError."""
        await self._follow_bans(now)
        for ban in self._networks:
            if ban.network is not None and is_in(address, (ban.network,)) and _holds(ban, now):
                return ban
        return None

    async def ban_on_identity(self, identity: Identity, *, now: float) -> Ban | None:
        """Also for a renewal, before which no address is asked. Raises StoreError."""
        await self._follow_bans(now)
        for ban in self._subjects.get(identity.subject, ()):
            if ban.issuer in (None, identity.issuer) and ban.tenant in (None, identity.tenant) and _holds(ban, now):
                return ban
        return None

    async def _follow_bans(self, now: float) -> None:
        """A ban counts at once: the number is asked for at each question, and is cheap (BanStore.version)."""
        self._ban_questions += 1
        question = self._ban_questions
        version = await self._bans.version()
        if version == self._ban_version:
            return
        bans = await self._bans.all(now=now)
        if question < self._bans_of:  # one that was asked later had its answer sooner: its rows are the newer ones
            return
        self._bans_of = question
        self._networks = tuple(ban for ban in bans if ban.network is not None)
        subjects: dict[str, tuple[Ban, ...]] = {}
        for ban in bans:
            if ban.subject is not None:
                subjects[ban.subject] = (*subjects.get(ban.subject, ()), ban)
        self._subjects = subjects
        self._ban_version = version

    def forget(self) -> None:
        """Drop what can refuse nothing any more (REV-05: never anything else)."""
        now = self._clock.now()
        over = [one for held in self._by_key.values() for one in held.values() if one.expires_at <= now]
        for one in over:
            self._drop(one)
        self._placed = [one for one in self._placed if one.expires_at > now]

    def __len__(self) -> int:
        return sum(map(len, self._by_key.values()))


def _key(revocation: Revocation) -> _Key:
    return revocation.target.kind, revocation.target.value


def _says_the_same(one: Revocation, other: Revocation) -> bool:
    return (one.target, one.effect, one.roles, one.instant) == (other.target, other.effect, other.roles, other.instant)


def _holds(ban: Ban, now: float) -> bool:
    return ban.expires_at is None or now < ban.expires_at


def _nobody(new: Sequence[Revocation]) -> None:
    """Before the follower starts there is no live connection that a revocation could miss."""
