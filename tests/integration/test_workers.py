"""Several workers are one gateway: any of them takes a handshake, each of them obeys, and one that dies is replaced."""

import asyncio
import os
import re
import signal
import time

import pytest
import pytest_asyncio

from tests.integration.running import Refused, claims_of, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROUTES = [
    {"path": "/chat", "lease": {"grace": "2s"}},
    {"path": "/few", "limits": {"connections_per_subject": 3}},
]
REVOKED = (4002, "doorward:revoked")


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=[2, 4])
async def gateway(tmp_path_factory, request):
    limits = {"handshakes_per_subject": "12/min"}
    folder = tmp_path_factory.mktemp("workers")
    server = {"workers": request.param}
    async with running(folder, routes=ROUTES, server=server, cluster_limits=limits, cold=True) as gateway:
        yield gateway


async def on_every_worker(gateway, subject: str, **more) -> list:
    """Connections of a subject until each worker holds one: the kernel spreads them as it likes."""
    clients = []
    for turn in range(64):
        name = f"{subject}{turn}" if more.get("each") else subject
        client = await gateway.connect(token=gateway.token(name, tenant=subject), protocols=("doorward.v1",))
        clients.append((client, await client.hear("ready")))
        await asyncio.sleep(0)
        if turn % 8 == 7:
            events = await gateway.audited(kind="handshake", tenant=subject, outcome="allowed", count=turn + 1)
            if len({event["worker"] for event in events}) == gateway.workers:
                return clients
    raise AssertionError("64 handshakes did not reach every worker")


async def test_handshakes_land_on_all_and_all_are_listed(gateway) -> None:
    clients = await on_every_worker(gateway, "spread", each=True)
    ids = {ready["connection"] for _, ready in clients}
    await gateway.until(lambda: _listed(gateway, ids))
    for client, _ in clients:
        assert await client.echoes()
        await client.close()
    await gateway.until(lambda: _listed_none(gateway, ids))


async def _listed(gateway, ids):
    code, printed = await gateway.cli("connections", "list")
    return code == 0 and all(id in printed for id in ids)


async def _listed_none(gateway, ids):
    code, printed = await gateway.cli("connections", "list")
    return code == 0 and not any(id in printed for id in ids)


async def test_a_revocation_closes_on_every_worker(gateway) -> None:
    took = []
    for number in range(20):
        tokens = [gateway.token(f"hit{number}-{turn}", tenant=f"hit{number}") for turn in range(8)]
        clients = [await gateway.connect(token=token) for token in tokens]
        code, printed = await gateway.cli("revoke", "--tenant", f"hit{number}")
        assert code == 0, printed
        found = re.search(r"closed (\d+) connections on (\d+) of (\d+) node in (\d+) ms", printed)
        assert found, printed
        assert found.groups()[:3] == ("8", "1", "1")
        took.append(int(found[4]))
        assert [await client.closed() for client in clients] == [REVOKED] * 8
        assert await gateway.status(token=tokens[0]) == 403
    took.sort()
    print(f"\n{gateway.workers} workers, 20 revocations: median {took[10]} ms, most {took[-1]} ms")
    assert took[10] < 1000
    acting = {
        event["worker"] for event in await gateway.audited(kind="revocation", tenant="hit0", count=gateway.workers)
    }
    assert acting == set(range(1, gateway.workers + 1))


async def test_a_renewal_from_outside_reaches_the_worker_that_holds_it(gateway) -> None:
    clients = await on_every_worker(gateway, "outside", each=True)
    for turn, (client, ready) in enumerate(clients):
        token = gateway.token(f"outside{turn}", 600, tenant="outside")
        for _ in range(3):  # whichever worker takes the request
            answer = await gateway.post("/auth/renew", {"connection": ready["connection"], "token": token})
            assert answer.status_code == 200, answer.text
            assert answer.json()["expires_at"] == claims_of(token)["exp"]
            assert (await client.hear("ready"))["expires_at"] == claims_of(token)["exp"]
        await client.close()
    renewals = await gateway.audited(kind="renewal", tenant="outside", count=3 * len(clients))
    assert {event["worker"] for event in renewals} == set(range(1, gateway.workers + 1))


async def test_from_outside_nobody_learns_which_connections_exist(gateway) -> None:
    (client, ready), *_ = await on_every_worker(gateway, "oracle", each=True)
    answers = set()
    for token in (gateway.token("mallory"), gateway.token("oracle0", tenant="oracle", exp=1), "forged"):
        for connection in (ready["connection"], "A" * 22):
            for _ in range(4):
                answer = await gateway.post("/auth/renew", {"connection": connection, "token": token})
                answers.add((answer.status_code, answer.content))
    assert [status for status, _ in answers] == [403]
    assert await client.echoes()


async def test_places_and_rates_are_counted_over_all(gateway) -> None:
    token = gateway.token("three", 600)
    held = [await gateway.connect("/few", token=token) for _ in range(3)]
    refused = [await gateway.try_connect("/few", token=token) for _ in range(6)]
    assert {(one.status, one.reason) for one in refused if isinstance(one, Refused)} == {(429, "connection_limit")}
    assert len(refused) == 6
    await held[0].close()
    await gateway.until(lambda: _comes_in(gateway, token, held))
    begun = time.monotonic()
    statuses = [await gateway.status("/chat", token=gateway.token("often", 600)) for _ in range(20)]
    since_then = int((time.monotonic() - begun) / 5)  # 12 a minute
    assert 12 <= statuses.count(101) <= 12 + since_then
    assert statuses.count(429) == 20 - statuses.count(101)
    for client in held:
        await client.close()


async def _comes_in(gateway, token, held):
    client = await gateway.try_connect("/few", token=token)
    if isinstance(client, Refused):
        return False
    held.append(client)
    return True


async def test_a_ticket_is_spent_once_over_all(gateway) -> None:
    for number in range(20):
        path = f"/chat?ticket={(await gateway.buy(gateway.token(f'racer{number}')))['ticket']}"
        clients = await asyncio.gather(*(gateway.try_connect(path) for _ in range(4)))
        won = [client for client in clients if not isinstance(client, Refused)]
        assert len(won) == 1
        await won[0].close()


async def test_one_that_stands_still_is_unavailable_and_not_unknown(gateway) -> None:
    clients = await on_every_worker(gateway, "frozen", each=True)
    stopped = gateway.worker_pids()[0]
    os.kill(stopped, signal.SIGSTOP)
    try:
        # some land on the stopped worker and wait there; of the others, each asks it and hears nothing
        token = gateway.token("mallory")
        asked = [
            asyncio.create_task(gateway.post("/auth/renew", {"connection": ready["connection"], "token": token}))
            for _, ready in clients[:8] * 2
        ]
        done, _ = await asyncio.wait(asked, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        assert {task.result().status_code for task in done} == {503}
    finally:
        os.kill(stopped, signal.SIGCONT)
    assert {(await task).status_code for task in asked} <= {503, 403}
    for client, _ in clients:
        assert await client.echoes()
        await client.close()


async def test_a_killed_worker_is_replaced_and_its_places_come_free(gateway) -> None:
    token = gateway.token("killed", 600)
    clients = [await gateway.connect("/few", token=token) for _ in range(3)]
    before = gateway.worker_pids()
    workers = {event["worker"] for event in await gateway.audited(kind="handshake", subject="killed", count=3)}
    for worker in workers:
        os.kill(before[worker - 1], signal.SIGKILL)
    assert {(await client.closed())[0] for client in clients} == {1006}
    await gateway.until(lambda: _restarted(gateway, before, len(workers)))
    # a revocation meanwhile: those who came back answer as well
    code, printed = await gateway.cli("revoke", "--subject", "nobody")
    assert code == 0, printed
    held = [await gateway.connect("/few", token=token) for _ in range(3)]
    assert await gateway.status("/few", token=token) == 429
    assert [await client.echoes() for client in held] == [True] * 3
    assert len(gateway.worker_pids()) == gateway.workers
    for client in held:
        await client.close()


async def _restarted(gateway, before, count):
    up = gateway.printed.count("gateway on")
    return len(set(gateway.worker_pids()) - set(before)) == count and up >= gateway.workers + count


async def test_all_drain_and_the_parent_ends_last(gateway) -> None:
    """Last in this file: it ends the gateway."""
    clients = await on_every_worker(gateway, "drained", each=True)
    pids = gateway.worker_pids()
    gateway.tell(signal.SIGTERM)
    ends = await asyncio.gather(*(client.closed() for client, _ in clients))
    assert {code for code, _ in ends} == {1012}
    assert all(reason.startswith("doorward:draining; retry_after=") for _, reason in ends)
    assert await gateway.ended() == 0
    assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)


async def test_the_oldest_is_replaced_wherever_it_is(tmp_path) -> None:
    limits = {"when_full": "replace_oldest"}
    routes = [{"path": "/few", "limits": {"connections_per_subject": 2}}]
    async with running(tmp_path, routes=routes, server={"workers": 2}, cluster_limits=limits) as gateway:
        token = gateway.token("newest", 600)
        clients = [await gateway.connect("/few", token=token) for _ in range(8)]
        assert [await client.closed() for client in clients[:6]] == [(4409, "doorward:replaced")] * 6
        assert [await client.echoes() for client in clients[6:]] == [True, True]
        holders = {event["worker"] for event in await gateway.audited(kind="handshake", subject="newest", count=8)}
        print(f"\nheld by workers {holders}")
