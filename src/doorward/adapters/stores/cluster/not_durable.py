"""Revocations that count already and that the durable log has not taken yet: each is tried again until it is over.

Others do the same with the same ones: the log takes each id once.
"""

from collections.abc import Callable, Iterable, Iterator, ValuesView
from dataclasses import replace

from doorward.ports import Clock, RefusedError, RevocationLog, StoreError
from doorward.values.revocation import Revocation


class NotDurable:
    """`note` gets lines for our own log, `made_durable` what this process has made durable at last."""

    def __init__(
        self,
        log: RevocationLog,
        *,
        clock: Clock,
        note: Callable[[str], None],
        made_durable: Callable[[Revocation], None],
    ) -> None:
        self._log = log
        self._clock = clock
        self._note = note
        self._made_durable = made_durable
        self._held: dict[str, Revocation] = {}
        self._failed: dict[str, int] = {}  # how often that was tried in vain
        self._refused: set[str] = set()  # what the log can't hold

    def __contains__(self, id: object) -> bool:
        return id in self._held

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __getitem__(self, id: str) -> Revocation:
        return self._held[id]

    def values(self) -> ValuesView[Revocation]:
        return self._held.values()

    def add(self, found: Iterable[Revocation]) -> bool:
        """Those that are not over. Was any of them new?"""
        now = self._clock.now()
        new = [one for one in found if one.id not in self._held and one.expires_at > now]
        self._held.update((one.id, replace(one, sequence=0)) for one in new)
        return bool(new)

    def drop(self, id: str) -> None:
        """It has its place, or is over."""
        self._held.pop(id, None)
        self._failed.pop(id, None)
        self._refused.discard(id)

    async def try_again(self, *, was_read: Callable[[int], bool]) -> bool:
        """Make them durable, in the order in which they were made. Was there any? `was_read`: a sequence under which
        the log has been read already, so that it won't be found there.

        One that fails is tried behind all others from then on, and one that the log can't hold no more: it counts on
        the nodes until it is over. Raises StoreError at the first that fails.
        """
        waiting = [one for one in self._held.values() if one.id not in self._refused]
        waiting.sort(key=lambda one: (self._failed.get(one.id, 0), one.instant))
        for revocation in waiting:
            await self._try(revocation, was_read)
        return bool(waiting)

    async def _try(self, revocation: Revocation, was_read: Callable[[int], bool]) -> None:
        id = revocation.id
        if revocation.expires_at <= self._clock.now():
            self.drop(id)
            return
        try:
            sequence = await self._log.append(revocation)
        except RefusedError as error:
            self._refused.add(id)
            self._note(f"revocation {id} can't be made durable: {error}")
            return
        except StoreError as error:
            failed = self._failed[id] = self._failed.get(id, 0) + 1
            if failed == 1:
                self._note(f"revocation {id} could not be made durable: {error}")
            raise
        self._failed.pop(id, None)
        self._made_durable(replace(revocation, sequence=sequence))
        if was_read(sequence):
            self.drop(id)
