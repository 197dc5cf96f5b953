"""One stream of AuditEvents; sinks subscribe. Emitting never waits, never raises, and what is lost is counted.

Events are handed on in batches every 50 ms, so that the audit of an admitted handshake is never on its path.
"""

import asyncio
import traceback
from typing import Final

from doorward.core.auditing import MAX_DETAIL, clean, mask
from doorward.ports import AuditSink, Clock, KeptError
from doorward.service.noting import Loss, Note, unfailing
from doorward.values.audit import AuditEvent, EventKind, Outcome

BATCH_SECONDS: Final = 0.05
MAX_PENDING: Final = 65536


class Events:
    """The stream of one worker. `report` gets a line for our own log when a sink fails."""

    def __init__(self, *, clock: Clock, node: str, worker: int, report: Note) -> None:
        self._clock = clock
        self._node = node
        self._worker = worker
        self._report = unfailing(report)
        self._sequence = 0
        self._sinks: list[AuditSink] = []
        self._gaps: list[str] = []  # by places of sinks
        self._copies: set[int] = set()  # places of sinks
        self._lost: dict[int, int] = {}  # of the sinks that fail; 0 where all is kept
        self._whys: dict[int, str] = {}  # what they said when that began
        self._losses: list[Loss] = []  # by places of sinks
        self._pending: list[AuditEvent] = []
        self._timer: asyncio.TimerHandle | None = None

    def subscribe(self, sink: AuditSink, *, copy: bool = False, gap: str = "events lost by this sink") -> None:
        """`copy`: what it gets is recorded elsewhere as well, so nobody is refused where it fails. `gap`: the detail
        of the record that says how many it has lost."""
        if copy:
            self._copies.add(len(self._sinks))
        self._sinks.append(sink)
        self._gaps.append(gap)
        self._losses.append(Loss(self._report, without="an audit sink failed", again="the audit sink works again"))

    def go_on_after(self, sequence: int) -> None:
        """The audit file's newest sequence: no number is used twice across a restart."""
        self._sequence = max(self._sequence, sequence)

    def emit(self, event: AuditEvent) -> None:
        """Take an event, and set what only the stream knows: its instant, node, worker and sequence."""
        if len(self._pending) >= MAX_PENDING:
            self.flush()
        self._sequence += 1
        self._stamp(event)
        self._pending.append(event)
        if self._timer is None:
            try:
                self._timer = asyncio.get_running_loop().call_later(BATCH_SECONDS, self.flush)
            except RuntimeError:
                self.flush()

    def _stamp(self, event: AuditEvent) -> None:
        # the event is not published before this line, so its freezing is not broken; a copy of 32 members would cost
        # a tenth of a handshake
        put = object.__setattr__
        put(event, "at", self._clock.now())
        put(event, "node", self._node)
        put(event, "worker", self._worker)
        put(event, "sequence", self._sequence)

    def fault(self, where: str, error: BaseException) -> None:
        """We wrote a bug: it is audited as `internal`, with the place and never the values. Raises nothing."""
        frames = traceback.extract_tb(error.__traceback__)
        last = f"{frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno}" if frames else "?"
        self.emit(
            AuditEvent(
                kind=EventKind.FAULT,
                outcome=Outcome.FAILED,
                reason="internal",
                detail=f"{where}: {type(error).__name__} at {last}",
            )
        )
        text = "".join(traceback.format_exception(error))
        self._report(f"fault in {where}: {mask(text)}")

    def tick(self) -> None:
        """Called once a second: a sink that holds something back may let it go."""
        if not self._pending:
            self._hand_on([])

    def flush(self) -> None:
        """Hand on what is pending. A sink that fails loses this batch: the loss is counted and told as a gap."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        batch, self._pending = self._pending, []
        if batch:
            self._hand_on(batch)

    def _hand_on(self, batch: list[AuditEvent]) -> None:
        for place, sink in enumerate(self._sinks):
            lost = self._lost.get(place, 0)
            try:
                sink.write([self._gap(lost, self._gaps[place]), *batch] if lost else batch)
            except KeptError as error:
                self._tell(place, error)
                self._lost[place] = 0
            except Exception as error:  # noqa: BLE001 - a sink's bug, too, costs no other sink the batch
                self._tell(place, error)
                self._lost[place] = lost + len(batch)
            else:
                self._lost.pop(place, None)
                self._whys.pop(place, None)
                self._losses[place].end(now=self._clock.now(), more=f"; it lost {lost} events" if lost else "")

    def _tell(self, place: int, error: Exception) -> None:
        why = self._whys.setdefault(place, clean(str(error), MAX_DETAIL))
        self._losses[place].begin(why, now=self._clock.now())

    def _gap(self, lost: int, detail: str) -> AuditEvent:
        self._sequence += 1
        gap = AuditEvent(kind=EventKind.GAP, outcome=Outcome.FAILED, count=lost, detail=detail)
        self._stamp(gap)
        return gap

    @property
    def losing(self) -> bool:
        """Is a sink failing right now? New handshakes are then refused, for nothing may pass unrecorded (LOG-07)."""
        return not self._lost.keys() <= self._copies

    @property
    def why_losing(self) -> str:
        """What the first of those sinks said; empty where none fails."""
        return next((why for place, why in self._whys.items() if place not in self._copies), "")

    def close(self) -> None:
        """Let go of every sink. What one can't write any more is told, and keeps none of the others open."""
        self.flush()
        for place, sink in enumerate(self._sinks):
            try:
                sink.close()
            except Exception as error:  # noqa: BLE001 - as at a write
                self._tell(place, error)
