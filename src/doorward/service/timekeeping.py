"""The node's time is the durable store's: asked at the start, before anything is judged, and again with each beat.

Where the store has no time of its own (SQLite, memory) all its processes are on one machine, and go by its wall clock.
"""

from collections.abc import Callable
from typing import Final, Protocol

from doorward.core.timekeeping import LONGEST_ROUND_TRIP, Sample, shortest
from doorward.ports import Store, StoreError
from doorward.service.within import answered
from doorward.values.audit import AuditEvent, EventKind, Outcome

FIRST: Final = 5
QUICK: Final = 0.005
"""Seconds of a round trip that needs no better one."""
ALARM: Final = 1.0
QUIET: Final = 0.9


class Timepiece(Protocol):
    """adapters/system.py SystemClock."""

    def ticks(self) -> float: ...

    def set_by(self, sample: Sample) -> None: ...

    def heard(self, sample: Sample) -> float | None: ...

    def discipline(self) -> float | None: ...

    def ahead(self) -> float: ...


async def ask(store: Store, clock: Timepiece) -> Sample | None:
    """None: the store has no time of its own. Raises StoreError."""
    before = clock.ticks()
    told = await answered(store.time())
    return None if told is None else Sample(before, clock.ticks(), told)


async def set_by(store: Store, clock: Timepiece) -> Sample | None:
    """Set a clock that nothing was judged by yet: by the shortest of a few, or of one that was quick. Raises
    StoreError."""
    samples: list[Sample] = []
    while len(samples) < FIRST and not (samples and 2 * shortest(samples).error <= QUICK):
        sample = await ask(store, clock)
        if sample is None:
            return None
        samples.append(sample)
    best = shortest(samples)
    clock.set_by(best)
    return best


class Timekeeper:
    """Keeps one process's clock. `note` gets lines for our own log."""

    def __init__(
        self, *, store: Store, clock: Timepiece, emit: Callable[[AuditEvent], None], note: Callable[[str], None]
    ) -> None:
        self._store = store
        self._clock = clock
        self._emit = emit
        self._note = note
        self._asks = False
        self._alarmed = False

    @property
    def ahead(self) -> float:
        """By how many seconds this machine's wall clock is ahead of the time that we go by."""
        return self._clock.ahead()

    async def start(self) -> None:
        """Raises StoreError."""
        sample = await set_by(self._store, self._clock)
        self._asks = sample is not None
        if sample is not None and 2 * sample.error > LONGEST_ROUND_TRIP:
            self._note(f"the store's time is known to {sample.error:.2f} s only: it answers slowly")

    def tick(self) -> float | None:
        """Once a second. The seconds by which our time has just jumped with the wall clock, else None."""
        jump = self._clock.discipline()
        if jump is not None:
            self._note(f"the wall clock jumped by {jump:.1f} s, and we followed")
        return jump

    async def beat(self) -> float | None:
        """Ask again. The seconds by which our time has just jumped with the store's, else None. A store that does not
        answer is asked with the next beat; until then our clock goes on by itself."""
        if not self._asks:
            return None
        try:
            sample = await ask(self._store, self._clock)
        except StoreError:
            return None
        jump = None if sample is None else self._clock.heard(sample)
        if jump is not None:
            self._note(f"the store's clock jumped by {jump:.1f} s, and we followed")
            self._emit(_event(Outcome.DONE, f"the store's clock jumped by {jump:.1f} s, and we followed"))
        self._compare()
        return jump

    def _compare(self) -> None:
        """This machine's wall clock with the time that we go by: no door depends on it, but logs of others do."""
        if not self._asks:
            return
        ahead = self._clock.ahead()
        if not self._alarmed and abs(ahead) > ALARM:
            self._alarmed = True
            said = f"this machine's clock is {abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} the store's"
            self._note(f"{said}: we go by the store's")
            self._emit(_event(Outcome.FAILED, said))
        elif self._alarmed and abs(ahead) < QUIET:
            self._alarmed = False
            self._note("this machine's clock agrees with the store's again")
            self._emit(_event(Outcome.DONE, "this machine's clock agrees with the store's again"))


def _event(outcome: Outcome, detail: str) -> AuditEvent:
    return AuditEvent(kind=EventKind.CLOCK, outcome=outcome, detail=detail)
