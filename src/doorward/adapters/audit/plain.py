"""One plain line per refusal, for fail2ban: the address stands before anything that a client can write.

fail2ban cannot read JSON. Nothing of a client's text is in the line at all: an address, and words of closed lists. What
a backend did ends with its address and our words, for whoever watches the log.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from doorward.adapters.audit.appending import Appending
from doorward.adapters.audit.printing import Printer
from doorward.values.audit import AuditEvent, EventKind, Outcome

# attempts to come in; what a connection that is in does wrong is its own close's matter
_ATTEMPTS: Final = frozenset({EventKind.HANDSHAKE, EventKind.HTTP, EventKind.TICKET})


def plain_line(event: AuditEvent) -> str | None:
    """`TIME doorward refused ADDRESS reason=… status=… ending=…`, with ` count=N` where one stands for N."""
    if event.outcome is not Outcome.REFUSED or event.kind not in _ATTEMPTS:
        return None
    at = datetime.fromtimestamp(event.at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    count = f" count={event.count}" if event.count > 1 else ""
    status = event.status if event.status is not None else "-"
    address = event.address.partition("%")[0] or "-"
    # which backend, and what it did: our own words, and no ending that bans anybody
    backend = f" backend={event.detail}" if event.ending.startswith("backend_") and event.detail else ""
    return (
        f"{at} doorward refused {address} reason={event.reason} status={status} ending={event.ending}{count}{backend}\n"
    )


def _lines(events: Sequence[AuditEvent]) -> str:
    return "".join(line for event in events if (line := plain_line(event)) is not None)


class PlainFile:
    """A FileSink for the lines. Raises OSError when the file can't be opened or written."""

    def __init__(self, path: Path) -> None:
        self._file = Appending(path)

    def write(self, events: Sequence[AuditEvent]) -> None:
        lines = _lines(events)
        if not lines:
            return
        if self._file.torn:
            lines = f"\n{lines}"
        self._file.append(lines.encode("ascii", "backslashreplace"))
        self._file.torn = False

    def reopen(self) -> None:
        self._file.reopen()

    def close(self) -> None:
        self._file.close()


class PlainStream:
    """The same to standard error, before which a Printer stands. What it loses refuses nobody: the audit has it all."""

    def __init__(self, printer: Printer) -> None:
        self._printer = printer

    def write(self, events: Sequence[AuditEvent]) -> None:
        lines = _lines(events)
        if lines:
            self._printer.write(lines)

    def reopen(self) -> None:
        """A stream has no name to open again."""

    def close(self) -> None:
        """It is not ours to close, and what was written is written to its end."""
        self._printer.finish()
