"""A line for our own log fails nobody who says it: a full disk or a pipe without a reader ends none of our work.

How many lines were lost is said with the first that can be written again.
"""

from collections.abc import Callable

Note = Callable[[str], None]


def unfailing(note: Note) -> Note:
    """`note`, which raises nothing from now on. It may be called from any thread."""
    return note if isinstance(note, _Unfailing) else _Unfailing(note)


class Loss:
    """Something that we go without for a while: said once when that begins, and once when it is over, with how long.

    `without` and `again` are the two lines. `note` raises nothing.
    """

    def __init__(self, note: Note, *, without: str, again: str) -> None:
        self._note = note
        self._without = without
        self._again = again
        self._since: float | None = None

    def begin(self, why: object, *, now: float) -> None:
        """It is missing, at `now`, in seconds."""
        if self._since is None:
            self._since = now
            self._note(f"{self._without}: {why}")

    def end(self, *, now: float, more: str = "") -> None:
        """It is there, at `now`, in seconds."""
        if self._since is not None:
            since, self._since = self._since, None
            self._note(f"{self._again} after {max(0.0, now - since):.1f} s{more}")


class _Unfailing:
    def __init__(self, note: Note) -> None:
        self._note = note
        self._lost = 0

    def __call__(self, line: str) -> None:
        lost = self._lost
        try:
            self._note(f"{line} ({lost} lines before it could not be written)" if lost else line)
        except Exception:  # noqa: BLE001 - whatever stands behind it; there is no other place to say it
            self._lost += 1
        else:
            self._lost -= lost
