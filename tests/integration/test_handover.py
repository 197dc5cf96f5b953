"""A new `doorward run` on the port of one that drains: every connection is answered, none is reset, none is lost."""

import asyncio
import re
import signal
import sqlite3
from collections import Counter
from contextlib import closing, suppress

import pytest

from tests.integration.running import Client, Gateway, running

KNOCK_EVERY = 0.01
INSIDE = 12
"""Connections for each worker: the kernel spreads them, and a worker that had one or none would be drained at once."""
WITHIN = 60.0


class Knocking:
    """Opens connections all the time, several at once, and notes how each was answered."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.answers: Counter[str] = Counter()
        self.without_delay = 0
        self._over = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        while not self._over.is_set():
            task = asyncio.create_task(self._knock())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            with suppress(TimeoutError):
                async with asyncio.timeout(KNOCK_EVERY):
                    await self._over.wait()
        await asyncio.gather(*self._tasks)

    def stop(self) -> None:
        self._over.set()

    async def _knock(self) -> None:
        port = self._gateway.port
        writer = None
        try:
            async with asyncio.timeout(WITHIN):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(
                    f"GET /chat HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                    f"Authorization: Bearer {self._gateway.token('knocker')}\r\n\r\n".encode()
                )
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.answers[head.split(" ")[1]] += 1
            if head.startswith("HTTP/1.1 503") and not re.search(r"\r\nRetry-After: [1-9]", head):
                self.without_delay += 1
        except (OSError, EOFError, TimeoutError) as error:
            self.answers[repr(error)] += 1
        finally:
            if writer is not None:
                writer.close()


async def told_to_come_back(client: Client) -> int:
    """After how many seconds."""
    code, reason = await client.closed(WITHIN)
    found = re.fullmatch(r"doorward:draining; retry_after=(\d+)", reason or "")
    assert code == 1012, (code, reason)
    assert found, reason
    return int(found[1])


async def handed_over(gateway: Gateway, clients: list[Client]) -> list[Client]:
    """Drain it, start the next on its port, and come back with whoever was told to; the others leave by themselves."""
    before = gateway.process
    assert before is not None
    printing = gateway._printing
    gateway.tell(signal.SIGTERM)
    first, *others = clients
    delay = await told_to_come_back(first)  # so it drains
    await gateway.start()
    await gateway.until(lambda: _said(gateway, "the next process has the port"))
    await asyncio.sleep(0)
    assert delay >= 1
    back = [await gateway.connect(token=gateway.token("back")) for _ in clients]
    for client in others:
        await client.close()
    assert await asyncio.wait_for(before.wait(), WITHIN) == 0
    assert printing is not None
    await asyncio.wait_for(printing, WITHIN)
    return back


async def _said(gateway: Gateway, line: str) -> bool:
    return line in gateway.printed


@pytest.mark.timeout(240)
@pytest.mark.parametrize("workers", [1, 2])
async def test_two_handovers_lose_and_reset_no_connection(workers, tmp_path) -> None:
    server = {"workers": workers, "drain_timeout": "120s"}
    async with running(tmp_path, server=server) as gateway:
        knocking = Knocking(gateway)
        running_on = asyncio.create_task(knocking.run())
        try:
            clients = [await gateway.connect(token=gateway.token(f"u{number}")) for number in range(INSIDE * workers)]
            for _ in range(2):
                gateway.printed = ""
                clients = await handed_over(gateway, clients)
                assert all([await client.echoes() for client in clients])
        finally:
            knocking.stop()
            await running_on
        assert set(knocking.answers) == {"101", "503"}, knocking.answers
        assert knocking.without_delay == 0
        code, printed = await gateway.cli("revoke", "--subject", "back")
        assert code == 0, printed
        assert f"closed {INSIDE * workers} connections on 1 of 1 node" in printed
    assert "Traceback" not in gateway.printed


async def test_who_serves_hands_nothing_over(tmp_path) -> None:
    """Only a gateway that drains: a second start by mistake is refused as ever, and disturbs nobody."""
    async with running(tmp_path, audit={"file": ""}) as gateway:
        client = await gateway.connect(token=gateway.token("ann"))
        code, printed = await gateway.command("run")
        assert code == 3, printed
        assert "in use" in printed
        assert await client.echoes()


async def test_without_a_successor_all_are_told_to_come_back(tmp_path) -> None:
    async with running(tmp_path, server={"drain_timeout": "600s"}) as gateway:
        clients = [await gateway.connect(token=gateway.token(f"u{number}")) for number in range(3)]
        gateway.tell(signal.SIGTERM)
        await told_to_come_back(clients[0])
        knocking = Knocking(gateway)
        task = asyncio.create_task(knocking.run())
        await gateway.until(lambda: _true(knocking.answers["503"] >= 20))
        knocking.stop()
        await task
        assert set(knocking.answers) == {"503"}
        for client in clients[1:]:
            await client.close()
        assert await gateway.ended() == 0


async def _true(value: bool) -> bool:
    return value


async def test_a_revocation_during_a_handover_is_proven_on_both(tmp_path) -> None:
    """Each goes by a number of its own, so that one's answer does not stand for the other's."""
    async with running(tmp_path, server={"drain_timeout": "120s", "node": "gw-1"}) as gateway:
        first, *others = [await gateway.connect(token=gateway.token("mallory", 600.0)) for _ in range(INSIDE)]
        gateway.tell(signal.SIGTERM)
        await told_to_come_back(first)
        await gateway.start()
        await gateway.until(lambda: _said(gateway, "the next process has the port"))
        new = await gateway.connect(token=gateway.token("mallory", 600.0))
        code, printed = await gateway.cli("revoke", "--subject", "mallory")
        assert code == 0, printed
        assert "on 1 of 1 node in" in printed
        revoked = (4002, "doorward:revoked")
        ends = [await client.closed(WITHIN) for client in (new, *others)]
        assert ends[0] == revoked
        assert ends[-1] == revoked, "its turn to be drained comes much later"
        with closing(sqlite3.connect(tmp_path / "doorward.db")) as asking:
            answers = asking.execute("SELECT node, worker, closed FROM acknowledgements ORDER BY worker").fetchall()
        assert answers == [("gw-1", 1, ends.count(revoked) - 1), ("gw-1", 2, 1)]
