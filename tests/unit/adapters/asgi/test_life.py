"""Begun before anybody is let in, ended after the application; what could not start lets nobody in."""

import asyncio
from typing import Any

import pytest

from doorward.adapters.asgi.parts import CannotStartError
from tests.unit.adapters.asgi.serving import Server, Visit, echo, scope_of
from tests.unit.service.world import World, handshake


class Hosting(Visit):
    """A server that does lifespan around a middleware."""

    def __init__(self, app: Any) -> None:
        super().__init__(World(), app, {"type": "lifespan"})

    async def tell(self, kind: str) -> None:
        self.server.says(f"lifespan.{kind}")

    def run(self) -> None:
        self.task = asyncio.create_task(self.middleware(self.server.scope, self.server.receive, self.server.send))


async def polite(scope, receive, send) -> None:
    """Does lifespan, and nothing else."""
    assert scope["type"] == "lifespan"
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def rude(scope, receive, send) -> None:
    if scope["type"] == "lifespan":
        raise ValueError("No application configured for scope type 'lifespan'")
    await echo(scope, receive, send)


async def silent(scope, receive, send) -> None:
    return


@pytest.mark.parametrize("app", [polite, rude, silent])
async def test_ours_begins_before_the_applications_and_ends_after_it(app) -> None:
    it = Hosting(app)
    it.run()
    await it.tell("startup")
    await it.server.told("lifespan.startup.complete")
    assert it.parts.done == ["start"]
    await it.tell("shutdown")
    await it.server.told("lifespan.shutdown.complete")
    await it.ended()
    assert it.parts.done == ["start", "drain", "stop"]
    assert len(it.server.sent) == 2


async def test_a_failed_start_is_told_and_the_application_not_begun() -> None:
    async def app(scope, receive, send) -> None:
        raise AssertionError("begun")

    it = Hosting(app)
    it.parts.fails = CannotStartError("the store is locked")
    it.run()
    await it.tell("startup")
    failed = await it.server.told("lifespan.startup.failed")
    assert failed["message"] == "Doorward could not start: the store is locked"
    await it.ended()
    assert it.notes == ["could not start: the store is locked"]
    assert it.parts.done == ["start", "stop"]


async def test_a_bug_of_ours_is_no_start_either() -> None:
    it = Hosting(polite)
    it.parts.fails = ValueError("bug")
    it.run()
    await it.tell("startup")
    assert (await it.server.told("lifespan.startup.failed"))["message"] == "Doorward could not start: ValueError"
    assert "Traceback" in it.notes[1]
    await it.ended()


async def test_the_applications_own_failure_to_start_passes() -> None:
    async def app(scope, receive, send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    it = Hosting(app)
    it.run()
    await it.tell("startup")
    assert (await it.server.told("lifespan.startup.failed"))["message"] == "no database"
    await it.ended()
    assert it.parts.done == ["start", "stop"]


async def test_the_applications_exception_later_is_the_servers() -> None:
    async def app(scope, receive, send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        raise ValueError("at the end")

    it = Hosting(app)
    it.run()
    await it.tell("startup")
    await it.tell("shutdown")
    with pytest.raises(ValueError, match="at the end"):
        await it.ended()
    assert it.parts.done == ["start", "drain", "stop"]


@pytest.mark.parametrize("last_words", ["lifespan.shutdown.failed", ""])
async def test_an_end_that_the_server_has_not_asked_for_leaves_nobody_unwatched(last_words: str) -> None:
    """A server goes on serving (uvicorn does): who is live would be out of reach of every revocation."""

    async def app(scope, receive, send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        if last_words:
            await send({"type": last_words})
        raise LookupError

    it = Hosting(app)
    it.run()
    await it.tell("startup")
    await it.server.told("lifespan.startup.complete")
    with pytest.raises(LookupError):
        await it.ended()
    assert it.parts.done == ["start", "drain", "stop"]


async def test_without_lifespan_the_first_request_begins_it_once() -> None:
    it = Visit(World(), echo, scope_of())
    it.parts.starting = asyncio.Event()
    servers = [Server(scope_of()) for _ in range(3)]
    tasks = [asyncio.create_task(it.middleware(one.scope, one.receive, one.send)) for one in servers]
    for one in servers:
        one.says("websocket.connect")
    await asyncio.sleep(0)
    tasks[0].cancel()  # who gives up does not take the start from the others
    await asyncio.wait({tasks[0]})
    it.parts.starting.set()
    for one in servers[1:]:
        await one.told("websocket.accept")
        one.says("websocket.disconnect", code=1000)
    await asyncio.wait(tasks, timeout=5)
    assert it.parts.done == ["start"]
    await it.clean()


@pytest.mark.parametrize("page", [True, False])
async def test_without_a_start_nobody_enters(page) -> None:
    it = Visit(World(), echo, scope_of(page=page))
    it.parts.fails = CannotStartError("no")
    for _ in range(2):
        await it.middleware(it.server.scope, it.server.receive, it.server.send)
    if page:
        assert [message.get("status") for message in it.server.sent if "status" in message] == [503, 503]
    else:
        assert it.server.kinds() == ["close", "close"]
    assert it.parts.done == ["start", "stop"], "and it is not tried at every knock"


async def test_nobody_enters_after_the_end() -> None:
    it = Hosting(polite)
    it.run()
    await it.tell("startup")
    await it.tell("shutdown")
    await it.ended()
    server = Server(scope_of(handshake()))
    await it.middleware(server.scope, server.receive, server.send)
    assert server.sent[0]["status"] == 503
    assert it.parts.done == ["start", "drain", "stop"]


def test_another_loop_begins_anew() -> None:
    """Tests run each in a loop of its own."""
    it = Visit(World(), echo, scope_of())

    async def knock() -> None:
        server = Server(scope_of(handshake()))
        server.says("websocket.connect")
        await it.middleware(server.scope, server.receive, server.send)
        assert server.sent[0]["status"] == 401

    asyncio.run(knock())
    asyncio.run(knock())
    assert it.parts.done == ["start", "start"]
