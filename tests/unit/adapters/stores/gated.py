"""A slow SQLite connection, slow by a gate instead of by time, that keeps what was asked of it."""

import sqlite3
from pathlib import Path
from threading import Event
from typing import Any


class Gate:
    """Transactions wait until it is open. `closed` tells that one has come and waits."""

    def __init__(self) -> None:
        self.open = Event()
        self.open.set()
        self.closed = Event()
        self.said: list[str] = []
        self.connections = 0

    def connect(self, path: Path) -> sqlite3.Connection:
        self.connections += 1
        connection: sqlite3.Connection = sqlite3.connect(
            path, isolation_level=None, factory=type("Gated", (GatedConnection,), {"gate": self})
        )
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        connection.execute("CREATE TABLE IF NOT EXISTS rows (value UNIQUE)")
        self.said.clear()
        return connection


class GatedConnection(sqlite3.Connection):
    gate: Gate

    def execute(self, statement: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if statement == "BEGIN IMMEDIATE":
            self.gate.closed.set()
            if not self.gate.open.wait(10):
                raise TimeoutError("nobody opened the gate")
        self.gate.said.append(statement)
        return super().execute(statement, parameters)
