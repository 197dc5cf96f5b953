"""Every framework under every server: what a user of the middleware relies on holds in each, with a real client.

One server per pair, all checks against it. What needs only one pair is in test_middleware.py.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from tests.integration.frameworks.door import ORIGIN, Door
from tests.integration.frameworks.serving import Served, served
from tests.integration.running import Client, Refused

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

FRAMEWORKS = ("starlette", "fastapi", "litestar", "quart", "channels")
SERVERS = ("uvicorn", "granian", "hypercorn")
PAIRS = [(framework, server) for framework in FRAMEWORKS for server in SERVERS]
PAIRS += [("starlette", "uvicorn-wsproto"), ("channels", "daphne")]


@dataclass(frozen=True)
class Pair:
    """An app behind Doorward, up under a server."""

    framework: str
    server: str
    it: Served
    door: Door
    short: Client
    """A connection whose token had little time left when all began."""

    def refusal(self, status: int) -> int:
        """daphne has one status for all refusals."""
        return 403 if self.server == "daphne" else status

    def words(self, reason: str) -> str:
        """daphne loses a close's reason."""
        return "" if self.server == "daphne" else reason

    async def enter(self, subject: str, path: str = "/chat/lobby", **more: Any) -> tuple[Client, dict[str, Any]]:
        """A connection with control messages on, and what the app was shown."""
        client = await self.it.connect(path, token=self.door.token(subject), protocols=("doorward.v1",), **more)
        ready = await client.hear("ready")
        return client, {**json.loads(await client.next()), "ready": ready}


@pytest_asyncio.fixture(
    loop_scope="module", scope="module", params=PAIRS, ids=[f"{framework}-{server}" for framework, server in PAIRS]
)
async def pair(request, tmp_path_factory) -> AsyncIterator[Pair]:
    framework, server = request.param
    door = Door(tmp_path_factory.mktemp(f"{framework}-{server}"))
    app = f"tests.integration.frameworks.apps.{framework}_app:app"
    async with served(server, app, environment=door.environment) as it:
        yield Pair(framework, server, it, door, await with_little_time(it, door))
        assert "Traceback" not in it.printed, it.printed  # hypercorn leaves one of its own at its end, now and then
        await it.stop()
        if framework != "channels":
            assert "app: started" in it.printed
            assert "app: stopped" in it.printed


async def with_little_time(it: Served, door: Door) -> Client:
    """As little as this machine can connect in just now."""
    for life in (2.0, 4.0, 8.0):
        client = await it.try_connect("/chat/lobby", token=door.token("short", life))
        if isinstance(client, Client):
            return client
    raise AssertionError(it.printed)


def names(seen: dict[str, Any]) -> set[str]:
    return {name for name, _ in seen["headers"]}


# ---- in


async def test_a_token_enters_and_the_app_knows_whose(pair) -> None:
    headers = {"X-Doorward-Subject": "root", "X_Doorward_Roles": "admin", "X-Mine": "kept"}
    client = await pair.it.connect("/chat/lobby?x=1", token=pair.door.token("ann"), headers=headers)
    seen = json.loads(await client.next())
    assert (seen["subject"], seen["path"], seen["query"]) == ("ann", "/chat/lobby", "x=1")
    assert "authorization" not in names(seen)
    assert ["x-mine", "kept"] in seen["headers"]
    assert not {value for name, value in seen["headers"] if "doorward" in name.lower()} & {"root", "admin"}
    assert await client.echoes()
    await client.close()


async def test_a_ticket_bought_inside_the_app_is_spent_once(pair) -> None:
    token = pair.door.token("bea")
    answer = await pair.it.request("POST", "/auth/ticket", json={}, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 201, answer.text
    bought = answer.json()
    offers = ("doorward.v1", "chat.v1", f"doorward.ticket.{bought['ticket']}")
    client = await pair.it.connect("/chat/lobby", protocols=offers, origin=ORIGIN)
    assert client.socket.subprotocol == "doorward.v1"
    assert (await client.hear("ready"))["connection"] == bought["connection"]
    seen = json.loads(await client.next())
    assert (seen["subject"], seen["connection"]) == ("bea", bought["connection"])
    assert seen["subprotocols"] == ["chat.v1"]
    assert bought["ticket"] not in json.dumps(seen)
    again = await pair.it.try_connect(f"/chat/lobby?ticket={bought['ticket']}")
    assert isinstance(again, Refused)
    assert again.status == 403
    await client.close()


async def test_who_may_not_is_refused_before_the_app_hears_of_it(pair) -> None:
    token = pair.door.token("eve")
    for status, path, more in (
        (401, "/chat/lobby", {}),
        (403, "/chat/lobby", {"token": token[:-4] + "AAAA"}),
        (403, "/chat/lobby", {"token": token, "origin": "https://evil.test"}),
        (404, "/nowhere", {"token": token}),
    ):
        refused = await pair.it.try_connect(path, **more)
        assert isinstance(refused, Refused), path
        assert refused.status == pair.refusal(status), (path, more)
    if pair.server != "daphne":
        refused = await pair.it.try_connect("/chat/lobby")
        assert refused.reason == "unauthenticated"
        assert {name.lower() for name in refused.headers} >= {"www-authenticate", "connection"}


# ---- what is the app's stays the app's


async def test_the_apps_own_subprotocol_and_close_arrive(pair) -> None:
    token = pair.door.token("cid")
    client = await pair.it.connect("/chat/lobby", token=token, protocols=("doorward.v1", "chat.v2"))
    assert client.socket.subprotocol == "chat.v2"
    await client.hear("ready")
    await client.next()
    await client.send("close")
    assert await client.closed() == (4321, pair.words("the app's own"))


async def test_the_app_may_refuse(pair) -> None:
    refused = await pair.it.try_connect("/reject", token=pair.door.token("dan"))
    assert isinstance(refused, Refused)
    assert refused.status == 403


async def test_the_app_hears_that_the_peer_has_left(pair) -> None:
    client, _ = await pair.enter("leo", "/chat/leaving")
    await client.socket.close(4567, "bye")
    await pair.it.prints("app: disconnected leaving")


async def test_http_is_the_apps_own(pair) -> None:
    answer = await pair.it.request("POST", "/hello", content=b"a body")
    assert (answer.status_code, answer.text) == (200, "hello by POST: a body")
    assert (await pair.it.request("GET", "/missing")).status_code == 404


# ---- the live connection


async def test_renewal_over_the_socket_and_a_refused_one(pair) -> None:
    client, seen = await pair.enter("fay")
    fresh = pair.door.token("fay", 120)
    await client.auth(fresh)
    ready = await client.hear("ready")
    assert ready["expires_at"] > seen["ready"]["expires_at"]
    await client.auth(fresh[:-4] + "AAAA", id="r1")
    refused = await client.hear("refused")
    assert (refused["reason"], refused["id"]) == ("refused", "r1")
    assert await client.echoes()
    await client.close()


async def test_renewal_from_outside(pair) -> None:
    client, seen = await pair.enter("gus")
    body = {"connection": seen["connection"], "token": pair.door.token("gus", 120)}
    answer = await pair.it.request("POST", "/auth/renew", json=body)
    assert answer.status_code == 200, answer.text
    assert (await client.hear("ready"))["expires_at"] == answer.json()["expires_at"]
    await client.close()


async def test_a_revoked_subject_is_out_and_stays_out(pair) -> None:
    token = pair.door.token("hal")
    client = await pair.it.connect("/chat/lobby", token=token)
    pushed = await pair.it.connect("/push", token=token)
    other, _ = await pair.enter("ida")
    assert await pushed.next() == "tick"
    code, said = await pair.door.command("revoke", "--subject", "hal")
    assert code == 0, said
    assert "closed 2 connections" in said
    assert await client.closed() == (4002, pair.words("doorward:revoked"))
    assert await pushed.closed() == (4002, pair.words("doorward:revoked"))
    back = await pair.it.try_connect("/chat/lobby", token=token)
    assert isinstance(back, Refused)
    assert back.status == 403
    assert await other.echoes()
    await other.close()


async def test_a_message_too_big_closes(pair) -> None:
    client = await pair.it.connect("/chat/small", token=pair.door.token("jon"))
    await client.next()
    await client.send("x" * 1024)
    assert await client.next() == "x" * 1024
    await client.send("x" * 1025)
    code = 4400 if pair.server == "daphne" else 1009  # daphne can't send the other
    assert await client.closed() == (code, pair.words("doorward:message_too_big"))


async def test_bytes_pass_as_bytes(pair) -> None:
    client = await pair.it.connect("/bytes", token=pair.door.token("kim"))
    await client.send(b"\x00\xff" * 1000)
    assert await client.next() == b"\x00\xff" * 1000
    await client.close()


async def test_nothing_outlives_its_token(pair) -> None:
    assert await pair.short.closed() == (4001, pair.words("doorward:expired"))
