"""Autobahn's cases, by PyPI `kosoku`, against any WebSocket endpoint that echoes: one verdict a case.

`of_server`: Autobahn is the client of the server at a URL. `fuzzing_server`: Autobahn is a server, to which a client
connects once a case, and may come through anything.
"""

import asyncio
import json
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect

from tests.integration.autobahn.programs import QUICK, REFERENCE, Program, program

# The command that this environment installed; no other is looked for.
KOSOKU = Path(sys.executable).with_name("kosoku")
COMPRESSED = ("12.*", "13.*")
# Cases with large messages, many messages, or compression: minutes instead of seconds.
SLOW = ("9.*", *COMPRESSED)
FAST_CASES, ALL_CASES = 247, 517
UNFINISHED = "UNFINISHED"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What Autobahn says of a case: of what was received, of how it was closed, and the close code (None: none)."""

    behavior: str
    close: str
    code: int | None

    def __str__(self) -> str:
        closed = "no code" if self.code is None else str(self.code)
        return f"{self.behavior}, close {self.close} with {closed}"


@dataclass(frozen=True, slots=True)
class Choice:
    """Which cases, how many at once, the seconds that all may take, and which echo is at the other end."""

    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    at_once: int = 1
    within: float = 1800.0
    echo: str = REFERENCE

    def options(self) -> list[str]:
        options = [option for case in self.exclude for option in ("-x", case)]
        return options + [option for case in self.include for option in ("-i", case)]


PLAIN_CASES = Choice(exclude=COMPRESSED, at_once=2)
COMPRESSED_CASES = Choice(include=COMPRESSED, at_once=2, within=3600.0, echo=QUICK)
FAST = Choice(exclude=SLOW, at_once=4, within=90.0)

Verdicts = Mapping[str, Verdict]


async def of_server(url: str, choice: Choice = FAST) -> Verdicts:
    """Of the server at a URL, or "HOST:PORT". TimeoutError if not in time; RuntimeError without a report."""
    with tempfile.TemporaryDirectory(prefix="autobahn-") as folder:
        process = await asyncio.create_subprocess_exec(
            *(str(KOSOKU), "-m", "fuzzingclient", "-p", str(choice.at_once), "-o", folder, url),
            *choice.options(),
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
        )
        try:
            async with asyncio.timeout(choice.within):
                printed, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return _reported(Path(folder), printed.decode(errors="replace"))


@dataclass
class Fuzzing:
    """Autobahn's server, waiting for a client at that port of loopback."""

    port: int
    choice: Choice
    server: Program
    folder: Path

    async def of_client(self, url: str, *, token: str = "") -> Verdicts:
        """Of the echo as a client, which is sent to a URL that leads here. TimeoutError if not in time."""
        count, at_once = str(await _count(self.port)), str(self.choice.at_once)
        async with (
            program(sys.executable, "-m", self.choice.echo, "client", url, count, at_once, token) as client,
            asyncio.timeout(self.choice.within),
        ):
            # It ends when the client asks for the reports, which is the last that it does.
            await asyncio.gather(client.read_on(), self.server.read_on())
            await self.server.process.wait()
        return _reported(self.folder, "\n".join([*self.server.said, *client.said]))


@asynccontextmanager
async def fuzzing_server(choice: Choice = FAST) -> AsyncIterator[Fuzzing]:
    with tempfile.TemporaryDirectory(prefix="autobahn-") as folder:
        command = (str(KOSOKU), "-m", "fuzzingserver", "-o", folder, "127.0.0.1:0", *choice.options())
        async with program(*command) as server:
            port = int((await server.line("listening on")).rpartition(":")[2])
            yield Fuzzing(port, choice, server, Path(folder))


async def _count(port: int) -> int:
    async with connect(f"ws://127.0.0.1:{port}/getCaseCount", proxy=None) as socket:
        return int(await socket.recv())


def _reported(folder: Path, printed: str) -> Verdicts:
    report = folder / "index.json"
    # It exits with 1 also when a case has failed; whether it ran at all, only its report says.
    if not report.exists():
        raise RuntimeError(f"kosoku left no report: {printed[-2000:]}")
    (cases,) = json.loads(report.read_text(encoding="utf-8")).values()
    return {
        case: Verdict(_behavior(folder, said), said["behaviorClose"], said["remoteCloseCode"])
        for case, said in cases.items()
    }


def _behavior(folder: Path, said: Mapping[str, Any]) -> str:
    """As it says, but what took too long is told from what came back wrong."""
    behavior: str = said["behavior"]
    if behavior != "FAILED":
        return behavior
    why = json.loads((folder / said["reportfile"]).read_text(encoding="utf-8"))["result"]
    return UNFINISHED if why.startswith("Case did not finish") else behavior


def in_order(cases: Iterable[str]) -> list[str]:
    """By number: 1.2.10 after 1.2.9."""
    return sorted(cases, key=lambda case: tuple(map(int, case.split("."))))
