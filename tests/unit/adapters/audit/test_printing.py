"""What is printed is written by a thread of its own: a reader that hangs or is gone holds up nobody, and is told."""

import errno
import io
import os
import select
import sys
import threading
from collections.abc import Iterator

import pytest

from doorward.adapters.audit.printing import Printer, printer_to, printing_aside

WITHIN = 10.0


class Reader:
    """Takes what is written once it may, `at_most` bytes at a time, and fails while it has an `error`."""

    def __init__(self, *, at_most: int = 1 << 20) -> None:
        self.taken = b""
        self.pieces: list[bytes] = []
        self.asked = threading.Event()
        self.may = threading.Event()
        self.may.set()
        self.error: OSError | None = None
        self._at_most = at_most

    def __call__(self, block: bytes) -> int:
        self.asked.set()
        assert self.may.wait(WITHIN)
        if self.error is not None:
            raise self.error
        self.pieces.append(block)
        self.taken += block[: self._at_most]
        return min(len(block), self._at_most)


@pytest.fixture
def hung() -> Iterator[Reader]:
    reader = Reader()
    reader.may.clear()
    yield reader
    reader.may.set()


def test_lines_come_in_order_from_another_thread() -> None:
    writers = []
    reader = Reader()

    def put(block: bytes) -> int:
        writers.append(threading.current_thread())
        return reader(block)

    printer = Printer(put)
    for number in range(100):
        printer.write(f"line {number}\n")
    assert printer.finish(WITHIN)
    assert reader.taken.decode().splitlines() == [f"line {number}" for number in range(100)]
    assert threading.current_thread() not in writers
    assert all(writer.daemon for writer in writers), "a reader that hangs must not hold the interpreter's end"


def test_nothing_printed_no_thread() -> None:
    before = threading.active_count()
    printer = Printer(Reader())
    printer.write("")
    printer.flush()
    assert printer.finish(0)
    assert threading.active_count() == before


def test_a_reader_that_hangs_costs_the_newest_lines_and_is_told_how_many(hung: Reader) -> None:
    printer = Printer(hung, most=30)
    printer.write("line 1 of ten\n")
    assert hung.asked.wait(WITHIN)
    for number in range(2, 8):
        printer.write(f"line {number} of ten\n")
        printer.flush()
    assert not printer.finish(0.01), "nor does the end wait for it"
    assert hung.taken == b""
    hung.may.set()
    assert printer.finish(WITHIN)
    assert hung.taken.decode().splitlines() == [
        "line 1 of ten",
        "line 2 of ten",
        "5 lines lost: they could not be written",
    ]
    printer.write("line 8 of ten\n")
    assert printer.finish(WITHIN)
    assert hung.taken.endswith(b"written\nline 8 of ten\n")


def test_a_reader_that_is_gone_raises_nothing_and_is_told_when_it_is_back() -> None:
    reader = Reader()
    printer = Printer(reader)
    reader.error = OSError(errno.ENOSPC, "No space left on device")
    for line in ("one\n", "two\n", "three\n"):
        assert printer.write(line) == len(line)
        assert printer.finish(WITHIN), "nothing waits for it"
    reader.error = None
    printer.write("four\n")
    assert printer.finish(WITHIN)
    assert reader.taken.decode().splitlines() == ["3 lines lost: they could not be written", "four"]


def test_what_failed_in_the_middle_of_a_line_joins_no_other_line() -> None:
    reader = Reader(at_most=4)
    taken: list[int] = []

    def put(block: bytes) -> int:
        if len(taken) == 1:
            reader.error = OSError(errno.EIO, "Input/output error")
        taken.append(1)
        return reader(block)

    printer = Printer(put)
    printer.write("torn line\n")
    assert printer.finish(WITHIN)
    reader.error = None
    printer.write("whole line\n")
    assert printer.finish(WITHIN)
    assert reader.taken.decode().splitlines() == ["torn", "1 lines lost: they could not be written", "whole line"]


def test_what_is_long_is_written_in_pieces_of_whole_lines() -> None:
    reader = Reader()
    printer = Printer(reader)
    text = "".join(f"{'x' * 500} {number}\n" for number in range(50))
    printer.write(text)
    printer.write("y" * 9000 + "\nz\n")
    assert printer.finish(WITHIN)
    assert reader.taken.decode() == text + "y" * 9000 + "\nz\n"
    assert all(piece.endswith(b"\n") for piece in reader.pieces)


@pytest.mark.parametrize("blocking", [True, False])
def test_before_a_pipe_that_is_full(blocking: bool) -> None:
    reading, writing = os.pipe()
    filled = _fill(writing)
    os.set_blocking(writing, blocking)
    with os.fdopen(writing, "w") as stream:
        printer = printer_to(stream)
        printer.write("after all\n")
        assert not printer.finish(0.05)
        assert _read(reading, filled + 10).endswith(b"xafter all\n")
        assert printer.finish(WITHIN)
    os.close(reading)


def test_a_child_has_its_own_and_writes_nothing_of_its_parents() -> None:
    reading, writing = os.pipe()
    filled = _fill(writing)
    os.set_blocking(writing, True)
    with os.fdopen(writing, "w") as stream:
        printer = printer_to(stream)
        printer.write("parent\n")
        assert not printer.finish(0.05)
        child = os.fork()
        if child == 0:
            printer.write("child\n")
            os._exit(0 if printer.finish(WITHIN) else 1)
        found = _read(reading, filled + len("parent\nchild\n"))
        assert sorted(found[filled:].decode().splitlines()) == ["child", "parent"]
        assert os.waitpid(child, 0)[1] == 0
        assert printer.finish(WITHIN)
    os.close(reading)


def test_whoever_prints_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with printing_aside() as printer:
        print("häh", file=sys.stderr)
        assert printer_to(sys.stderr) is printer
    assert sys.stderr is stream
    assert stream.getvalue() == "häh\n"


def test_without_any_standard_error() -> None:
    printer = printer_to(None)
    printer.write("nobody hears it\n")
    assert printer.finish(WITHIN)


def _fill(descriptor: int) -> int:
    os.set_blocking(descriptor, False)
    filled = 0
    try:
        while True:
            filled += os.write(descriptor, b"x" * select.PIPE_BUF)
    except BlockingIOError:
        return filled


def _read(descriptor: int, count: int) -> bytes:
    found = b""
    while len(found) < count:
        assert select.select([descriptor], [], [], WITHIN)[0]
        piece = os.read(descriptor, 1 << 20)
        assert piece
        found += piece
    return found
