"""Forward auth through real proxies: who may comes in, under a name that nobody can forge; who may not, nowhere."""

import asyncio
import base64
import json

import pytest

from tests.integration.running import WITHIN, Client, Refused, free_port
from tests.integration.verify.conftest import ORIGIN, Guest, Way, way_through
from tests.integration.verify.recipes import FILES, NAME

pytestmark = pytest.mark.asyncio(loop_scope="session")

IDENTITY = ("issuer", "subject", "roles", "permissions", "tenant", "session", "expires")


def heard(way: Way, name: str) -> list[str]:
    """All that the newest request at the backend has under this name, in any spelling."""
    return [value for found, value in way.backend.lines[-1] if found.replace("_", "-") == name]


async def refused(way: Way, reached: int, client: Client | Refused, status: int) -> Refused:
    """It was, with this status, and the backend knows nothing of it."""
    assert isinstance(client, Refused), "it came in"
    assert client.status == status, (client, way.proxy.said)
    assert len(way.backend.lines) == reached
    return client


async def test_who_may_comes_in_and_the_backend_hears_who_it_is(way, source, subject) -> None:
    token = way.gateway.token(subject, roles=["member", "gast, ü"], tenant="acme", sid="s-1")
    client = await way.enter(token, "/chat/a?keep=1", source=source)
    assert await client.echoes()
    assert [heard(way, f"x-doorward-{name}") for name in ("subject", "tenant", "session")] == [
        [subject],
        ["acme"],
        ["s-1"],
    ]
    assert heard(way, "x-doorward-roles") == ["member,gast%2C%20%C3%BC"]
    assert heard(way, "x-doorward-issuer") == ["https://login.test"]
    assert heard(way, "x-doorward-expires")[0].isdecimal()
    assert way.backend.heads[-1][0] == "/chat/a?keep=1"
    client.leave()


async def test_the_credential_goes_no_further_than_the_proxy(way, source, subject) -> None:
    token = way.gateway.token(subject)
    client = await way.enter(token, source=source)
    assert heard(way, "authorization") == []
    assert token not in str(way.backend.lines[-1])
    client.leave()


async def test_it_is_audited_as_asked_about_with_the_clients_own_address(way, source, subject) -> None:
    client = await way.enter(way.gateway.token(subject), "/chat/a?ticked=1", source=source)
    client.leave()
    (event,) = await way.gateway.audited(subject=subject)
    assert (event["kind"], event["outcome"], event["status"]) == ("verify", "allowed", 200)
    assert (event["address"], event["direct"]) == (source, "127.0.0.1")
    assert (event["path"], event["route"], event["credential"]) == ("/chat/a", "/chat/{room}", "token")


async def test_nobody_shown_is_401_and_a_bad_one_403(way, source) -> None:
    reached = len(way.backend.lines)
    nobody = await refused(way, reached, await way.try_enter(None, source=source), 401)
    assert nobody.headers["www-authenticate"].startswith("Bearer")
    forged = way.gateway.token("alice").rpartition(".")[0] + "." + base64.urlsafe_b64encode(b"x" * 32).decode()[:43]
    await refused(way, reached, await way.try_enter(forged, source=source), 403)
    await refused(way, reached, await way.try_enter(way.gateway.token("alice", life=-5), source=source), 403)
    for event in await way.gateway.audited(count=3, kind="handshake", address=source):
        assert (event["outcome"], event["status"]) == ("refused", 401 if not event.get("credential") else 403)


async def test_what_would_be_another_status_is_403(way, source, subject) -> None:
    """404, 400, 421: of any of them nginx would make a 500."""
    token, reached = way.gateway.token(subject), len(way.backend.lines)
    for path in ("/nowhere", "/chat/%2e%2e", "/chat/a%2Fb", "/chat/a%00", "/chat//a"):
        by_itself = way.kind == "nginx" and path.endswith("%00")  # before it asks anybody
        await refused(way, reached, await way.try_enter(token, path, source=source), 400 if by_itself else 403)


async def test_the_routes_permission_counts(way, source, subject) -> None:
    reached = len(way.backend.lines)
    await refused(way, reached, await way.try_enter(way.gateway.token(subject), "/members", source=source), 403)
    client = await way.enter(way.gateway.token(subject, roles=["member"]), "/members", source=source)
    assert heard(way, "x-doorward-permissions") == ["members:join"]
    client.leave()


async def test_the_origin_counts(way, source, subject) -> None:
    token, reached = way.gateway.token(subject), len(way.backend.lines)
    for origin in ("https://evil.test", "null", f"{ORIGIN}.evil.test", None):
        client = await way.try_enter(token, "/pages/a", source=source, origin=origin)
        await refused(way, reached, client, 403)
    client = await way.enter(token, "/pages/a", source=source, origin=ORIGIN)
    client.leave()


async def test_a_token_in_the_url_counts_only_where_the_route_says(way, source, subject) -> None:
    token, reached = way.gateway.token(subject), len(way.backend.lines)
    await refused(way, reached, await way.try_enter(None, f"/chat/a?token={token}", source=source), 403)
    await refused(way, reached, await way.try_enter(token, f"/open/a?token={token}", source=source), 403)
    client = await way.enter(None, f"/open/a?token={token}", source=source)
    assert heard(way, "x-doorward-subject") == [subject]
    client.leave()


async def test_a_ticket_that_is_bought_through_the_proxy_opens_once(way, source, subject) -> None:
    bought = await buy(way, way.gateway.token(subject), source)
    reached = len(way.backend.lines)
    client = await way.enter(None, f"/chat/a?ticket={bought}", source=source)
    assert heard(way, "x-doorward-subject") == [subject]
    assert await client.echoes()
    again = await way.try_enter(None, f"/chat/a?ticket={bought}", source=source)
    await refused(way, reached + 1, again, 403)
    (event,) = await way.gateway.audited(reason="ticket_spent", address=source)
    assert bought not in str(event)
    client.leave()


async def test_of_many_who_bring_one_ticket_at_once_one_comes_in(way, source, subject) -> None:
    path = f"/chat/a?ticket={await buy(way, way.gateway.token(subject), source)}"
    came = await asyncio.gather(*(way.try_enter(None, path, source=source) for _ in range(6)))
    guests = [client for client in came if isinstance(client, Guest)]
    assert len(guests) == 1
    assert {client.status for client in came if isinstance(client, Refused)} == {403}
    guests[0].leave()


async def buy(way: Way, token: str, source: str) -> str:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", way.port, ssl=way.trust, server_hostname=NAME, local_addr=(source, 0)
    )
    writer.write(
        f"POST /auth/ticket HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n"
        "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}".encode()
    )
    async with asyncio.timeout(WITHIN):
        answer = await reader.read()
    writer.transport.abort()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 201 " in head, answer
    ticket: str = json.loads(body[body.index(b"{") : body.rindex(b"}") + 1])["ticket"]
    return ticket


FORGED = [
    (f"{before}{spelling}", "admin")
    for name in (*IDENTITY, "connection", "assertion")
    for before, spelling in (("X-Doorward-", name.title()), ("x-doorward-", name))
]


async def test_px_18_a_clients_own_identity_headers_reach_nobody(way, source, subject) -> None:
    client = await way.enter(way.gateway.token(subject), source=source, headers=FORGED)
    for name in (*IDENTITY, "connection", "assertion"):
        assert "admin" not in " ".join(heard(way, f"x-doorward-{name}")), name
        assert len(heard(way, f"x-doorward-{name}")) <= 1, name
    assert heard(way, "x-doorward-subject") == [subject]
    # what there is nothing to say of is empty or not there, and no placeholder (ECOSYSTEM, trap 3)
    for name in ("roles", "permissions", "tenant", "session", "connection", "assertion"):
        assert heard(way, f"x-doorward-{name}") in ([], [""]), name
    client.leave()


@pytest.mark.parametrize("spelling", ["X_Doorward_Subject", "X-Doorward_Subject", "x_doorward-subject"])
async def test_px_18_nor_in_another_spelling(way, source, subject, spelling) -> None:
    """A backend that turns headers into environment variables reads them all as one."""
    token, reached = way.gateway.token(subject), len(way.backend.lines)
    client = await way.try_enter(token, source=source, headers=[(spelling, "admin")])
    if isinstance(client, Refused):
        await refused(way, reached, client, 400)
    else:
        assert heard(way, "x-doorward-subject") == [subject]
        client.leave()


@pytest.mark.parametrize(
    "lines",
    [
        [("X-Original-URI", "/chat/a"), ("X-Forwarded-Uri", "/chat/a")],
        [("X-Original-URI", "/chat/a")],
        [("X-Forwarded-Uri", "/chat/a")],
        [("X-Original-Method", "GET"), ("X-Forwarded-Method", "GET")],
        [("X-Original-URL", "/chat/a"), ("X-Rewrite-URL", "/chat/a")],
    ],
)
async def test_px_10_a_client_does_not_say_what_it_asks_for(way, source, subject, lines) -> None:
    token, reached = way.gateway.token(subject), len(way.backend.lines)
    client = await way.try_enter(token, "/members", source=source, headers=lines)
    await refused(way, reached, client, 403)


async def test_px_05_and_06_a_client_does_not_say_where_it_is(way, source, another, subject) -> None:
    """Its own address is charged, whatever it writes, until it is refused at the rate; and nobody else's."""
    lines = [
        ("X-Forwarded-For", another),
        ("X-Real-IP", another),
        ("Forwarded", f"for={another};proto=https"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "evil.test"),
    ]
    for number in range(12):
        client = await way.try_enter(None, source=source, headers=[*lines, ("X-Client-IP", f"10.0.0.{number}")])
        assert isinstance(client, Refused)
        assert client.status == 401
    late = await way.try_enter(way.gateway.token(subject), source=source, headers=lines)
    assert isinstance(late, Refused)
    assert late.status == 403
    assert await way.gateway.audited(count=12, kind="handshake", reason="credential_missing", address=source)
    (event,) = await way.gateway.audited(reason="address_refusals", address=source)
    assert (event["status"], event["ending"]) == (403, "rate_limited")
    client = await way.enter(way.gateway.token(subject), source=another)
    assert way.gateway.events(address=another, outcome="refused") == []
    client.leave()


async def test_px_10_another_host_is_refused(way, source, subject) -> None:
    token, reached = way.gateway.token(subject), len(way.backend.lines)
    head = (
        "GET /chat/a HTTP/1.1\r\nHost: evil.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"X-Forwarded-Host: {NAME}\r\nAuthorization: Bearer {token}\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    answer = await way.raw(head.encode(), source=source)
    assert b" 101 " not in answer
    assert len(way.backend.lines) == reached


@pytest.mark.parametrize(("upgrade", "version"), [("", "13"), ("h2c", "13"), ("websocket", "8"), ("websocket", "1337")])
async def test_px_02_and_04_what_is_no_handshake_does_not_pass(way, source, subject, upgrade, version) -> None:
    token, reached = way.gateway.token(subject), len(way.backend.lines)
    lines = f"Upgrade: {upgrade}\r\nConnection: Upgrade\r\n" if upgrade else ""
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" if upgrade else ""
    head = (
        f"GET /chat/a HTTP/1.1\r\nHost: {NAME}\r\n{lines}{key}Sec-WebSocket-Version: {version}\r\n"
        f"Authorization: Bearer {token}\r\n\r\n"
    )
    answer = await way.raw(head.encode(), source=source)
    assert b" 101 " not in answer
    assert len(way.backend.lines) == reached


async def test_doorwards_own_endpoint_is_not_for_the_world(way, source, subject) -> None:
    token, reached = way.gateway.token(subject), len(way.backend.lines)
    for path in ("/auth/verify", "/auth/verify/chat/a", "/doorward-verify", "/auth/renew", "/healthz"):
        head = (
            f"GET {path} HTTP/1.1\r\nHost: {NAME}\r\nX-Original-URI: /chat/a\r\nAuthorization: Bearer {token}\r\n\r\n"
        )
        answer = await way.raw(head.encode(), source=source)
        assert b" 200 " not in answer.split(b"\r\n")[0], path
        assert b"x-doorward-" not in answer.lower()
    assert len(way.backend.lines) == reached


async def test_a_revoked_subject_gets_no_further_socket_and_keeps_the_one_it_has(way, source, subject) -> None:
    """The first is what forward auth can do; the second is what it can't (docs/explain/forward-auth.md)."""
    token = way.gateway.token(subject)
    client = await way.enter(token, source=source)
    code, printed = await way.gateway.cli("revoke", "--subject", subject)
    assert code == 0, printed
    assert "closed 0 connections" in printed
    late = await way.try_enter(token, source=source)
    assert isinstance(late, Refused)
    assert late.status == 403
    assert await client.echoes()
    client.leave()


async def test_the_socket_outlives_its_token(way, source, subject) -> None:
    """Nobody stays on duty on a socket that is not ours: said in docs/explain/forward-auth.md."""
    token = way.gateway.token(subject, life=1.9)
    client = await way.enter(token, source=source)
    await way.gateway.until(lambda: _is_over(way, token, source))
    assert await client.echoes()
    client.leave()


async def _is_over(way: Way, token: str, source: str) -> bool:
    late = await way.try_enter(token, source=source)
    if isinstance(late, Guest):
        late.leave()
    return isinstance(late, Refused)


@pytest.mark.parametrize("kind", sorted(FILES))
async def test_without_doorward_nobody_comes_in(ways, kind, tmp_path, certificate, source, subject) -> None:
    """Nobody listens there; then somebody who hangs up, who speaks no HTTP, who says 500, or 302."""
    usual = ways["nginx"]
    token, reached = usual.gateway.token(subject), len(usual.backend.lines)
    answers = [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 500 no\r\ncontent-length: 0\r\n\r\n", b"HTTP/1.1 302 no\r\n\r\n"]
    port, said = free_port(), iter(answers)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(next(said, b""))
        writer.close()

    async with way_through(kind, tmp_path, certificate, usual.gateway, usual.backend, doorward=port) as way:
        alone = await way.try_enter(token, source=source)
        assert isinstance(alone, Refused)
        assert alone.status == {"nginx": 500, "caddy": 502, "envoy": 403}[kind]
        server = await asyncio.start_server(answer, "127.0.0.1", port)
        for _ in answers:
            assert isinstance(await way.try_enter(token, source=source), Refused)
        server.close()
        await server.wait_closed()
    assert len(usual.backend.lines) == reached
