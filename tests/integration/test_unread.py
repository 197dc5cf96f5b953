"""A gateway whose standard error nobody reads, though somebody holds it: the pipe is full, and it stays on duty."""

import asyncio
import os
import select
import signal
from contextlib import asynccontextmanager

import pytest

from tests.integration.running import WITHIN, Backend, Gateway

REVOKED = (4002, "doorward:revoked")


class Unread(Gateway):
    """What it prints is read until it is up, and then no more until `read_on` is set."""

    def __init__(self, *given, **more) -> None:
        super().__init__(*given, **more)
        self.read_on = asyncio.Event()

    async def _follow(self, reader) -> None:
        following = asyncio.ensure_future(super()._follow(reader))
        await self._up.wait()
        reader._transport.pause_reading()
        await self.read_on.wait()
        reader._transport.resume_reading()
        await following


def fill(pid: int) -> int:
    """The pipe of its standard error, to the last byte. Returns how many bytes that took."""
    filled = 0
    pipe = os.open(f"/proc/{pid}/fd/2", os.O_WRONLY | os.O_NONBLOCK)
    try:
        for size in (select.PIPE_BUF, 1):
            try:
                while True:
                    filled += os.write(pipe, b"\n" * size)
            except BlockingIOError:
                pass
    finally:
        os.close(pipe)
    return filled


@asynccontextmanager
async def unread(folder, **more):
    backend = Backend()
    await backend.start()
    gateway = Unread(folder, backend, **more)
    try:
        await gateway.start()
        assert fill(gateway.pid) > 0
        yield gateway
    finally:
        gateway.read_on.set()
        try:
            if gateway.process is not None and gateway.process.returncode is None:
                await gateway.kill()
        finally:
            await backend.stop()
            await gateway.left()


@pytest.mark.parametrize("workers", [1, 2])
async def test_relay_revocation_and_new_handshakes_go_on_and_it_ends_in_time(workers, tmp_path) -> None:
    async with unread(tmp_path, server={"workers": workers}, audit={"file": str(tmp_path / "audit.jsonl")}) as gateway:
        alice, bob = [await gateway.connect(token=gateway.token(name)) for name in ("alice", "bob")]
        # lines of both kinds, from every process: refusals, and notes of a file that can't be taken
        assert {await gateway.status(token="x" * 20) for _ in range(20)} == {403}
        gateway.config.write_text("what is this")
        gateway.tell(signal.SIGHUP)
        await gateway.audited(kind="reloaded", outcome="failed", count=workers)
        gateway.write()
        assert await alice.echoes()
        assert await gateway.status(token=gateway.token("carol")) == 101
        code, printed = await gateway.cli("revoke", "--subject", "alice")
        assert (code, await alice.closed()) == (0, REVOKED), printed
        assert await bob.echoes()
        if workers > 1:  # which its parent notes, and starts another
            before = gateway.worker_pids()
            os.kill(before[0], signal.SIGKILL)
            await gateway.until(lambda: _replaced(gateway, before[0]))
            assert await gateway.ready() == 200
        assert fill(gateway.pid) == 0, "nobody has read what it printed since"
        gateway.tell(signal.SIGTERM)
        gateway.tell(signal.SIGTERM)
        assert await asyncio.wait_for(gateway.process.wait(), WITHIN) == 0


async def _replaced(gateway: Gateway, killed: int) -> bool:
    pids = gateway.worker_pids()
    return len(pids) == gateway.workers and killed not in pids


async def test_who_reads_late_reads_all(tmp_path) -> None:
    async with unread(tmp_path) as gateway:
        await gateway.audited(kind="started")
        for _ in range(20):
            await gateway.try_connect(token="x" * 20)
        gateway.read_on.set()
        gateway.tell(signal.SIGTERM)
        assert await gateway.ended() == 0
        lines = [line for line in gateway.printed.splitlines() if line]
        assert "gateway on" in lines[0]
        assert any("doorward refused 127.0.0.1" in line for line in lines)
        assert lines[-1].endswith(": stopped")
