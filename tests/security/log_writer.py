"""Writes audit events as fast as it can, through the thread and into a chained file, until it is killed.

Run as a script: FILE. Prints a line when the file is open.
"""

import sys
from pathlib import Path

from doorward.adapters.audit.handoff import Handoff
from doorward.adapters.audit.jsonlines import JsonLines
from doorward.testing import FakeClock
from doorward.values.audit import AuditEvent, EventKind, Outcome


def main(path: Path) -> None:
    lines = JsonLines(path, clock=FakeClock(), node="gw-1", worker=1)
    sequence = lines.after
    sink = Handoff(lines, name="the audit file", report=print, most=1000)
    sys.stdout.write(f"{sequence}\n")
    sys.stdout.flush()
    while True:
        batch = [
            AuditEvent(
                kind=EventKind.HANDSHAKE, outcome=Outcome.ALLOWED, sequence=sequence + number, user_agent="x" * 200
            )
            for number in range(1, 101)
        ]
        try:
            sink.write(batch)
        except BlockingIOError:
            continue
        sequence += 100


if __name__ == "__main__":
    main(Path(sys.argv[1]))
