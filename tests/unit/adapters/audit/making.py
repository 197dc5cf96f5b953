"""Events for the sinks, and sinks that fail on demand."""

from collections.abc import Sequence
from typing import Any

from doorward.testing import START
from doorward.values.audit import AuditEvent, EventKind, Outcome


def event(sequence: int = 1, **members: Any) -> AuditEvent:
    whole: dict[str, Any] = {
        "kind": EventKind.HANDSHAKE,
        "outcome": Outcome.REFUSED,
        "at": START,
        "node": "gw-1",
        "worker": 1,
        "sequence": sequence,
        "address": "203.0.113.7",
        "reason": "token_expired",
        "ending": "refused",
        "status": 403,
    }
    return AuditEvent(**whole | members)


class Sink:
    """An AuditSink that keeps what it is given, and fails while `fails` is set."""

    def __init__(self) -> None:
        self.written: list[AuditEvent] = []
        self.batches = 0
        self.fails: Exception | None = None
        self.closed = False
        self.reopened = 0

    def write(self, events: Sequence[AuditEvent]) -> None:
        if self.fails is not None:
            raise self.fails
        self.batches += 1
        self.written.extend(events)

    def reopen(self) -> None:
        self.reopened += 1

    def close(self) -> None:
        self.closed = True

    @property
    def sequences(self) -> list[int]:
        return [event.sequence for event in self.written]
