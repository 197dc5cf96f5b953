"""Who hears the event stream: JSON lines, store, plain line, metrics. Files have threads of their own."""

import sys
from collections.abc import Callable

from doorward.adapters.audit.floods import Floods
from doorward.adapters.audit.handoff import Handoff
from doorward.adapters.audit.jsonlines import JsonLines, path_of_worker
from doorward.adapters.audit.plain import PlainStream
from doorward.adapters.audit.printing import printer_to
from doorward.adapters.audit.store import StoreLines
from doorward.adapters.gateway.parts import StartError
from doorward.config.config import Config
from doorward.ports import AuditSink, AuditStore, Clock
from doorward.service.events import Events

FINISH_WITHIN = 2.0


class AuditTakenError(StartError):
    """Another living process writes to this audit file."""


class Sinks:
    """The sinks of one process. `number`, from 1, tells which of the node's audit files is its own.

    Raises OSError when that file can't be opened, AuditTakenError where another process has it.
    """

    def __init__(
        self,
        config: Config,
        *,
        store: AuditStore,
        metrics: AuditSink,
        clock: Clock,
        node: str,
        worker: int,
        number: int,
        note: Callable[[str], None],
        fault: Callable[[str, BaseException], None],
    ) -> None:
        self._files: list[Handoff] = []
        self._found = None
        self._after = 0
        plain = Handoff(PlainStream(printer_to(sys.stderr)), name="the plain log", report=note)
        # who can be refused at all must not shut the door to others, by a line to a standard error that nobody reads
        self._floods = [Floods(plain, clock=clock)]
        self._metrics = metrics
        if config.audit_file is not None:
            path = path_of_worker(config.audit_file, number)
            try:
                lines = JsonLines(path, clock=clock, node=node, worker=worker, chained=config.hash_chain)
            except BlockingIOError as error:
                raise AuditTakenError(f"a gateway is already running here: it writes to {path}") from error
            self._found, self._after = lines.found, lines.after
            file = Handoff(lines, name=str(path), report=note)
            self._files.append(file)
            self._floods.append(Floods(file, clock=clock))
        self._store = StoreLines(store, fault=fault)
        self._floods.append(Floods(self._store, clock=clock))
        self._gap = "events lost by the sink store"
        if config.audit_file is not None:
            self._gap += ": look for them in the audit file"

    def hear(self, events: Events) -> None:
        """Subscribe all of them, go on where the file ended, and tell what was found torn there."""
        events.go_on_after(self._after)
        copy, *files, store = self._floods
        for sink in (self._metrics, *files):
            events.subscribe(sink)
        events.subscribe(store, gap=self._gap)
        events.subscribe(copy, copy=True)
        if self._found is not None:
            events.emit(self._found)

    def reopen(self) -> None:
        """After a rotation: SIGHUP goes on in the new files."""
        for file in self._files:
            file.reopen()

    def settle(self) -> None:
        """Before the last event: what is counted until now goes out with it, while the store still takes it."""
        for floods in self._floods:
            floods.settle()

    async def finish(self) -> int:
        """Before the store is closed: how many events it did not take."""
        return await self._store.finish(FINISH_WITHIN)
