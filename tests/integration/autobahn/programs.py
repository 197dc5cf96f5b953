"""The programs around a run, each in a process of its own that is ended with it."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

STARTS_WITHIN = 60.0
ENDS_WITHIN = 10.0
KEPT_LINES = 40
# Right in all cases, and right in those about compression at half the cost.
REFERENCE = "tests.integration.autobahn.reference"
QUICK = "tests.integration.autobahn.quick"


@dataclass
class Program:
    """A program that runs. `said` are the last lines that it printed."""

    process: Process
    said: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))

    async def line(self, containing: str = "") -> str:
        """The next line with that in it. RuntimeError if the program ends before."""
        assert self.process.stdout is not None
        async with asyncio.timeout(STARTS_WITHIN):
            async for raw in self.process.stdout:
                line = raw.decode(errors="replace").rstrip()
                self.said.append(line)
                if containing in line:
                    return line
        raise RuntimeError("\n".join(self.said))

    async def read_on(self) -> None:
        """To the end: a pipe that nobody empties would stop the program."""
        assert self.process.stdout is not None
        async for raw in self.process.stdout:
            self.said.append(raw.decode(errors="replace").rstrip())


@asynccontextmanager
async def program(*command: str) -> AsyncIterator[Program]:
    process = await asyncio.create_subprocess_exec(
        *command, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    )
    try:
        yield Program(process)
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), ENDS_WITHIN)
        except TimeoutError:
            process.kill()
            await process.wait()


@asynccontextmanager
async def echo(module: str = REFERENCE) -> AsyncIterator[int]:
    """The port of an echo, REFERENCE's or QUICK's."""
    async with program(sys.executable, "-m", module, "server") as server:
        port = int(await server.line())
        reading = asyncio.create_task(server.read_on())
        try:
            yield port
        finally:
            reading.cancel()
