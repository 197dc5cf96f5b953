"""The audit log as JSON lines, one file per worker, each line chained to the one before it.

One worker, one file, one writer: the chain needs no lock but the file's own, and a torn line is surely the last one.
"""

from collections.abc import Sequence
from pathlib import Path

from doorward.adapters.audit.appending import Appending
from doorward.adapters.audit.chain import Chain, Torn, opening, resume
from doorward.core.auditing import line_of
from doorward.ports import Clock
from doorward.values.audit import AuditEvent, EventKind, Outcome


def path_of_worker(path: Path, worker: int) -> Path:
    """audit.jsonl for the first worker, audit.2.jsonl for the second."""
    return path if worker <= 1 else path.with_name(f"{path.stem}.{worker}{path.suffix}")


class JsonLines:
    """An AuditSink. `found` is what the file's end told at the start, for the stream to pass on to every sink.

    `after` is the newest sequence in the file: a stream that goes on from there never uses a number twice.
    Raises OSError when the file can't be opened, from `write` too, and then that batch is not in the file.
    """

    def __init__(self, path: Path, *, clock: Clock, node: str, worker: int, chained: bool = True) -> None:
        self._file = Appending(path)
        self._clock = clock
        self._node = node
        self._worker = worker
        self._chained = chained
        self._chain = Chain()
        self.found: AuditEvent | None = None
        try:
            torn = self._mend()
        except OSError:
            self._file.close()
            raise
        if torn is not None:
            detail = f"a line was torn at the end of the file: {torn.bytes} bytes, sha256 {torn.sha256}"
            self.found = AuditEvent(kind=EventKind.GAP, outcome=Outcome.FAILED, detail=detail)

    @property
    def after(self) -> int:
        return self._chain.after

    def write(self, events: Sequence[AuditEvent]) -> None:
        if self._file.torn:
            self._mend()
        if not events:
            return
        if not self._chained:
            lines = "".join(f"{line_of(event)}\n" for event in events)
            self._file.append(lines.encode("utf-8", "backslashreplace"))
            return
        chain = Chain(self._chain.link, max(self._chain.after, *(event.sequence for event in events)))
        self._file.append(b"".join(chain.bind(line_of(event)) for event in events))
        self._chain = chain

    def reopen(self) -> None:
        """After a rotation: go on in the new file, with the same chain. Nothing happens when there was none."""
        if self._file.reopen():
            tail = self._file.tail()
            _, torn = resume(tail)
            self._begin(self._chain, torn, ended=not tail.torn)

    def close(self) -> None:
        self._file.close()

    def _mend(self) -> Torn | None:
        """Find the file's end and begin a stretch there."""
        tail = self._file.tail()
        chain, torn = resume(tail)
        self._begin(chain, torn, ended=not tail.torn)
        self._file.torn = False
        return torn

    def _begin(self, chain: Chain, torn: Torn | None, *, ended: bool) -> None:
        chain = Chain(chain.link, chain.after)
        block = b"" if ended else b"\n"
        if self._chained:
            block += chain.bind(opening(chain, at=self._clock.now(), node=self._node, worker=self._worker, torn=torn))
        if block:
            self._file.append(block)
        self._chain = chain
