"""slowhttptest against a real gateway, while a client that behaves goes on: some two minutes.

Slow heads at the WebSocket's path and at our endpoints, slow bodies, slow reading: hundreds of connections from one
address. What was seen is kept in .reports/conformance/slow.json. Exit 1 where a connection outlived its deadline, or
the client that behaves was cut, or waited.
"""

import asyncio
import json
import re
import statistics
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.integration.autobahn.kept import FOLDER
from tests.integration.running import Gateway, running

LONG = 25  # seconds an attack may last
RATE = 100  # new connections a second
EVERY = 0.05  # seconds between two messages of the client that behaves
# handshake_timeout is 5 s, admission_timeout 10 s: no attack's connection has a reason to be there after both.
CUT_WITHIN = 16
WAITED = 0.5  # seconds: the longest that an answer may take on a machine that does something else as well
THE_CLIENTS = 10  # files: those of the client that behaves, two a connection, and what the gateway opens for itself
ELSEWHERE = "127.0.0.2"  # where the client that behaves comes from: limits are by address
ATTACKS = {
    "heads, /chat": ("-H", "/chat"),
    "heads, /auth/login": ("-H", "/auth/login"),
    "bodies, /auth/login": ("-B", "/auth/login"),
    "bodies, /auth/ticket": ("-B", "/auth/ticket"),
    "reading, /.well-known/jwks.json": ("-X", "/.well-known/jwks.json"),
    "reading, /chat": ("-X", "/chat"),
}
# As they come, for one address; and so wide that each connection might as well come from another.
LIMITS = {
    "default": {
        "connections_per_address": 100,
        "handshakes_per_address": "600/min",
        "handshakes_per_subject": "120/min",
        "refusals_per_address": "60/min",
        "pending_per_address": 20,
    },
    "none by address": {"pending_per_address": 9000},
}


@dataclass
class Seen:
    """Of one attack. `held`: the most sockets of it that the gateway had at once; `until`: the second in which it had
    the last one; the times of the client that behaves in milliseconds."""

    attack: str
    limits: str
    tried: int
    held: int = 0
    until: float = 0.0
    ended: str = ""
    echoes: int = 0
    median: float = 0.0
    slowest: float = 0.0
    handshakes: int = 0
    slowest_handshake: float = 0.0
    wrong: list[str] = field(default_factory=list)


class Sockets:
    """The files that the gateway has open, looked at four times a second."""

    def __init__(self, gate: Gateway) -> None:
        self._files = Path(f"/proc/{gate.pid}/fd")
        self._before = self._count()
        self.held, self.until = 0, 0.0

    def _count(self) -> int:
        return len(list(self._files.iterdir()))

    async def watch(self) -> None:
        began = time.perf_counter()
        while True:
            held = self._count() - self._before - THE_CLIENTS
            self.held = max(self.held, held)
            if held > 0:
                self.until = round(time.perf_counter() - began, 1)
            await asyncio.sleep(0.25)


class Behaving:
    """A client that says something twenty times a second, and comes anew every second."""

    def __init__(self, gate: Gateway) -> None:
        self._gate = gate
        self.echoes: list[float] = []
        self.handshakes: list[float] = []

    async def go_on(self) -> None:
        token = self._gate.token("steady", 600.0)
        first = await self._gate.connect(token=token, local_addr=(ELSEWHERE, 0))
        while True:
            began = time.perf_counter()
            assert await first.echoes()
            self.echoes.append(time.perf_counter() - began)
            if len(self.echoes) % round(1 / EVERY) == 0:
                began = time.perf_counter()
                again = await self._gate.connect(token=token, local_addr=(ELSEWHERE, 0))
                self.handshakes.append(time.perf_counter() - began)
                await again.close()
            await asyncio.sleep(EVERY)


async def slowhttptest(how: str, url: str, connections: int) -> str:
    """What it printed, once it is over. TimeoutError long after it should be."""
    process = await asyncio.create_subprocess_exec(
        *("slowhttptest", how, "-u", url, "-c", str(connections), "-r", str(RATE), "-i", "2", "-l", str(LONG)),
        *("-p", "3", "-f", "application/json"),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
    )
    try:
        async with asyncio.timeout(LONG + 30):
            printed, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return re.sub(r"\x1b\[[0-9;]*m", "", printed.decode(errors="replace"))


async def attack(gate: Gateway, name: str, *, limits: str, connections: int) -> Seen:
    how, path = ATTACKS[name]
    behaving, sockets = Behaving(gate), Sockets(gate)
    seen = Seen(name, limits, connections)
    going_on, watching = asyncio.create_task(behaving.go_on()), asyncio.create_task(sockets.watch())
    try:
        printed = await slowhttptest(how, f"{gate.http}{path}", connections)
    finally:
        going_on.cancel()
        watching.cancel()
        ended, _ = await asyncio.gather(going_on, watching, return_exceptions=True)
    if not isinstance(ended, asyncio.CancelledError):
        seen.wrong.append(f"the client that behaves: {ended!r}")
    status = re.search(r"Exit status:\s*(.+)", printed)
    seen.ended = status[1].strip() if status is not None else "?"
    seen.held, seen.until = sockets.held, sockets.until
    seen.echoes, seen.handshakes = len(behaving.echoes), len(behaving.handshakes)
    seen.median = round(statistics.median(behaving.echoes) * 1000, 2)
    seen.slowest = round(max(behaving.echoes) * 1000, 1)
    seen.slowest_handshake = round(max(behaving.handshakes, default=0.0) * 1000, 1)
    if seen.until > CUT_WITHIN + connections / RATE:
        seen.wrong.append(f"connections were there for {seen.until} s")
    if max(seen.slowest, seen.slowest_handshake) > WAITED * 1000:
        seen.wrong.append("the client that behaves waited")
    return seen


async def main() -> int:
    found = []
    with tempfile.TemporaryDirectory(prefix="slow-") as folder:
        for limits, terms in LIMITS.items():
            async with running(Path(folder, limits.replace(" ", "-")), cluster_limits=terms) as gate:
                for name in ATTACKS:
                    seen = await attack(gate, name, limits=limits, connections=400)
                    print(asdict(seen), flush=True)
                    found.append(seen)
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "slow.json").write_text(json.dumps([asdict(one) for one in found], indent=1), encoding="utf-8")
    return 1 if any(one.wrong for one in found) else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
