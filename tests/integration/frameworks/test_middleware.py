"""What the middleware does for any app, shown with one: Starlette's under uvicorn, unless a server is the matter."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.integration.frameworks.door import Door
from tests.integration.frameworks.serving import Served, served
from tests.integration.running import WITHIN, Client, Refused, claims_of

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

STARLETTE = "tests.integration.frameworks.apps.starlette_app:app"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def door(tmp_path_factory) -> Door:
    return Door(tmp_path_factory.mktemp("door"))


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def it(door) -> AsyncIterator[Served]:
    async with served("uvicorn", STARLETTE, environment=door.environment) as it:
        yield it


async def enter(it: Served, door: Door, subject: str, path: str = "/chat/lobby", life: float = 60.0) -> Client:
    """A connection with control messages on, past its doorward.ready."""
    client = await it.connect(path, token=door.token(subject, life), protocols=("doorward.v1",))
    await client.hear("ready")
    return client


# ---- renewal


async def test_asked_in_time_and_renewed(it, door) -> None:
    client = await enter(it, door, "ann", "/chat/asked", 12.0)  # a third of it is to answer in
    await client.next()
    asked = await client.hear("renew")
    assert 0 <= asked["within"] <= 4
    fresh = door.token("ann", 60)
    await client.auth(fresh)
    assert (await client.hear("ready"))["expires_at"] == claims_of(fresh)["exp"]
    assert await client.echoes()
    await client.close()


async def test_an_app_that_never_listens_is_renewed_all_the_same(it, door) -> None:
    client = await enter(it, door, "bea", "/push")
    code, said = await door.command("revoke", "--subject", "bea", "--effect", "renew")
    assert code == 0, said
    await _skipping(client, "renew")
    await client.auth(door.token("bea", 120, iat=int(time.time()) + 1))  # whole seconds: it must count as newer
    await _skipping(client, "ready")
    assert await client.next() == "tick"
    await client.socket.close()
    await it.prints("push ended")


async def _skipping(client: Client, kind: str) -> None:
    """Until that control message comes, ticks in between."""
    async with asyncio.timeout(WITHIN):
        while not str(await client.next()).startswith(f'{{"type":"doorward.{kind}"'):
            pass


async def test_the_third_refused_renewal_closes(it, door) -> None:
    client = await enter(it, door, "cid")
    await client.next()
    for _ in range(2):
        await client.auth("no token at all")
        await client.hear("refused")
    await client.auth("no token at all")
    assert await client.closed() == (4401, "doorward:refused")


async def test_somebody_elses_token_renews_nothing(it, door) -> None:
    client = await enter(it, door, "dan")
    await client.auth(door.token("eve"))
    assert await client.closed() == (4401, "doorward:refused")


# ---- limits


async def test_too_fast_is_refused_and_then_closed(it, door) -> None:
    client = await enter(it, door, "fay", "/chat/limited")
    await client.next()
    for number in range(3):
        assert await client.echoes(str(number))
    await client.send("one too many")
    assert (await client.hear("refused"))["reason"] == "rate_limited"
    await client.send("and another")
    code, reason = await client.closed()
    assert code == 4429
    assert str(reason).startswith("doorward:rate_limited")


async def test_control_messages_never_pass_to_the_app(it, door) -> None:
    client = await enter(it, door, "gus")
    await client.next()
    await client.send({"type": "doorward.ping"})
    await client.hear("pong")
    await client.send({"type": "doorward.unheard-of"})
    assert (await client.closed())[0] == 4400


async def test_where_they_are_off_they_are_messages_like_others(it, door) -> None:
    client = await it.connect("/chat/plain", token=door.token("hal"), protocols=("doorward.v1", "chat.v2"))
    await client.next()
    text = '{"type":"doorward.ping"}'
    await client.send(text)
    assert await client.next() == text
    await client.close()


# ---- the app's own doings


async def test_an_app_that_returns_or_raises_ends_the_connection(it, door) -> None:
    ends = {}
    for what in ("return", "raise"):
        client = await it.connect("/chat/lobby", token=door.token("ida"))
        await client.next()
        await client.send(what)
        ends[what] = await client.closed()
    assert ends == {"return": (1000, ""), "raise": (1011, "doorward:internal")}
    await it.prints("RuntimeError: the app's own fault")


async def test_a_refusal_as_close_can_be_read_by_a_page(it, door) -> None:
    client = await it.connect("/chat/closing")
    assert await client.closed() == (4401, "doorward:unauthenticated")


async def test_a_route_that_the_app_does_not_serve(it, door) -> None:
    """The app's router refuses in its own way: with 403, as it does without Doorward."""
    refused = await it.try_connect("/unserved", token=door.token("jon"))
    assert isinstance(refused, Refused)
    assert refused.status == 403


# ---- processes


async def workers_of(door: Door, *, count: int) -> set[int]:
    """The processes that hold connections, once there are so many: each has its process id for a worker's number."""
    found: set[int] = set()
    async with asyncio.timeout(WITHIN):
        while len(found) < count:  # presence is told in batches
            code, said = await door.command("connections", "list", "--json")
            assert code == 0, said
            found = {line["worker"] for line in json.loads(said)}
    assert len(found) == count
    return found


@pytest.mark.parametrize("server", ["uvicorn", "granian"])
async def test_a_revocation_reaches_every_process(server, tmp_path) -> None:
    door = Door(tmp_path / "door")
    async with served(server, STARLETTE, "--workers", "2", environment=door.environment) as it:
        await it.prints("app: started", times=2)
        clients = [await it.connect("/chat/lobby", token=door.token("leo"))]
        (busy,) = await workers_of(door, count=1)
        # the kernel may give them all to one that is quick: while that one is held, the other must take some
        os.kill(busy, signal.SIGSTOP)
        try:
            knocking = [asyncio.create_task(it.connect("/chat/lobby", token=door.token("leo"))) for _ in range(12)]
            await asyncio.wait(knocking, timeout=WITHIN, return_when=asyncio.FIRST_COMPLETED)
        finally:
            os.kill(busy, signal.SIGCONT)
        clients += await asyncio.gather(*knocking)
        await workers_of(door, count=2)
        code, said = await door.command("revoke", "--subject", "leo")
        assert code == 0, said
        assert "closed 13 connections" in said
        assert {await client.closed() for client in clients} == {(4002, "doorward:revoked")}
        token = door.token("leo", iat=int(claims_of(door.token("leo"))["iat"]) - 5)
        for _ in range(8):
            assert isinstance(await it.try_connect("/chat/lobby", token=token), Refused)


# ---- the end


async def test_a_server_that_stops_tells_its_clients(tmp_path) -> None:
    door = Door(tmp_path / "door")
    async with served("uvicorn", STARLETTE, environment=door.environment) as it:
        client = await it.connect("/chat/lobby", token=door.token("mia"))
        await client.next()
        await it.stop()
        assert (await client.closed())[0] == 1012
        assert "app: stopped" in it.printed
    assert door.events(kind="close", subject="mia")


# ---- the beginning


async def test_a_server_that_believes_forwarding_headers_is_noticed(tmp_path) -> None:
    door = Door(tmp_path / "door")
    async with served("uvicorn", STARLETTE, "--proxy-headers", environment=door.environment) as it:
        claimed = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
        refused = await it.try_connect("/chat/lobby", token=door.token("ola"), headers=claimed)
        assert isinstance(refused, Refused)
        assert refused.status == 403
        await it.prints("reason=forwarder_untrusted")
    (event,) = door.events(reason="forwarder_untrusted")
    assert "--no-proxy-headers" in event["detail"]


# ---- what is wrong is told, and lets nobody in


async def test_a_configuration_that_cannot_be_used_is_told_whole(tmp_path) -> None:
    door = Door(tmp_path / "door", routes=[{"path": "chat"}], server={"trusted_proxy": []})
    (door.folder / "doorward.key").unlink()
    with pytest.raises(AssertionError) as ended:
        async with served("uvicorn", STARLETTE, environment=door.environment):
            pass
    for line in (
        "server.trusted_proxy: is no key",
        "routes[0].path: must begin with a slash",
        "`doorward init` writes",
    ):
        assert line in str(ended.value)


CHANNELS = "tests.integration.frameworks.apps.channels_app:app"


@pytest_asyncio.fixture(loop_scope="module")
async def storeless(tmp_path) -> Door:
    door = Door(tmp_path / "door")
    (door.folder / "doorward.db").write_bytes(b"something else entirely, " * 100)
    return door


async def test_a_server_with_a_lifespan_does_not_start_without_its_store(storeless) -> None:
    with pytest.raises(AssertionError, match="not a database"):
        async with served("uvicorn", CHANNELS, environment=storeless.environment):
            pass


async def test_one_without_lets_nobody_in_and_says_why(storeless) -> None:
    async with served("daphne", CHANNELS, environment=storeless.environment) as it:
        assert isinstance(await it.try_connect("/chat/lobby", token=storeless.token("pia")), Refused)
        await it.prints("could not start")
        await it.prints("not a database")


# ---- where it may stand


async def test_it_stands_where_a_framework_puts_it_and_several_times(tmp_path) -> None:
    forms = ("mounted", "listed", "added", "inside")
    door = Door(
        tmp_path / "door", server={"prefix": "/mounted/auth"}, routes=[{"path": f"/{form}/chat"} for form in forms]
    )
    async with served("uvicorn", "tests.integration.frameworks.apps.forms:app", environment=door.environment) as it:
        token = door.token("rex")
        clients = []
        for form in forms:
            refused = await it.try_connect(f"/{form}/chat")
            assert isinstance(refused, Refused)
            assert refused.status == 401
            clients.append(await it.connect(f"/{form}/chat", token=token))
            assert await clients[-1].next() == "rex"
            assert (await it.request("GET", f"/{form}/hello")).text == "hello"
        asked = {"Authorization": f"Bearer {token}"}
        assert (await it.request("POST", "/mounted/auth/ticket", json={}, headers=asked)).status_code == 201
        code, said = await door.command("revoke", "--subject", "rex")
        assert code == 0, said
        assert "closed 4 connections on 1 of 1 node" in said
        assert {await client.closed() for client in clients} == {(4002, "doorward:revoked")}
