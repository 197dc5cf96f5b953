"""The application is step 12's backend: entered by nobody who was refused, and its own answer respected."""

import asyncio
from dataclasses import replace

import pytest

from doorward.adapters.asgi.connection import NoConnectionError, connection_of
from doorward.adapters.asgi.entrance import wire_of
from doorward.adapters.gateway.refusals import refusal
from doorward.core.refusing import refusal_page
from doorward.values.decision import Deny, Reason, Step
from doorward.values.rules import RefuseAs
from tests.unit.adapters.asgi.serving import Server, Visit, echo, scope_of, visit
from tests.unit.service.world import World, handshake, route, rules, subject, token


async def never(scope, receive, send) -> None:
    raise AssertionError("the application was entered")


async def answer(world: World, scope) -> tuple[int, list[str]]:
    """The status of a refusal that the application saw nothing of, and the audit's reasons."""
    async with visit(never, scope, world) as it:
        await it.ended()
        start = await it.server.told("websocket.http.response.start")
        reasons = [event.reason for event in it.audited("handshake")]
    return start["status"], reasons


async def test_the_good_one_enters_and_is_accepted() -> None:
    seen = {}

    async def app(scope, receive, send) -> None:
        seen.update(scope)
        await echo(scope, receive, send)

    shown = handshake(
        "/chat/a?x=1&ticket=",
        bearer=token(),
        protocols="doorward.v1, chat.v2",
        Cookie="a=b; __Host-doorward=c",
        X_Doorward_Subject="root",
        **{"X.Doorward.Roles": "root"},
    )
    server_scope = scope_of(replace(shown, target="/chat/a?x=1", query="x=1"))
    async with visit(app, server_scope) as it:
        accept = await it.server.told("websocket.accept")
        assert accept["subprotocol"] == "doorward.v1"
        assert (await it.server.told("websocket.send"))["text"].startswith('{"type":"doorward.ready"')
        it.server.hears("hello")
        assert await it.server.told("websocket.send", 2) == {"type": "websocket.send", "text": "hello"}
    headers = [(name.decode(), value.decode()) for name, value in seen["headers"]]
    assert not {"authorization", "x.doorward.roles"} & {name for name, _ in headers}
    assert [value for name, value in headers if name == "x-doorward-subject"] == ["alice"]
    assert ("cookie", "a=b") in headers
    assert seen["subprotocols"] == ["chat.v2"]
    assert seen["query_string"] == b"x=1"
    assert seen["state"] == {"theirs": 1, "doorward": connection_of(seen)}
    assert "doorward" not in server_scope["state"]


async def test_no_credential_stays_where_a_server_logs_from() -> None:
    scope = scope_of(handshake("/chat/a?token=secret&x=1"))
    async with visit(never, scope) as it:
        await it.ended()
    assert scope["query_string"] == b"x=1"
    broken = scope_of(handshake("/chat/a?token=secret")) | {"raw_path": b"/chat//a"}
    async with visit(never, broken) as it:
        await it.ended()
    assert broken["query_string"] == b""


@pytest.mark.parametrize(
    ("scope", "status", "reason"),
    [
        (scope_of(handshake()), 401, "credential_missing"),
        (scope_of(handshake(bearer=token(b"bad"))), 403, "token_signature"),
        (scope_of(handshake("/elsewhere", bearer=token())), 404, "route_unknown"),
        (scope_of(handshake(bearer=token(), Host="evil.example")), 421, "host_foreign"),
        (scope_of(handshake(bearer=token(), Origin="https://evil.example")), 403, "origin_unlisted"),
        (scope_of(handshake(bearer=token(), Sec_WebSocket_Key="short")), 400, "key_malformed"),
        (scope_of(http_version="1.0"), 400, "http_version"),
        (scope_of(http_version="2"), 400, "http_version"),
        (scope_of(raw_path=b"/chat/%2e%2e/a"), 400, "target_malformed"),
        (scope_of(raw_path=b""), 400, "head_grammar"),
        (scope_of(path="/chat/b"), 400, "target_malformed"),
        (scope_of(path="/chat/b", root_path="/x"), 400, "target_malformed"),
        (scope_of(client=("203.0.113.9", 0)), 403, "forwarder_untrusted"),
        (scope_of(client=("testclient", 50000)), 403, "forwarder_untrusted"),
        (scope_of(client=("203.0.113.9", 4711)), 403, "transport_insecure"),
        (scope_of(headers=None), 500, "internal"),
    ],
)
async def test_who_is_refused_never_enters(scope, status, reason) -> None:
    world = World()
    assert await answer(world, {**scope}) == (status, [reason])


async def test_a_mounting_application_may_take_its_root_off() -> None:
    async with visit(echo, scope_of(path="/a", root_path="/chat")) as it:
        await it.server.told("websocket.accept")
    async with visit(echo, scope_of(root_path="/chat")) as it:  # ASGI's own way: the path is whole
        await it.server.told("websocket.accept")


async def test_the_page_is_the_gateways() -> None:
    for reason in Reason:
        deny = Deny(reason, Step.PROVE, retry_after=2.0)
        page = refusal_page(deny)
        head, _, body = refusal(deny).partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        assert int(first.split(" ")[1]) == page.status
        assert [tuple(line.split(": ", 1)) for line in lines] == list(page.headers)
        assert body == page.body


async def test_a_server_that_carries_no_page_gets_a_close() -> None:
    async with visit(never, scope_of(handshake(), page=False)) as it:
        await it.ended()
    assert [message["type"] for message in it.server.sent] == ["websocket.close"]


async def test_a_route_may_show_the_code_instead() -> None:
    world = World(rules(routes=(route(refuse_as=RefuseAs.CLOSE),)))
    shown = handshake(bearer=token(b"bad"), protocols="chat.v2")
    async with visit(never, scope_of(shown), world) as it:
        await it.ended()
        assert it.server.sent == [
            {"type": "websocket.accept", "subprotocol": "chat.v2", "headers": []},
            {"type": "websocket.close", "code": 4401, "reason": "doorward:refused"},
        ]


async def test_who_left_at_once_is_nobody() -> None:
    it = Visit(World(), never, scope_of())
    it.server.says("websocket.disconnect", code=1006)
    await it.middleware(it.server.scope, it.server.receive, it.server.send)
    assert it.server.sent == []


# ---- the application's own answer


@pytest.mark.parametrize(
    ("offers", "chosen", "selected"),
    [
        ("chat.v1, chat.v2", "chat.v2", "chat.v2"),
        ("chat.v1, doorward.v1", None, "doorward.v1"),
        ("doorward.plain", None, "doorward.plain"),
        ("chat.v1", None, None),
        ("", None, None),
    ],
)
async def test_the_applications_choice_stands_among_what_it_was_shown(offers, chosen, selected) -> None:
    async def app(scope, receive, send) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": chosen})
        await receive()

    async with visit(app, scope_of(handshake(bearer=token(), protocols=offers))) as it:
        assert (await it.server.told("websocket.accept"))["subprotocol"] == selected


async def test_a_choice_that_was_not_offered_is_refused() -> None:
    ended = []

    async def app(scope, receive, send) -> None:
        try:
            await send({"type": "websocket.accept", "subprotocol": "chat.v9"})
        finally:
            ended.append("cancelled")

    async with visit(app) as it:
        await it.ended()
        assert (await it.server.told("websocket.http.response.start"))["status"] == 502
        assert [event.reason for event in it.audited("handshake")] == ["backend_nonsense"]
    assert ended == ["cancelled"]


async def test_headers_of_the_accept_pass_less_what_is_negotiated() -> None:
    async def app(scope, receive, send) -> None:
        headers = [(b"x-own", b"1"), (b"Sec-WebSocket-Protocol", b"doorward.v1")]
        await send({"type": "websocket.accept", "headers": headers})

    async with visit(app) as it:
        assert (await it.server.told("websocket.accept"))["headers"] == [(b"x-own", b"1")]


async def test_its_close_instead_is_its_refusal() -> None:
    async def app(scope, receive, send) -> None:
        await receive()
        await send({"type": "websocket.close", "code": 4321})

    async with visit(app) as it:
        await it.ended()
        assert it.server.sent == [{"type": "websocket.close", "code": 4321}]
        assert [(event.reason, event.status) for event in it.audited("handshake")] == [("app_refused", 403)]


async def test_its_own_page_passes() -> None:
    async def app(scope, receive, send) -> None:
        await send({"type": "websocket.http.response.start", "status": 418, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"tea", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"pot"})

    async with visit(app) as it:
        await it.ended()
        assert [message.get("status") or message.get("body") for message in it.server.sent] == [418, b"tea", b"pot"]
        assert [event.detail for event in it.audited("handshake")] == ["status 418"]


async def test_its_exception_is_500_without_text_and_the_servers_to_log() -> None:
    async def app(scope, receive, send) -> None:
        raise ValueError("secret of a bug")

    async with visit(app) as it:
        with pytest.raises(ValueError, match="secret of a bug"):
            await it.ended()
        assert (await it.server.told("websocket.http.response.start"))["status"] == 500
        assert b"secret" not in b"".join(message.get("body", b"") for message in it.server.sent)
        assert [(event.reason, event.detail) for event in it.audited("handshake")] == [("app_failed", "ValueError")]


@pytest.mark.parametrize("first", [None, {"type": "websocket.send", "text": "early"}])
async def test_no_answer_at_all_is_its_failure(first) -> None:
    async def app(scope, receive, send) -> None:
        if first is not None:
            await send(first)

    async with visit(app) as it:
        await it.ended()
        assert (await it.server.told("websocket.http.response.start"))["status"] == 500
        assert [event.reason for event in it.audited("handshake")] == ["app_failed"]


async def test_an_application_that_never_answers_is_not_waited_for() -> None:
    world = World()
    world.timeout = 0.01
    gone = asyncio.Event()

    async def app(scope, receive, send) -> None:
        await receive()
        try:
            await receive()
        finally:
            gone.set()

    async with visit(app, world=world) as it:
        await it.ended()
        assert (await it.server.told("websocket.http.response.start"))["status"] == 504
    assert gone.is_set()


async def test_revoked_while_the_application_thinks() -> None:
    """REV-02: registered, and the log read once more, before anybody is told of an accept."""
    world = World()

    async def app(scope, receive, send) -> None:
        await world.revoke(subject())
        await send({"type": "websocket.accept"})
        raise AssertionError("it went on")

    async with visit(app, world=world) as it:
        await it.ended()
        assert (await it.server.told("websocket.http.response.start"))["status"] == 403
        assert [event.reason for event in it.audited("handshake")] == ["revoked_before"]


async def test_cancelled_by_the_server_nothing_stays_taken() -> None:
    asked = asyncio.Event()

    async def app(scope, receive, send) -> None:
        asked.set()
        await asyncio.Event().wait()

    async with visit(app) as it:
        await asked.wait()
        assert it.task is not None
        it.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await it.ended()
        assert [event.reason for event in it.audited("handshake")] == ["peer_left"]


async def test_a_peer_that_left_before_the_accept() -> None:
    async def app(scope, receive, send) -> None:
        await send({"type": "websocket.accept"})

    async with visit(app) as it:
        it.server.broken = OSError("gone")
        await it.ended()
        assert [event.reason for event in it.audited("close")] == ["peer_gone"]


# ---- the connection object


async def test_the_connection_is_now_and_not_then() -> None:
    world = World(rules(roles={"mod": ("chat:kick",)}))
    found = {}

    async def app(scope, receive, send) -> None:
        found["it"] = connection_of(scope)
        assert found["it"].subject == "alice"
        await echo(scope, receive, send)

    shown = handshake("/chat/%61b", bearer=token(scope="chat:send", tenant=""), protocols="doorward.v1")
    async with visit(app, scope_of(shown), world) as it:
        await it.server.told("websocket.send")
        connection = found["it"]
        assert (connection.route, connection.parameters) == ("/chat/{room}", {"room": "ab"})
        assert connection.expires_at == int(world.clock.now()) + 600
        assert connection.permits("chat:send")
        assert not connection.permits("chat:kick")
        next(iter(world.connections)).put_roles(("mod",))
        assert connection.permits("chat:kick")
        fresh = token(exp=int(world.clock.now()) + 6000)
        it.server.hears(f'{{"type":"doorward.auth","token":"{fresh}"}}')
        await it.server.told("websocket.send", 3)
        assert connection.expires_at == int(world.clock.now()) + 6000


def test_there_is_none_elsewhere() -> None:
    with pytest.raises(NoConnectionError, match="outermost"):
        connection_of({"type": "http"})


def test_a_peer_that_is_no_address_is_nobody() -> None:
    assert wire_of({"client": ("testclient", 1), "scheme": "ws", "headers": []}).rewritten
    assert not wire_of({"client": None, "scheme": "ws", "headers": []}).rewritten
    assert Server({}).sent == []
