"""The writer thread: the loop never waits for a disk, nothing is lost while it can be kept, and losing is said."""

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from doorward.adapters.audit.handoff import SLICE, Handoff
from doorward.values.audit import AuditEvent
from tests.unit.adapters.audit.making import Sink, event

PATIENCE = 10.0


class Watched(Sink):
    """A sink whose tries can be awaited, and that blocks while `gate` is shut."""

    def __init__(self) -> None:
        super().__init__()
        self.turn = threading.Condition()
        self.tries = 0
        self.gate = threading.Event()
        self.gate.set()
        self.reopening_fails: OSError | None = None

    def write(self, events: Sequence[AuditEvent]) -> None:
        with self.turn:
            self.tries += 1
            self.turn.notify_all()
        assert self.gate.wait(PATIENCE)
        try:
            super().write(events)
        finally:
            with self.turn:
                self.turn.notify_all()

    def reopen(self) -> None:
        with self.turn:
            self.reopened += 1
            self.turn.notify_all()
        if self.reopening_fails is not None:
            raise self.reopening_fails

    def until(self, condition: Callable[[], object]) -> None:
        with self.turn:
            assert self.turn.wait_for(condition, PATIENCE)


@pytest.fixture
def sink() -> Watched:
    return Watched()


@pytest.fixture
def reports() -> list[str]:
    return []


@pytest.fixture
def make(sink: Watched, reports: list[str]) -> Iterator[Callable[..., Handoff]]:
    made = []

    def handoff(**more: Any) -> Handoff:
        made.append(Handoff(sink, name="the audit file", report=reports.append, **{"retry": 0.001, **more}))
        return made[-1]

    yield handoff
    sink.fails = None
    sink.gate.set()
    for one in made:
        one.close()


def test_everything_is_written_in_order_and_at_close(sink: Watched, make: Callable[..., Handoff]) -> None:
    handoff = make()
    for start in range(0, 1000, 100):
        handoff.write([event(sequence) for sequence in range(start, start + 100)])
    handoff.close()
    assert sink.sequences == list(range(1000))
    assert sink.closed


def test_a_large_batch_goes_in_slices_so_that_the_loop_gets_its_turn(
    sink: Watched, make: Callable[..., Handoff]
) -> None:
    handoff = make()
    handoff.write([event(sequence) for sequence in range(SLICE * 3 + 1)])
    handoff.close()
    assert sink.batches == 4


def test_lg_09_a_disk_that_hangs_holds_up_nobody(sink: Watched, make: Callable[..., Handoff]) -> None:
    sink.gate.clear()
    handoff = make(most=100)
    handoff.write([event(1)])
    sink.until(lambda: sink.tries)
    handoff.write([event(2)] * 99)
    with pytest.raises(BlockingIOError, match="100 events behind"):
        handoff.write([event(3)])
    sink.gate.set()
    sink.until(lambda: len(sink.written) == 100)
    handoff.close()
    assert len(sink.written) == 100, "what was refused was the stream's to count"


def test_fx_10_what_a_full_disk_refused_is_kept_and_said(
    sink: Watched, make: Callable[..., Handoff], reports: list[str]
) -> None:
    sink.fails = OSError(28, "No space left on device")
    handoff = make()
    handoff.write([event(1), event(2)])
    sink.until(lambda: sink.tries > 2)
    with pytest.raises(OSError, match="the audit file fails") as refused:
        handoff.write([event(3)])
    assert refused.value.errno == 28
    sink.fails = None
    sink.until(lambda: len(sink.written) == 2)
    handoff.close()
    assert sink.sequences == [1, 2]
    assert reports == [
        "the audit file fails and is tried again: [Errno 28] No space left on device",
        "the audit file is written again",
    ]


def test_a_bug_in_a_sink_does_not_end_the_thread(
    sink: Watched, make: Callable[..., Handoff], reports: list[str]
) -> None:
    sink.fails = KeyError("bug")
    handoff = make()
    handoff.write([event(1)])
    sink.until(lambda: sink.tries > 1)
    with pytest.raises(OSError, match="fails"):
        handoff.write([event(2)])
    sink.fails = None
    sink.until(lambda: sink.written)
    assert sink.sequences == [1]


def test_reopening_comes_after_what_was_handed_over_before(sink: Watched, make: Callable[..., Handoff]) -> None:
    sink.gate.clear()
    handoff = make()
    handoff.write([event(1)])
    handoff.reopen()
    assert sink.reopened == 0
    sink.gate.set()
    sink.until(lambda: sink.reopened)
    assert sink.sequences == [1]


def test_a_rotation_that_fails_stays_in_the_old_file(
    sink: Watched, make: Callable[..., Handoff], reports: list[str]
) -> None:
    sink.reopening_fails = PermissionError(13, "Permission denied")
    handoff = make()
    handoff.reopen()
    sink.until(lambda: sink.reopened)
    handoff.write([event(1)])
    handoff.close()
    assert sink.sequences == [1]
    assert reports == ["the audit file stays in its old file: [Errno 13] Permission denied"]


def test_closing_does_not_wait_for_ever(sink: Watched, make: Callable[..., Handoff], reports: list[str]) -> None:
    sink.gate.clear()
    handoff = make(closing=0.01)
    handoff.write([event(1)])
    sink.until(lambda: sink.tries)
    handoff.close()
    assert reports == ["the audit file could not be written to its end: 1 events are lost"]


def test_closing_tries_a_failing_file_once_more_and_lets_go(sink: Watched, make: Callable[..., Handoff]) -> None:
    sink.fails = OSError(28, "No space left on device")
    handoff = make(retry=60.0)
    handoff.write([event(1)])
    sink.until(lambda: sink.tries)
    handoff.close()
    assert sink.written == []


def test_a_report_that_fails_does_not_end_the_thread(sink: Watched) -> None:
    """Standard error is a pipe whose reader has gone, and the disk is full for a moment."""

    def unwritten(line: str) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    handoff = Handoff(sink, name="audit.jsonl", report=unwritten, retry=0.01)
    sink.fails = OSError(28, "No space left on device")
    handoff.write([event(1)])
    sink.until(lambda: sink.tries >= 2)
    sink.reopening_fails = OSError(13, "Permission denied")
    sink.fails = None
    sink.until(lambda: sink.sequences == [1])
    handoff.reopen()
    sink.until(lambda: sink.reopened)
    handoff.write([event(2)])
    sink.until(lambda: sink.sequences == [1, 2])
    handoff.close()
    assert sink.closed
