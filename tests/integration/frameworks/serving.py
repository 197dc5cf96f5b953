"""An ASGI app under a real server: a process on a free port, its output followed, ended by its id.

The settings are those that docs/reference/asgi-servers.md recommends; a test that wants others says so.
"""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from tests.architecture.source import ROOT
from tests.integration.running import ENVIRONMENT, LAUNCH, WITHIN, Client, Refused, attempt, free_port

STARTS_WITHIN = 45.0
_UVICORN = [
    "--no-proxy-headers",
    "--ws-max-size",
    "131072",
    "--ws-per-message-deflate",
    "false",
    "--log-level",
    "warning",
]
SETTINGS: dict[str, list[str]] = {
    "uvicorn": [*_UVICORN, "--timeout-graceful-shutdown", "10"],
    "uvicorn-wsproto": [*_UVICORN, "--ws", "wsproto"],
    "granian": ["--interface", "asgi", "--http", "1"],
    "hypercorn": ["--websocket-ping-interval", "20", "--graceful-timeout", "1"],
    "daphne": ["--websocket-max-message-size", "131072", "--application-close-timeout", "3"],
}


def command(server: str, app: str, port: int, more: list[str]) -> list[str]:
    """What one would type."""
    where = ["--bind", f"127.0.0.1:{port}"] if server == "hypercorn" else ["--port", str(port)]
    return [sys.executable, "-m", server.partition("-")[0], *where, *SETTINGS[server], *more, app]


@dataclass
class Served:
    """A server that is up, and clients for it."""

    process: Process
    port: int
    printed: str = ""
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def follow(self) -> None:
        assert self.process.stdout is not None
        while chunk := await self.process.stdout.read(65536):
            async with self.changed:
                self.printed += chunk.decode(errors="replace")
                self.changed.notify_all()
        async with self.changed:
            self.changed.notify_all()

    async def prints(self, text: str, *, times: int = 1, within: float = WITHIN) -> None:
        """Until it has printed `text` that often."""
        try:
            async with asyncio.timeout(within), self.changed:
                await self.changed.wait_for(lambda: self.printed.count(text) >= times)
        except TimeoutError:
            raise AssertionError(f"not printed {times} times: {text!r}; but\n{self.printed}") from None

    async def answers(self, path: str) -> None:
        """Until a GET is answered: no server tells everything that is up by then."""
        while True:
            if self.process.returncode is not None:
                raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.printed}")
            with suppress(httpx2.TransportError):
                await self.request("GET", path)
                return
            await asyncio.sleep(0.05)

    async def request(self, method: str, path: str, **more: Any) -> httpx2.Response:
        async with httpx2.AsyncClient(timeout=WITHIN, trust_env=False) as client:
            return await client.request(method, f"http://127.0.0.1:{self.port}{path}", **more)

    async def try_connect(
        self,
        path: str,
        *,
        token: str | None = None,
        protocols: tuple[str, ...] = (),
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> Client | Refused:
        named = (headers or {}).items()
        found = await attempt(
            f"ws://127.0.0.1:{self.port}{path}", token=token, headers=named, protocols=protocols, **more
        )
        return found if isinstance(found, Refused) else Client(found)

    async def connect(self, path: str, **more: Any) -> Client:
        client = await self.try_connect(path, **more)
        assert isinstance(client, Client), (client, self.printed)
        return client

    async def stop(self, sign: int = signal.SIGTERM) -> int:
        """As a service manager does. Its exit code."""
        if self.process.returncode is None:
            self.process.send_signal(sign)
        return await asyncio.wait_for(self.process.wait(), WITHIN)


@asynccontextmanager
async def served(
    server: str,
    app: str,
    *more: str,
    environment: Mapping[str, str] | None = None,
    folder: Path = ROOT,
    path: str = "/hello",
) -> AsyncIterator[Served]:
    """`app` under `server`, up; ended at the end, its whole group by force if need be."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", "-c", LAUNCH, "{}", *command(server, app, port, list(more))),
        cwd=folder,
        env={**ENVIRONMENT, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(folder), **(environment or {})},
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
        start_new_session=True,
    )
    it = Served(process, port)
    following = asyncio.create_task(it.follow())
    try:
        async with asyncio.timeout(STARTS_WITHIN):
            await it.answers(path)
        yield it
        await it.stop()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        await following
