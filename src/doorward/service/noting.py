"""A line for our own log fails nobody who says it: a full disk or a pipe without a reader ends none of our work.

How many lines were lost is said with the first that can be written again.
"""

from collections.abc import Callable

Note = Callable[[str], None]


def unfailing(note: Note) -> Note:
    """`note`, which raises nothing from now on. It may be called from any thread."""
    return note if isinstance(note, _Unfailing) else _Unfailing(note)


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
