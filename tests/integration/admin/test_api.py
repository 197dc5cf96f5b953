"""The admin API of a real gateway with two workers: whichever answers, it answers for all of them."""

import asyncio
import json
import os
import signal

import pytest
import pytest_asyncio

from tests.integration.admin.desk import WORKERS, Desk, issued
from tests.integration.running import running

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def desk(tmp_path_factory):
    routes = [{"path": "/chat", "lease": {"grace": "5s"}}, {"path": "/other"}]
    async with running(tmp_path_factory.mktemp("admin"), routes=routes, server={"workers": WORKERS}) as gateway:
        yield await Desk(gateway).open()


async def seen(desk, path, count):
    """The page, once it lists so many: it is up to a second old."""
    found = []

    async def listed():
        nonlocal found
        found = (await desk.get(path)).json()["connections"]
        return len(found) == count

    await desk.gateway.until(listed)
    return found


async def test_connections_of_all_workers_are_listed_filtered_and_paged(desk) -> None:
    clients = [await desk.gateway.enter(f"list{number}", tenant="listed") for number in range(12)]
    other, _ = await desk.gateway.enter("list0", "/other", tenant="listed")
    rows = await seen(desk, "/api/connections?tenant=listed", 13)
    assert {row["worker"] for row in rows} <= {1, 2}
    assert [row["opened_at"] for row in rows] == sorted((row["opened_at"] for row in rows), reverse=True)
    assert {row["connection"] for row in rows} >= {ready["connection"] for _, ready in clients}
    for page in await desk.from_every_worker("/api/connections?tenant=listed"):
        assert page == {"connections": rows, "next": None}
    assert len((await desk.get("/api/connections?tenant=listed&route=/other")).json()["connections"]) == 1
    assert len((await desk.get("/api/connections?subject=list0")).json()["connections"]) == 2
    walked = []
    query = "/api/connections?tenant=listed&limit=5"
    page = (await desk.get(query)).json()
    while True:
        walked += page["connections"]
        if page["next"] is None:
            break
        page = (await desk.get(f"{query}&after={page['next']}")).json()
    assert walked == rows
    one = (await desk.get(f"/api/connections/{rows[0]['connection']}", token=desk.viewer)).json()
    assert one == rows[0]
    code, printed = await desk.gateway.cli("connections", "list", "--json")
    assert code == 0
    assert [row for row in json.loads(printed) if row["tenant"] == "listed"] == rows[::-1], "one word for one thing"
    await other.close()
    for client, _ in clients:
        await client.close()


async def test_one_is_closed_wherever_it_is(desk) -> None:
    clients = [await desk.gateway.enter("closed") for _ in range(4)]
    for client, ready in clients:
        answer = await desk.post(f"/api/connections/{ready['connection']}/close", {"cause": "noise"})
        assert (answer.status_code, answer.json()["closed"], answer.json()["silent"]) == (200, 1, [])
        assert await client.closed() == (4403, "doorward:closed_by_operator")
    assert (await desk.post("/api/connections/nobody/close")).status_code == 404


async def test_a_revocation_closes_and_bars_the_way_back_and_is_told_by_all(desk) -> None:
    token = desk.gateway.token("mallory", tenant="acme")
    clients = [await desk.gateway.connect(token=token) for _ in range(6)]
    told = await desk.revoke("identity", "mallory", cause="left us")
    assert (told["closed"], told["nodes"], told["silent"], told["durable"]) == (6, 1, [], True)
    assert told["identities"] == [{"issuer": "https://login.test", "subject": "mallory", "tenant": "acme"}]
    assert [await client.closed() for client in clients] == [(4002, "doorward:revoked")] * 6
    assert await desk.gateway.status(token=token) == 403
    revocation = told["revocation"]
    for answer in await desk.from_every_worker(f"/api/revocations/{revocation['id']}"):
        assert answer["revocation"] == revocation
        assert sorted(one["worker"] for one in answer["acknowledgements"]) == [1, 2]
        assert sum(one["closed"] for one in answer["acknowledgements"]) == 6
    for page in await desk.from_every_worker("/api/revocations?limit=1"):
        assert page["revocations"] == [revocation]


async def test_asked_twice_by_any_worker_it_is_done_once(desk) -> None:
    body = {"target": {"kind": "session", "value": "once"}}
    key = {"Idempotency-Key": '"once-and-no-more-0"'}
    answers = await asyncio.gather(*(desk.post("/api/revocations", body, headers=key) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["revocation"]["sequence"] for answer in answers}) == 1
    other = await desk.post("/api/revocations", {"target": {"kind": "session", "value": "other"}}, headers=key)
    assert other.status_code == 422
    newest = (await desk.get("/api/revocations?limit=1")).json()["revocations"][0]
    assert newest["target"]["value"] == "once"


async def test_a_ban_counts_at_once_and_is_lifted(desk) -> None:
    token = desk.gateway.token("eve")
    answer = await desk.post("/api/bans", {"subject": "eve", "expires_in": 600, "cause": "noise"})
    assert answer.status_code == 201
    assert (await desk.post("/api/bans", {"subject": "eve", "expires_in": 600})).json() == answer.json()
    assert await desk.gateway.status(token=token) == 403
    for page in await desk.from_every_worker("/api/bans"):
        assert page["bans"] == [answer.json()]
    code, printed = await desk.gateway.cli("ban", "list", "--json")
    assert (code, [ban["id"] for ban in json.loads(printed)]) == (0, [answer.json()["id"]])
    placed = (await desk.post("/api/bans", {"address": "192.0.2.9", "expires_in": 600})).json()
    code, printed = await desk.gateway.cli("ban", "list", "--json")
    assert (code, json.loads(printed)[-1]["address"]) == (0, placed["address"])
    assert (await desk.ask("DELETE", f"/api/bans/{placed['id']}")).status_code == 200
    assert (await desk.ask("DELETE", f"/api/bans/{answer.json()['id']}")).status_code == 200
    assert await desk.gateway.status(token=token) == 101
    assert (await desk.ask("DELETE", f"/api/bans/{answer.json()['id']}")).status_code == 404


async def test_the_overview_is_the_same_from_every_worker(desk) -> None:
    clients = [await desk.gateway.enter(f"over{number}") for number in range(6)]
    await seen(desk, "/api/connections", 6)

    async def settled():
        answers = await desk.from_every_worker("/api/overview")
        wholes = [
            (one["routes"], one["newest"], [node["node"] for node in one["nodes"]], one["here"]["counters"])
            for one in answers
        ]
        return all(whole == wholes[0] for whole in wholes)

    await desk.gateway.until(settled)  # what a worker has counted reaches the others within a second
    told = (await desk.get("/api/overview", token=desk.viewer)).json()
    assert (told["connections"], told["routes"], told["stale"]) == (6, {"/chat": 6}, [])
    (node,) = told["nodes"]
    assert [worker["worker"] for worker in node["workers"]] == [1, 2]
    assert {worker["pid"] for worker in node["workers"]} == set(desk.gateway.worker_pids())
    assert all(worker["behind"] <= told["newest"] for worker in node["workers"])
    here = told["here"]
    assert (here["node"], here["ready"]) == ("gw-test", True)
    assert here["counters"]["allowed"] >= 6
    assert here["counters"]["closes"]["operator"] >= 4
    for client, _ in clients:
        await client.close()


async def test_a_worker_that_stands_still_is_not_shown_as_well(desk) -> None:
    stopped = desk.gateway.worker_pids()[1]
    await desk.gateway.stand_still(stopped)
    try:

        async def named():
            """As stale, and after 10 s no more at all. Who asks the one that stands still is not answered."""
            asks = [asyncio.create_task(desk.get("/api/overview")) for _ in range(6)]
            done, waiting = await asyncio.wait(asks, timeout=3.0)
            for ask in waiting:
                ask.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            told = [node for ask in done for node in ask.result().json().get("nodes", ())]
            seen = [worker for node in told for worker in node["workers"] if worker["pid"] == stopped]
            return bool(told) and all(worker["stale"] for worker in seen)

        await desk.gateway.until(named)
    finally:
        os.kill(stopped, signal.SIGCONT)

    async def back():
        answer = await desk.get("/api/overview")
        if answer.status_code == 503:
            return False
        told = answer.json()
        return not told["stale"] and [len(node["workers"]) for node in told["nodes"]] == [WORKERS]

    await desk.gateway.until(back)


async def test_every_write_and_refused_attempt_is_on_record_with_its_actor(desk) -> None:
    operator = await issued(desk.gateway, "operator", "auditee")
    viewer = await issued(desk.gateway, "viewer", "auditee")
    await desk.post("/api/bans", {"subject": "a\x7f", "cause": "x"}, token=operator)
    await desk.post("/api/bans", {"subject": "audited", "cause": "x\ny"}, token=operator)
    await desk.post("/api/bans", {"subject": "audited"}, token=viewer)
    await desk.post("/api/bans", {"subject": "audited", "unknown": 1}, token=operator)
    await desk.get("/api/bans", token=viewer)
    events = await desk.gateway.audited(kind="admin", subject="auditee", count=4)
    told = sorted((event["status"], event["outcome"], event["detail"].split()[0]) for event in events)
    assert told == [
        (201, "done", "operator"),
        (400, "refused", "operator"),
        (400, "refused", "operator"),
        (403, "refused", "viewer"),
    ]
    (done,) = (event for event in events if event["status"] == 201)
    assert "ban subject audited: x\\u000ay; before: none; after: ban" in done["detail"]
    assert (done["address"], done["path"]) == ("127.0.0.1", "/api/bans")
    await desk.get("/api/bans", token="no.such.token")
    (refused,) = await desk.gateway.audited(kind="http", reason="token_malformed")
    assert (refused["status"], "subject" in refused) == (401, False)
    code, printed = await desk.gateway.cli("audit", "query", "--kind", "token", "--json")
    assert code == 0
    assert "admin token for a viewer" in printed
    assert operator not in printed
    for one in (await desk.get("/api/bans")).json()["bans"]:
        assert (await desk.ask("DELETE", f"/api/bans/{one['id']}")).status_code == 200


async def test_the_description_is_served_to_any_admin_token(desk) -> None:
    answer = await desk.get("/openapi.json", token=desk.viewer)
    assert (answer.status_code, answer.json()["openapi"]) == (200, "3.1.0")
    assert (await desk.get("/openapi.json", token="")).status_code == 401


async def test_a_rotated_key_keeps_old_tokens_and_signs_new_ones(desk) -> None:
    """Last in this file: the keys are others afterwards."""
    code, printed = await desk.gateway.cli("keys", "rotate")
    assert code == 0, printed
    assert (await desk.get("/api/bans")).status_code == 200
    fresh = await issued(desk.gateway, "viewer", "fresh")

    async def known():
        """On either worker, each of which looks for an unknown key at most once a second."""
        return {(await desk.get("/api/bans", token=fresh)).status_code for _ in range(8)} == {200}

    await desk.gateway.until(known)
