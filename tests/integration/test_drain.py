"""SIGTERM: nobody new, those inside are told when to come back, and authority is obeyed until the last is gone."""

import asyncio
import re
import signal
import time
from pathlib import Path

import pytest

from tests.integration.noise import measured
from tests.integration.running import Client, Gateway, Refused, running

SPREAD = {"drain_timeout": "14s"}


async def drained(client: Client) -> tuple[float, int]:
    """(when it was closed, after how many seconds it may come back)"""
    code, reason = await client.closed()
    assert code == 1012, (code, reason)
    found = re.fullmatch(r"doorward:draining; retry_after=(\d+)", reason or "")
    assert found, reason
    return time.time(), int(found[1])


async def draining(gateway: Gateway) -> None:
    gateway.tell(signal.SIGTERM)
    await gateway.until(lambda: _not_ready(gateway))


async def _not_ready(gateway: Gateway) -> bool:
    return await gateway.ready() == 503


async def test_all_are_told_spread_over_the_time_and_it_ends_in_order(tmp_path) -> None:
    async with running(tmp_path, server=SPREAD) as gateway:
        assert await gateway.ready() == 200
        clients = [await gateway.connect(token=gateway.token(f"u{number}")) for number in range(12)]
        revoked = await gateway.connect(token=gateway.token("revoked"))
        await gateway.cli("connections", "list")  # the first command does the imports
        begun = time.time()
        *most, last = clients
        ending = asyncio.gather(*map(drained, most))
        await draining(gateway)
        refused = await gateway.try_connect(token=gateway.token("late"))
        assert isinstance(refused, Refused)
        assert (refused.status, refused.reason) == (503, "draining")
        assert int(refused.headers["Retry-After"]) >= 1
        assert (await gateway.get("/healthz")).status_code == 200, "alive, and not ready"
        assert await last.echoes(), "those whose turn has not come go on"
        code, printed = await gateway.cli("revoke", "--subject", "revoked")
        assert code == 0, printed
        assert "closed 1 connection on 1 of 1 node" in printed
        assert await revoked.closed() == (4002, "doorward:revoked")
        ends = [*await ending, await drained(last)]
        at = sorted(moment for moment, _ in ends)
        assert at[-1] - at[0] > 1, "spread"
        assert at[-1] - begun < 14
        assert {wait for _, wait in ends} == {1}, "the closes are slow enough: nobody need wait"
        assert await gateway.ended() == 0
        assert time.time() - begun < 15
    closes = gateway.events(kind="close", reason="draining")
    assert len(closes) == 12
    assert gateway.events()[-1]["kind"] == "stopped"
    assert "Traceback" not in gateway.printed


async def test_nobody_inside_is_waited_for_when_there_is_nobody(tmp_path) -> None:
    async with running(tmp_path, server={"drain_timeout": "1h"}) as gateway:
        client = await gateway.connect(token=gateway.token("ann"))
        await client.close()
        await gateway.audited(kind="close")
        gateway.tell(signal.SIGTERM)
        assert await gateway.ended() == 0


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_second_sigterm_is_obeyed_at_once(workers, tmp_path) -> None:
    async with running(tmp_path, server={"drain_timeout": "1h", "workers": workers}) as gateway:
        clients = [await gateway.connect(token=gateway.token(f"u{number}")) for number in range(6)]
        gateway.tell(signal.SIGTERM)
        # several workers listen on one port, so ask for a close and not for readiness
        first, _ = await asyncio.wait(
            [asyncio.create_task(client.closed()) for client in clients], return_when=asyncio.FIRST_COMPLETED
        )
        assert {task.result()[0] for task in first} == {1012}
        gateway.tell(signal.SIGTERM)
        assert await gateway.ended() == 0
        assert {(await client.closed())[0] for client in clients} <= {1012, 1006, 1001}


async def test_who_answers_no_close_is_cut_at_the_end(tmp_path) -> None:
    async with running(tmp_path, server={"drain_timeout": "1s"}) as gateway, mute_client(gateway) as mute:
        gateway.tell(signal.SIGTERM)
        first, payload = await mute.frame()
        assert (first, payload[:2]) == (0x88, (1012).to_bytes(2))
        begun = time.time()  # and nothing is said in return
        async with measured() as noise:
            assert await gateway.ended() == 0
        assert time.time() - begun < 1 + 4 + noise.worst, "and not after the 5 s of a Close"


def mute_client(gateway: Gateway):
    return gateway.raw(token=gateway.token("mute"))


async def test_workers_without_their_parent_drain_and_end(tmp_path) -> None:
    """Left alone they would hold the port against its successors, and nobody would restart them."""
    async with running(tmp_path, server={"workers": 2, "drain_timeout": "1s"}) as gateway:
        clients = [await gateway.connect(token=gateway.token(f"u{number}")) for number in range(4)]
        pids = gateway.worker_pids()
        gateway.tell(signal.SIGKILL)
        assert {(await client.closed())[0] for client in clients} == {1012}
        await gateway.until(lambda: _all_gone(pids))
        await gateway.start()
        assert await gateway.status(token=gateway.token("next")) == 101


async def _all_gone(pids: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}/stat").exists() for pid in pids)
