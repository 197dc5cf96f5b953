"""The gateway as a process: it starts or says why not, drains on SIGTERM, reloads on SIGHUP, keeps its workers."""

import asyncio
import os
import signal
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from doorward.core.frame_headers import encode_close
from tests.integration.gateway.standing_in import until
from tests.integration.gateway.test_front_heads import parse
from tests.integration.gateway.wires import MASK, backend, client, echo, head, text, then, upgraded
from tests.integration.noise import measured


class Child:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[list[str]] = []
        self._reading = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(line.decode().split())

    def heard(self, *words: str) -> list[list[str]]:
        return [line for line in self.lines if line[: len(words)] == list(words)]

    async def hear(self, *words: str, times: int = 1) -> list[str]:
        await until(lambda: len(self.heard(*words)) >= times, 20)
        return self.heard(*words)[times - 1]

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self, within: float = 15) -> int:
        async with asyncio.timeout(within):
            await self._reading
            return await self.process.wait()


@asynccontextmanager
async def child(backend_port: int, workers: int = 1, mode: str = ""):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.integration.gateway.main_child",
        str(backend_port),
        str(workers),
        mode,
        stdout=asyncio.subprocess.PIPE,
    )
    found = Child(process)
    try:
        yield found
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_it_drains_on_sigterm_and_ends_in_order():
    async with backend(then(echo)) as port, child(port) as ours:
        _, gateway_port, admin_port, _ = await ours.hear("open")
        async with upgraded(int(gateway_port)) as peer, client(int(admin_port)) as admin:
            admin.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            assert parse(await admin.rest())[0] == 200
            peer.send(text("hello"))
            assert await peer.frame() == (0x81, b"hello")
            ours.send(signal.SIGTERM)
            await ours.hear("drain")
            assert (await peer.close_frame())[0] == 1012
            async with client(int(gateway_port)) as late:
                late.send(head())
                status, headers, _ = parse(await late.rest())
                assert (status, headers["retry-after"]) == (503, "1")
            peer.send(encode_close(1012, "", mask=MASK))
            assert await peer.rest() == b""
        assert await ours.ended() == 0
        assert [line[0] for line in ours.lines] == ["build", "start", "open", "drain", "stop"]


async def test_a_second_sigterm_ends_at_once():
    async with backend(then(echo)) as port, child(port, mode="slow") as ours:
        _, gateway_port, *_ = await ours.hear("open")
        async with upgraded(int(gateway_port)):
            ours.send(signal.SIGTERM)
            await ours.hear("drain")
            started = time.monotonic()
            ours.send(signal.SIGTERM)
            async with measured() as noise:
                assert await ours.ended() == 0
            assert time.monotonic() - started < 3 + noise.worst


async def test_sighup_reloads_and_ends_nothing():
    async with backend(then(echo)) as port, child(port) as ours:
        _, gateway_port, *_ = await ours.hear("open")
        async with upgraded(int(gateway_port)) as peer:
            for count in (1, 2):
                ours.send(signal.SIGHUP)
                await ours.hear("reload", times=count)
            peer.send(text("unharmed"))
            assert await peer.frame() == (0x81, b"unharmed")
        ours.send(signal.SIGINT)
        assert await ours.ended() == 0


async def test_what_cannot_start_says_why_and_is_3():
    for workers in (1, 2):
        async with child(9, workers=workers, mode="broken") as ours:
            assert await ours.ended() == 3
            assert ours.heard("note", "could", "not", "start:", "the", "store", "is", "locked")
    async with child(9, mode="files") as ours:
        assert await ours.ended() == 3
        assert ours.heard("note", "could", "not", "start:", "100", "connections", "need", "400", "open", "files,")


async def test_workers_share_the_port_and_get_every_signal():
    async with backend(then(echo)) as port, child(port, workers=2) as ours:
        _, gateway_port, *_ = await ours.hear("open", times=2)
        for number in range(8):
            async with upgraded(int(gateway_port)) as peer:
                peer.send(text(str(number)))
                assert await peer.frame() == (0x81, str(number).encode())
        ours.send(signal.SIGHUP)
        await ours.hear("reload", times=2)
        ours.send(signal.SIGTERM)
        assert await ours.ended() == 0
        assert sorted(ours.heard("stop")) == [["stop", "0"], ["stop", "1"]]


async def test_a_crashed_worker_is_started_again():
    async with backend(then(echo)) as port, child(port, workers=2) as ours:
        await ours.hear("open", times=2)
        os.kill(int(ours.heard("build", "1")[0][2]), signal.SIGKILL)
        await ours.hear("build", "1", times=2)
        _, gateway_port, *_ = await ours.hear("open", times=3)
        assert ours.heard("note", "worker", "1", "ended", "with", "-9,")
        async with upgraded(int(gateway_port)) as peer:
            peer.send(text("x"))
            await peer.frame()
        ours.send(signal.SIGTERM)
        assert await ours.ended() == 0


async def test_workers_end_when_their_parent_is_killed():
    async with backend(then(echo)) as port, child(port, workers=2) as ours:
        await ours.hear("open", times=2)
        workers = [int(line[2]) for line in ours.heard("build")]
        ours.send(signal.SIGKILL)
        await ours.hear("stop", times=2)
        await until(lambda: not any(os.path.exists(f"/proc/{worker}/stat") and not gone(worker) for worker in workers))


def gone(pid: int) -> bool:
    """A zombie that nobody has reaped has ended too."""
    with suppress(OSError), open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] == "Z"
    return True


async def test_a_lack_of_files_neither_spins_nor_harms_who_is_there():
    """libuv keeps a file in reserve: what can't be accepted is shed, and it goes on when there is room."""
    async with backend(then(echo)) as port, child(port, mode="starved") as ours:
        _, gateway_port, _, pid = await ours.hear("open")
        async with upgraded(int(gateway_port)) as peer:
            files = len(os.listdir(f"/proc/{pid}/fd"))
            async with AsyncExitStack() as stack:
                crowd = [await stack.enter_async_context(client(int(gateway_port))) for _ in range(40)]
                before = cpu_seconds(int(pid))
                ends = [asyncio.create_task(shed(one)) for one in crowd]
                await until(lambda: sum(end.done() for end in ends) > 20)
                await asyncio.sleep(1)  # time enough to spin in
                assert sum(end.done() for end in ends) < 40
                assert cpu_seconds(int(pid)) - before < 0.3
                peer.send(text("unharmed"))
                assert await peer.frame() == (0x81, b"unharmed")
            await asyncio.gather(*ends)
            await until(lambda: len(os.listdir(f"/proc/{pid}/fd")) <= files)
            async with upgraded(int(gateway_port)) as other:
                other.send(text("room again"))
                assert await other.frame() == (0x81, b"room again")


async def shed(one) -> None:
    with suppress(ConnectionError):
        assert await one.reader.read(1) == b""


def cpu_seconds(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
