"""A worker with every sink there is, over files, and everything that any of them ever wrote.

The desk and the door are the real ones, over the memory store; only time, keys and the backend are fakes.
"""

import io
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client import generate_latest

from doorward.adapters.audit import console
from doorward.adapters.audit.floods import Floods
from doorward.adapters.audit.handoff import Handoff
from doorward.adapters.audit.jsonlines import JsonLines
from doorward.adapters.audit.plain import PlainFile
from doorward.adapters.audit.store import StoreLines
from doorward.adapters.metrics import Meters
from doorward.adapters.web import WebApp
from doorward.core.handshakes import parse_head
from doorward.values.decision import Deny
from doorward.values.handshake import Handshake
from tests.unit.adapters.web.asking import Answer, FakeReadiness, ask, scope_of
from tests.unit.service.world import WIRE, World

HOST = "gw.example.com"
ORIGIN = "https://app.example.com"


@dataclass
class Outputs:
    """What was written, by sink."""

    audit: bytes
    plain: str
    stored: list[str]
    metrics: str
    console: str
    notes: list[str]
    events: list[str]

    def holding(self, *needles: str) -> list[str]:
        """Where any of these can be read."""
        texts = {
            "audit": self.audit.decode(),
            "plain": self.plain,
            "stored": "\n".join(self.stored),
            "metrics": self.metrics,
            "console": self.console,
            "notes": "\n".join(self.notes),
            "events": "\n".join(self.events),
        }
        return [f"{needle} in {name}" for name, text in texts.items() for needle in needles if needle in text]


class Watched:
    """The world, its web application, and its sinks."""

    def __init__(self, folder: Path, log: io.StringIO) -> None:
        self.world = World()
        self._log = log
        self._audit = folder / "audit.jsonl"
        self._plain = folder / "refusals.log"
        self._meters = Meters(connections=lambda: {"/chat/{room}": len(self.world.connections)})
        clock = self.world.clock
        file = JsonLines(self._audit, clock=clock, node="gw", worker=0)
        self._store = StoreLines(self.world.store.audit, fault=self.world.events.fault)
        report = self.world.notes.append
        for sink in (
            self._meters,
            Floods(Handoff(file, name="the audit file", report=report), clock=clock),
            Floods(Handoff(PlainFile(self._plain), name="the plain file", report=report), clock=clock),
            Floods(self._store, clock=clock),
        ):
            self.world.events.subscribe(sink)
        self.web = WebApp(
            self.world.desk,
            door=self.world.door,
            rules=lambda: self.world.watch.rules,
            readiness=FakeReadiness(),
            jwks=lambda: {"keys": []},
            fault=self.world.events.fault,
            wire_of=lambda scope: WIRE,
        )

    async def knock(self, *lines: str, target: str = "/chat/a", origin: str | None = ORIGIN) -> Any:
        """A handshake at the front's and the door's hands, with more header lines."""
        head = [
            f"GET {target} HTTP/1.1",
            f"Host: {HOST}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version: 13",
            *([f"Origin: {origin}"] if origin is not None else []),
            *lines,
        ]
        read = parse_head(("\r\n".join(head) + "\r\n\r\n").encode())
        if isinstance(read, Deny):
            self.world.door.refuse(WIRE, read)
            return read
        assert isinstance(read, Handshake)
        return await self.world.door.admit(read, WIRE, self.world.connector)

    async def ask(self, method: str, target: str, *headers: tuple[str, str], body: bytes = b"") -> Answer:
        return await ask(self.web, scope_of(method, target, [("host", HOST), *headers]), [body])

    async def outputs(self) -> Outputs:
        """Everything, once all of it is written. The world is over then."""
        await self.world.settle()
        assert await self._store.finish(within=10) == 0
        self.world.events.close()
        return Outputs(
            audit=self._audit.read_bytes(),
            plain=self._plain.read_text(),
            stored=[line for _, line in await self.world.store.audit.query(after=0, limit=100_000)],
            metrics=generate_latest(self._meters.registry).decode(),
            console=self._log.getvalue(),
            notes=self.world.notes,
            events=[repr(event) for event in self.world.sink.events],
        )


@asynccontextmanager
async def watched(folder: Path) -> AsyncIterator[Watched]:
    """Loggers are the process's: they begin as nobody has touched them (a gateway built before silences uvicorn's for
    good), and go back to what they were."""
    loggers = [logging.getLogger(name) for name in ("", "httpx2", *console.LIBRARIES)]
    before = [(one.handlers[:], one.propagate, one.level, one.disabled) for one in loggers]
    for one in loggers:
        one.setLevel(logging.NOTSET)
        one.disabled = False
    log = io.StringIO()
    console.install(log, level=logging.DEBUG)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    try:
        yield Watched(folder, log)
    finally:
        for one, (handlers, propagate, level, disabled) in zip(loggers, before, strict=True):
            one.handlers[:] = handlers
            one.propagate = propagate
            one.setLevel(level)
            one.disabled = disabled
