"""What is whose: sockets go through the door, our endpoints are ours, the rest is the application's, untouched."""

import pytest

from tests.unit.adapters.asgi.serving import Server, Visit, scope_of
from tests.unit.service.world import World, handshake


async def app(scope, receive, send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [], "scope": scope})


def http(path: str) -> dict:
    return {"type": "http", "path": path, "method": "GET", "headers": [], "extensions": {}}


async def ask(it: Visit, scope: dict, which=None) -> Server:
    server = Server(scope)
    await (which or it.middleware)(server.scope, server.receive, server.send)
    return server


async def test_http_is_the_applications_untouched_and_begins_nothing() -> None:
    it = Visit(World(), app, {})
    for path in ("/", "/chat/a", "/healthz", "/authority"):
        scope = http(path)
        assert (await ask(it, scope)).sent[0]["scope"] is scope
    assert it.parts.done == []


async def test_our_endpoints_are_ours_whatever_upgrade_says() -> None:
    it = Visit(World(), app, {})
    await ask(it, http("/auth/ticket"))
    await ask(it, scope_of(handshake("/auth/ticket")))
    assert it.parts.done == ["start", "ours http /auth/ticket", "ours websocket /auth/ticket"]


async def test_a_scope_that_nobody_judges_passes_nobody() -> None:
    with pytest.raises(ValueError, match="webtransport"):
        await ask(Visit(World(), app, {}), {"type": "webtransport"})


async def test_metrics_are_an_application_to_mount() -> None:
    it = Visit(World(), app, {})
    assert (await ask(it, http("/"), it.middleware.metrics)).sent[0]["status"] == 503
    await ask(it, http("/auth/ticket"))
    assert (await ask(it, http("/"), it.middleware.metrics)).sent[1]["body"].startswith(b"doorward_connections")
    with pytest.raises(ValueError, match="HTTP"):
        await ask(it, scope_of(), it.middleware.metrics)


async def test_a_reload_is_asked_for() -> None:
    it = Visit(World(), app, {})
    assert await it.middleware.reload()
    assert it.parts.done == ["start", "reload"]
