"""What is wrong, where, and what to do about it; never the value itself, which could be a secret."""

from dataclasses import dataclass
from enum import StrEnum, unique

Key = tuple[str | int, ...]


@unique
class Severity(StrEnum):
    """An error starts nothing; a warning is shown and starts."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """One line for the user. `source` is the file, the environment variable or "flags"; `path` the key, as in the file
    (`routes[0].lease.grace`, "" for the whole); `line` counts from 1 and is None where there is none."""

    path: str
    line: int | None
    text: str
    hint: str = ""
    severity: Severity = Severity.ERROR
    source: str = ""

    def __str__(self) -> str:
        where = f"{self.source}:{self.line}" if self.line is not None else self.source
        return ": ".join(part for part in (where, self.path, self.text) if part)


@dataclass(frozen=True, slots=True)
class Fault:
    """A problem before anyone has looked up where the key stands.

    `needs` are the keys that the finding was drawn from: when one of those is itself broken, the finding is dropped,
    since it would only repeat that one in other words.
    """

    key: Key
    text: str
    hint: str = ""
    severity: Severity = Severity.ERROR
    needs: tuple[Key, ...] = ()


def warning(key: Key, text: str, hint: str = "", *, needs: tuple[Key, ...] = ()) -> Fault:
    return Fault(key, text, hint, Severity.WARNING, needs)


def shown(key: Key) -> str:
    """A key as the user writes it: routes[0].lease.grace."""
    text = ""
    for part in key:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text
