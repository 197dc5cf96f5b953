"""Whoever notes a line goes on, wherever the line was to go; and what was lost is said later."""

import pytest

from doorward.service.noting import unfailing

EPIPE = BrokenPipeError(32, "Broken pipe")


class Output:
    """What stands behind a note: it fails while `fails` is set."""

    def __init__(self, fails: Exception | None = None) -> None:
        self.fails = fails
        self.lines: list[str] = []

    def __call__(self, line: str) -> None:
        if self.fails is not None:
            raise self.fails
        self.lines.append(line)


@pytest.mark.parametrize("error", [EPIPE, OSError(28, "No space left"), ValueError("closed file"), RuntimeError("bug")])
def test_a_line_that_can_not_be_written_fails_nobody(error: Exception) -> None:
    output = Output(error)
    note = unfailing(output)
    note("one")
    note("two")
    output.fails = None
    note("three")
    note("four")
    assert output.lines == ["three (2 lines before it could not be written)", "four"]


def test_what_is_unfailing_already_stays_the_same() -> None:
    note = unfailing(Output())
    assert unfailing(note) is note


def test_who_is_interrupted_is_interrupted() -> None:
    def interrupted(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unfailing(interrupted)("one")
