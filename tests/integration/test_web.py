"""Our endpoints on a real server and real sockets: what a client sees byte for byte, and what it can't get past.

The server is uvicorn's as the gateway uses it: its HTTP protocol class, no WebSocket protocol, no proxy headers. The
desk and the door are the real ones, over the memory store.
"""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from doorward.adapters.admin import AdminApp
from doorward.adapters.web import Page, Readiness, WebApp
from doorward.adapters.web import body as body_module
from doorward.core.endings import ENDINGS
from doorward.ports import StoreError
from doorward.service.live import Live
from doorward.values.decision import Deny, Reason
from doorward.values.rules import ClusterLimits, Rate
from tests.unit.service.world import World, handshake, rules, token

HOST = "gw.example.com"
ORIGIN = "https://app.example.com"
WITHIN = 40.0


class Server:
    """One world behind two listeners, ours and the admin's."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.store_is_away = False
        self.port = 0
        self.admin_port = 0

    async def check(self) -> None:
        if self.store_is_away:
            raise StoreError("away")

    async def send(self, *pieces: str | bytes, port: int | None = None) -> bytes:
        """Send the pieces, and read until the server closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port or self.port)
        try:
            for piece in pieces:
                writer.write(piece.encode("latin-1") if isinstance(piece, str) else piece)
                await writer.drain()
            async with asyncio.timeout(WITHIN):
                return await reader.read()
        finally:
            writer.close()

    async def ask(self, request: str, *lines: str, body: str = "", port: int | None = None) -> tuple[int, str, bytes]:
        """(status, head, body) of one request with its Host."""
        length = [f"Content-Length: {len(body)}"] if body else []
        head = "\r\n".join([f"{request} HTTP/1.1", f"Host: {HOST}", *lines, *length])
        return split(await self.send(f"{head}\r\n\r\n{body}", port=port))

    async def buy(self, *lines: str, body: str = "{}", bearer: str | None = None) -> tuple[int, str, bytes]:
        shown = f"Authorization: Bearer {bearer or token()}"
        return await self.ask("POST /auth/ticket", "Content-Type: application/json", shown, *lines, body=body)


def split(answer: bytes) -> tuple[int, str, bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), head.decode("latin-1").lower(), body


async def serve(app: object) -> asyncio.Server:
    """uvicorn's HTTP protocol class on a listener, as the gateway's front hands connections to it."""
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]
        http="httptools",
        ws="none",
        lifespan="off",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
    )
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()

    def protocol() -> HttpToolsProtocol:
        return HttpToolsProtocol(config=config, server_state=state, app_state={})

    return await loop.create_server(protocol, "127.0.0.1", 0)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    wide = ClusterLimits(
        handshakes_per_address=Rate(100_000, 60.0, 100_000), refusals_per_address=Rate(1000, 60.0, 1000)
    )
    one = Server(World(rules(limits=wide)))
    world = one.world
    readiness = Readiness(check=one.check, draining=lambda: world.door.draining, clock=world.clock)
    web = WebApp(
        world.desk,
        door=world.door,
        rules=lambda: world.watch.rules,
        readiness=readiness,
        jwks=lambda: {"keys": []},
        fault=world.events.fault,
        pages={"/": Page(b"<!doctype html><p>hello", "text/html")},
    )
    admin = AdminApp(metrics=lambda: b"doorward_connections 0.0\n", readiness=readiness, fault=world.events.fault)
    listeners = [await serve(web), await serve(admin)]
    one.port, one.admin_port = (listener.sockets[0].getsockname()[1] for listener in listeners)
    yield one
    for listener in listeners:
        listener.close()
        await listener.wait_closed()
    await world.settle()


def audited(server: Server) -> list[str]:
    return [event.reason for event in server.world.audited() if event.reason]


# ---- tickets, end to end


async def test_a_ticket_opens_a_connection_with_its_id(server: Server) -> None:
    status, _, body = await server.buy(f"Origin: {ORIGIN}", body='{"path":"/chat/a"}')
    sold = json.loads(body)
    assert (status, sold["expires_in"]) == (201, 30)
    live = await server.world.enter(handshake("/chat/a", protocols=f"doorward.v1, doorward.ticket.{sold['ticket']}"))
    assert isinstance(live, Live)
    assert live.connection == sold["connection"]


async def test_a_live_connection_is_renewed_by_post(server: Server) -> None:
    live, _ = await server.world.inside(handshake(bearer=token(), protocols="doorward.v1"))
    fresh = token(exp=int(server.world.clock.now()) + 3600)
    body = json.dumps({"connection": live.connection, "token": fresh})
    status, _, answered = await server.ask("POST /auth/renew", "Content-Type: application/json", body=body)
    assert status == 200
    assert json.loads(answered)["expires_at"] == int(server.world.clock.now()) + 3600


async def test_somebody_elses_connection_can_not_be_told_from_none(server: Server) -> None:
    live, hands = await server.world.inside(handshake(bearer=token(), protocols="doorward.v1"))
    answers = []
    for connection in (live.connection, "c" * 22):
        body = json.dumps({"connection": connection, "token": token(sub="mallory")})
        answers.append(await server.ask("POST /auth/renew", "Content-Type: application/json", body=body))
    assert answers[0][0] == answers[1][0] == 403
    assert answers[0][2] == answers[1][2]
    assert hands.done == [], "and it stays open"


@pytest.mark.parametrize(
    ("bearer", "status"),
    [
        (token(signature=b"bad"), 403),
        (token(exp=1), 403),
        (token(aud="other"), 403),
        (token(iss="https://other.example/"), 403),
        ("T" * 43, 403),
        ("eyJ.eyJ.x", 403),
    ],
)
async def test_ts_01_a_bad_token_buys_nothing(server: Server, bearer: str, status: int) -> None:
    assert (await server.buy(bearer=bearer))[0] == status
    assert (await server.ask("POST /auth/ticket", "Content-Type: application/json", body="{}"))[0] == 401


async def test_ts_08_a_thousand_tickets_are_too_many(server: Server) -> None:
    """The identity's rate is 120 a minute: the 121st waits, and who bought them keeps the ten newest."""
    answers = [await server.buy() for _ in range(125)]
    assert [status for status, _, _ in answers] == [201] * 120 + [429] * 5
    assert "retry-after: 1\r\n" in answers[-1][1]
    tickets = [json.loads(body)["ticket"] for status, _, body in answers if status == 201]
    kept = tickets[-10:]
    assert isinstance(await server.world.enter(handshake(protocols=f"doorward.ticket.{tickets[-11]}")), Deny)
    assert isinstance(await server.world.enter(handshake(protocols=f"doorward.ticket.{kept[0]}")), Live)
    assert "ticket_unknown" in audited(server)


async def test_ts_13_a_token_in_the_url_is_an_event(server: Server) -> None:
    for name in ("token", "access_token"):
        status, _, _ = await server.ask(
            f"POST /auth/ticket?{name}={token()}", "Content-Type: application/json", body="{}"
        )
        assert status == 400
    assert audited(server) == ["token_in_url", "token_in_url"]
    assert token() not in repr(server.world.audited())


async def test_or_13_as_a_form_and_across_sites(server: Server) -> None:
    bearer = f"Authorization: Bearer {token()}"
    json_type = "Content-Type: application/json"
    asked = [
        ("POST", ["Content-Type: text/plain", bearer], 415),
        ("POST", ["Content-Type: application/x-www-form-urlencoded", bearer], 415),
        ("POST", [json_type, bearer, "Sec-Fetch-Site: cross-site"], 403),
        ("POST", [json_type, bearer, "Origin: https://evil.example"], 403),
        ("POST", [json_type, bearer, "Origin: null"], 403),
        ("GET", [json_type, bearer], 405),
        ("POST", [json_type, bearer, "Sec-Fetch-Site: same-origin"], 201),
    ]
    for method, lines, status in asked:
        assert (await server.ask(f"{method} /auth/ticket", *lines, body="{}"))[0] == status, lines
    assert len([event for event in server.world.audited() if event.status == 201]) == 1


async def test_or_16_preflights(server: Server) -> None:
    for origin, status in ((ORIGIN, 204), ("https://evil.example", 403), ("null", 403)):
        found, head, _ = await server.ask(
            "OPTIONS /auth/ticket", f"Origin: {origin}", "Access-Control-Request-Method: POST"
        )
        assert found == status
        assert (f"access-control-allow-origin: {origin}" in head) is (status == 204)
        assert "access-control-allow-origin: *" not in head
        assert "vary: origin" in head


# ---- one exchange per connection


async def test_px_15_nothing_after_a_refusal_is_read(server: Server) -> None:
    second = f"GET /healthz HTTP/1.1\r\nHost: {HOST}\r\n\r\n"
    for first in ("GET /auth/ticket", "GET /nowhere", "GET /healthz"):
        answer = await server.send(f"{first} HTTP/1.1\r\nHost: {HOST}\r\n\r\n{second}")
        assert answer.count(b"HTTP/1.1 ") == 1
        assert b"connection: close" in answer.lower()


async def test_our_paths_are_http_whatever_upgrade_says(server: Server) -> None:
    upgrade = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]
    assert (await server.ask("GET /auth/ticket", *upgrade))[0] == 405
    assert (await server.ask("GET /auth/none", *upgrade))[0] == 404
    assert (await server.ask("GET /healthz", *upgrade))[0] == 200


async def test_an_unfinished_body_is_408_after_its_time(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "DEADLINE", 0.05)
    head = f"POST /auth/ticket HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n"
    status, _, body = split(await server.send(f"{head}Authorization: Bearer {token()}\r\n\r\n{{"))
    assert (status, json.loads(body)["reason"]) == (408, ENDINGS[Reason.HEAD_TIMEOUT].name)


@pytest.mark.parametrize("chunked", [True, False])
async def test_a_body_over_16_kib_is_413(server: Server, chunked: bool) -> None:
    head = f"POST /auth/ticket HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
    head += f"Authorization: Bearer {token()}\r\n"
    if chunked:
        pieces = [f"{head}Transfer-Encoding: chunked\r\n\r\n", *["4000\r\n" + " " * 0x4000 + "\r\n"] * 2]
    else:
        pieces = [f"{head}Content-Length: 16385\r\n\r\n"]
    assert split(await server.send(*pieces))[0] == 413


async def test_who_hangs_up_is_nobody(server: Server) -> None:
    head = f"POST /auth/ticket HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n"
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"{head}Authorization: Bearer {token()}\r\n\r\n{{".encode())
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await server.ask("GET /healthz"))[0] == 200
    assert [event.kind for event in server.world.audited()] == []


# ---- health, pages, the admin listener


async def test_health_speaks_http_1_0_to_anybody(server: Server) -> None:
    for path in ("/healthz", "/readyz"):
        for port in (server.port, server.admin_port):
            status, head, body = split(await server.send(f"GET {path} HTTP/1.0\r\n\r\n", port=port))
            assert (status, json.loads(body)) == (200, {"status": "ok"})
            assert "connection: close" in head


async def test_readiness_follows_the_store_and_the_drain(server: Server) -> None:
    assert (await server.ask("GET /readyz"))[0] == 200
    server.store_is_away = True
    server.world.clock.advance(1.0)
    for port in (server.port, server.admin_port):
        status, head, body = await server.ask("GET /readyz", port=port)
        assert (status, json.loads(body)["reason"], "retry-after: 5" in head) == (503, "unavailable", True)
    server.store_is_away = False
    server.world.clock.advance(1.0)
    assert (await server.ask("GET /readyz"))[0] == 200
    server.world.door.draining = True
    assert (await server.ask("GET /readyz"))[0] == 503
    assert (await server.ask("GET /healthz"))[0] == 200


async def test_head_has_the_headers_and_no_body(server: Server) -> None:
    for path in ("/", "/healthz", "/.well-known/jwks.json"):
        status, head, body = await server.ask(f"HEAD {path}")
        assert (status, body) == (200, b"")
        assert "content-security-policy: default-src 'none'; frame-ancestors 'none'" in head


async def test_lg_17_admin_paths_are_not_on_the_public_listener(server: Server) -> None:
    for path in ("/metrics", "/api/connections", "/%6detrics", "/auth/../metrics", "//metrics"):
        assert (await server.ask(f"GET {path}"))[0] in {400, 404}
        assert (await server.ask(f"GET {path}", "X-Forwarded-Host: 127.0.0.1:8801"))[0] in {400, 403, 404}
    status, _, body = split(
        await server.send(
            f"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:{server.admin_port}\r\n\r\n", port=server.admin_port
        )
    )
    assert (status, body) == (200, b"doorward_connections 0.0\n")
    assert (await server.ask("GET /metrics", port=server.admin_port))[0] == 421, "a name that is not the admin's"


async def test_no_answer_names_a_product_or_a_version(server: Server) -> None:
    for request in ("GET /", "GET /nowhere", "POST /auth/ticket", "GET /%00", "OPTIONS /auth/ticket"):
        _, head, body = await server.ask(request)
        for name in ("server:", "x-powered-by", "uvicorn", "python", "starlette"):
            assert name not in head
            assert name.encode() not in body.lower()


async def test_an_exception_is_500_and_the_server_goes_on(server: Server) -> None:
    server.world.verifier.error = KeyError("canary")
    status, _, body = await server.buy()
    assert (status, json.loads(body)) == (
        500,
        {"type": "about:blank", "title": "Internal Server Error", "status": 500, "reason": "internal"},
    )
    server.world.verifier.error = None
    assert (await server.buy())[0] == 201
    assert [event.detail for event in server.world.audited() if event.kind.value == "fault"] != []
