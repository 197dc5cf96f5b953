"""A real `doorward demo` on free ports, in a folder of its own, and whatever is asked of it from another terminal."""

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

from tests.integration.ports import free_ports

DOORWARD = str(Path(sys.executable).with_name("doorward"))
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("DOORWARD_")}
UP = "Ctrl-C stops it all."
WITHIN = 45.0


def is_free(port: int) -> bool:
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe.connect_ex(("127.0.0.1", port)) != 0


async def doorward(*arguments: str, cwd: Path | None = None) -> tuple[int, str]:
    """(exit code, everything that it printed)."""
    process = await asyncio.create_subprocess_exec(
        DOORWARD, *arguments, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, env=ENVIRONMENT, cwd=cwd
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), WITHIN)
    except TimeoutError:
        process.kill()
        raise
    return await process.wait(), output.decode()


@dataclass
class Demo:
    folder: Path
    ports: list[int]
    process: Process
    printed: str = ""
    accounts: dict[str, str] = field(default_factory=dict)

    @property
    def page(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def socket(self) -> str:
        return f"ws://127.0.0.1:{self.ports[0]}"

    @property
    def backend(self) -> str:
        return f"ws://127.0.0.1:{self.ports[2]}"

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.ports[3]}"

    @property
    def config(self) -> str:
        return str(self.folder / "doorward.toml")

    async def doorward(self, *arguments: str) -> tuple[int, str]:
        return await doorward(*arguments, "-c", self.config)

    async def audited(self, **wanted: object) -> list[dict]:
        """The events in the store whose members are all as wanted."""
        code, output = await self.doorward("audit", "query", "--json")
        assert code == 0, output
        events = [json.loads(line) for line in output.splitlines()]
        return [event for event in events if all(event.get(name) == value for name, value in wanted.items())]

    def tell(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self, within: float = WITHIN) -> tuple[int, str]:
        """(exit code, the rest of what it printed)."""
        assert self.process.stdout is not None
        rest = await asyncio.wait_for(self.process.stdout.read(), within)
        return await asyncio.wait_for(self.process.wait(), within), rest.decode()

    def children(self) -> dict[str, int]:
        """Module name -> process id of the parts."""
        found = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rpartition(")")[2].split()
                command = path.with_name("cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if int(fields[1]) == self.process.pid and b"-m" in command:
                found[command[command.index(b"-m") + 1].decode()] = int(path.parent.name)
        return found


@asynccontextmanager
async def running_demo(folder: Path, *, token_seconds: int = 60, more: tuple[str, ...] = ()) -> AsyncIterator[Demo]:
    """Up when it says so; stopped at the end."""
    ports = free_ports(4)
    flags = ("--port", "--admin-port", "--backend-port", "--issuer-port")
    chosen = [word for flag, port in zip(flags, ports, strict=True) for word in (flag, str(port))]
    process = await asyncio.create_subprocess_exec(
        *(DOORWARD, "demo", *chosen, "--folder", str(folder), "--token-seconds", str(token_seconds), *more),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
        env=ENVIRONMENT,
    )
    demo = Demo(folder, ports, process)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(WITHIN):
            while UP not in demo.printed:
                line = await process.stdout.readline()
                assert line, f"the demo ended: {demo.printed}"
                demo.printed += line.decode()
        accounts = json.loads((folder / "accounts.json").read_text())
        demo.accounts = {name: about["password"] for name, about in accounts.items()}
        yield demo
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
            try:
                await demo.ended()
            except TimeoutError:
                process.kill()
                await process.wait()
