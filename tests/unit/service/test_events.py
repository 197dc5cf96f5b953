"""The stream hands on what it can: neither a sink nor our own log stops it, or whoever emits."""

from collections.abc import Sequence

from doorward.ports import KeptError
from doorward.service.events import Events
from doorward.testing import FakeClock
from doorward.values.audit import AuditEvent, EventKind, Outcome


class Sink:
    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.kinds: list[EventKind] = []
        self.closed = False

    def write(self, events: Sequence[AuditEvent]) -> None:
        if self.error is not None:
            raise self.error
        self.kinds += [event.kind for event in events]

    def close(self) -> None:
        if self.error is not None:
            raise self.error
        self.closed = True


def unwritten(line: str) -> None:
    raise BrokenPipeError(32, "Broken pipe")


def test_a_copy_that_fails_refuses_nobody_and_is_told_its_gap() -> None:
    good, copy = Sink(), Sink(BrokenPipeError(32, "Broken pipe"))
    events = stream(good)
    events.subscribe(copy, copy=True)
    events.emit(AuditEvent(kind=EventKind.STARTED, outcome=Outcome.DONE))
    events.flush()
    assert not events.losing
    good.error, copy.error = OSError(28, "No space left"), None
    events.emit(AuditEvent(kind=EventKind.STOPPED, outcome=Outcome.DONE))
    events.flush()
    assert events.losing
    assert copy.kinds == [EventKind.GAP, EventKind.STOPPED]


def stream(*sinks: Sink) -> Events:
    events = Events(clock=FakeClock(), node="gw", worker=1, report=unwritten)
    for sink in sinks:
        events.subscribe(sink)
    return events


def test_a_fault_is_audited_where_our_own_log_can_not_be_written() -> None:
    sink = Sink()
    events = stream(sink)
    events.fault("revocations", OSError(32, "Broken pipe"))
    events.flush()
    assert sink.kinds == [EventKind.FAULT]


def test_a_sink_that_fails_in_a_way_that_nobody_expected_costs_no_other_its_events() -> None:
    failing, good = Sink(LookupError("bug")), Sink()
    events = stream(failing, good)
    for _ in range(2):
        events.emit(AuditEvent(kind=EventKind.STARTED, outcome=Outcome.DONE))
        events.flush()
    assert good.kinds == [EventKind.STARTED] * 2
    assert events.losing
    failing.error = None
    events.emit(AuditEvent(kind=EventKind.STOPPED, outcome=Outcome.DONE))
    events.flush()
    assert failing.kinds == [EventKind.GAP, EventKind.STOPPED]
    assert not events.losing


def test_a_sink_that_can_not_be_closed_keeps_no_other_open() -> None:
    lines: list[str] = []
    failing, good = Sink(OSError(28, "No space left")), Sink()
    events = Events(clock=FakeClock(), node="gw", worker=1, report=lines.append)
    for sink in (failing, good):
        events.subscribe(sink)
    events.close()
    assert good.closed
    assert lines == ["an audit sink failed: [Errno 28] No space left"]


def test_a_sink_that_fails_is_told_once_and_once_when_it_is_over() -> None:
    lines: list[str] = []
    failing, clock = Sink(LookupError("bug")), FakeClock()
    events = Events(clock=clock, node="gw", worker=1, report=lines.append)
    events.subscribe(failing)
    for _ in range(3):
        events.emit(AuditEvent(kind=EventKind.STARTED, outcome=Outcome.DONE))
        events.flush()
        clock.advance(2.0)
    failing.error = None
    events.tick()
    events.tick()
    assert lines == ["an audit sink failed: bug", "the audit sink works again after 6.0 s; it lost 3 events"]


def test_a_sink_that_keeps_what_it_can_not_write_has_lost_nothing() -> None:
    lines: list[str] = []
    keeping = Sink(KeptError(5, "the store does not take the audit"))
    events = Events(clock=FakeClock(), node="gw", worker=1, report=lines.append)
    events.subscribe(keeping)
    events.emit(AuditEvent(kind=EventKind.STARTED, outcome=Outcome.DONE))
    events.flush()
    keeping.error = None
    events.tick()
    assert lines[-1] == "the audit sink works again after 0.0 s"
