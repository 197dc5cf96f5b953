"""GET /auth/verify byte by byte at a real gateway: who may ask, how, and that every other answer is 401 or 403."""

import asyncio
import json
import sqlite3
from contextlib import closing
from itertools import count

import pytest

from tests.doors.raw import Heard, exchange
from tests.integration.running import running
from tests.integration.verify.recipes import NAME

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROXY = "127.0.0.1"
_CLIENTS = count(1)
SEVEN = {f"x-doorward-{name}" for name in ("issuer", "subject", "roles", "permissions", "tenant", "session", "expires")}


@pytest.fixture
def gateway(ways):
    return ways["nginx"].gateway


def question(
    gateway, *lines: str, request: str = "GET /auth/verify HTTP/1.1", uri: str | None = "/chat/a", token: str = ""
) -> bytes:
    told = [
        request,
        f"Host: {NAME}",
        *([f"X-Original-URI: {uri}"] if uri is not None else []),
        "X-Forwarded-Proto: https",
        f"X-Forwarded-For: 127.3.0.{next(_CLIENTS)}",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        f"Authorization: Bearer {token or gateway.token('carol')}",
        *lines,
    ]
    return ("\r\n".join(told) + "\r\n\r\n").encode("latin-1")


async def ask(gateway, data: bytes, *, source: str = PROXY) -> Heard:
    """One answer, and then the end. Each question is about another client."""
    heard = await exchange(gateway.port, data, source=source)
    assert heard.raw.count(b"HTTP/1.1 ") == 1, heard.raw
    assert "close" in heard.headers["connection"]
    assert heard.headers["cache-control"] == "no-store"
    assert heard.headers.keys().isdisjoint({"server", "location", "set-cookie", "access-control-allow-origin", "allow"})
    return heard


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
@pytest.mark.parametrize("more", [(), ("Connection: close",), ("Upgrade: websocket", "Connection: Upgrade")])
async def test_a_trusted_proxy_is_told_all_seven(gateway, version, more) -> None:
    heard = await ask(gateway, question(gateway, *more, request=f"GET /auth/verify {version}"))
    assert (heard.status, heard.rest, heard.headers["content-length"]) == (200, b"", "0")
    assert {name for name in heard.headers if name.startswith("x-doorward-")} == SEVEN
    assert heard.headers["x-doorward-subject"] == "carol"
    assert heard.headers["x-doorward-tenant"] == ""


async def test_the_rest_of_the_path_says_it_as_well(gateway) -> None:
    asked = question(gateway, request="GET /auth/verify/open/x?y=1 HTTP/1.1", uri=None)
    assert (await ask(gateway, asked)).status == 200
    (event,) = await gateway.audited(kind="verify", path="/open/x")
    assert event["route"] == "/open/{rest*}"


@pytest.mark.parametrize("source", ["127.0.0.9", "127.2.255.254"])
async def test_a_stranger_is_told_nothing_whatever_he_says(gateway, source) -> None:
    for line in ("X-Real-IP: 127.0.0.1", "Forwarded: for=127.0.0.1", "X-Forwarded-For: 127.0.0.1"):
        heard = await ask(gateway, question(gateway, line), source=source)
        assert (heard.status, heard.problem["reason"]) == (403, "forbidden")
        assert SEVEN.isdisjoint(heard.headers)
    events = await gateway.audited(count=3, address=source, reason="forwarder_untrusted")
    assert {event["status"] for event in events} == {403}


async def test_a_plain_stranger_as_well(gateway) -> None:
    head = f"GET /auth/verify/chat/a HTTP/1.1\r\nHost: {NAME}\r\nAuthorization: Bearer {gateway.token('carol')}\r\n\r\n"
    assert (await ask(gateway, head.encode(), source="127.0.0.8")).status == 403


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"])
async def test_another_method_is_the_clients(gateway, method) -> None:
    heard = await ask(gateway, question(gateway, request=f"{method} /auth/verify HTTP/1.1"))
    assert heard.status == 403
    assert heard.problem["reason"] == "malformed" if method != "HEAD" else heard.rest == b""


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"uri": None}, "malformed"),
        ({"uri": "/nowhere"}, "not_found"),
        ({"uri": "/chat/../members"}, "malformed"),
        ({"uri": "/members"}, "forbidden"),
        ({"uri": "/" + "a" * 5000}, "malformed"),
        ({"request": "GET /auth/verify/chat/%2e%2e/members HTTP/1.1", "uri": None}, "malformed"),
        ({"request": "GET /auth/verify//chat/a HTTP/1.1", "uri": None}, "malformed"),
        ({"request": "GET /auth/verify/chat/b HTTP/1.1"}, "malformed"),
        ({"request": "GET  /auth/verify HTTP/1.1"}, "malformed"),
        ({"request": "GET /auth/verify HTTP/2.0"}, "malformed"),
        ({"request": "GET /auth/verify http/1.1"}, "malformed"),
        ({"request": f"GET /auth/verify/{'a' * 9000} HTTP/1.1", "uri": None}, "malformed"),
        ({"token": "not.a.token"}, "refused"),
    ],
)
async def test_whatever_else_is_wrong_is_403_and_named(gateway, asked, reason) -> None:
    heard = await ask(gateway, question(gateway, **asked))
    assert (heard.status, heard.problem["status"], heard.problem["reason"]) == (403, 403, reason)


@pytest.mark.parametrize(
    "lines",
    [
        ("X-A: a\x00b",),
        ("X-A: a\x0bb",),
        ("X A: b",),
        (" folded",),
        ("X-A : b",),
        ("Content-Length: 5",),
        ("Content-Length: +0",),
        ("Content-Length: 0", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked",),
        ("Transfer-Encoding: ,chunked",),
        ("Authorization: Bearer another",),
        (f"Host: {NAME}",),
        ("Upgrade: h2c",),
        ("X-Big: " + "a" * 8200,),
        tuple(f"X-{number}: {'a' * 200}" for number in range(90)),
        tuple(f"X-{number}: a" for number in range(101)),
    ],
    ids=lambda lines: lines[0][:24],
)
async def test_a_head_that_no_proxy_should_pass_on_is_403_as_well(gateway, lines) -> None:
    """A client's own header can make it: of a 400 or 431 nginx would make a 500."""
    heard = await ask(gateway, question(gateway, *lines))
    assert (heard.status, heard.problem["reason"]) == (403, "malformed")


async def test_nothing_shown_is_401(gateway) -> None:
    head = question(gateway).decode().replace("Authorization", "X-Nothing").encode()
    heard = await ask(gateway, head)
    assert (heard.status, heard.problem["reason"], "www-authenticate" in heard.headers) == (
        401,
        "unauthenticated",
        True,
    )


async def test_px_01_nothing_behind_the_question_is_read(gateway) -> None:
    token = gateway.token("mallory")
    again = question(gateway, token=token)
    for first in (question(gateway), question(gateway, token="bad")):
        await ask(gateway, first + again)
    assert gateway.events(subject="mallory") == []


async def test_a_question_in_pieces_is_the_same_question(gateway) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, local_addr=(PROXY, 0))
    for octet in question(gateway):
        writer.write(bytes([octet]))
        await writer.drain()
    async with asyncio.timeout(15):
        assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
    writer.close()
    await writer.wait_closed()


async def test_no_secret_is_written_down(gateway) -> None:
    token = gateway.token("quiet")
    await ask(gateway, question(gateway, uri=f"/chat/a?token={token}", token=token))
    await ask(gateway, question(gateway, request=f"GET /auth/verify/open/a?token={token} HTTP/1.1", uri=None))
    await gateway.audited(count=1, kind="handshake", reason="credential_repeated")
    assert token not in json.dumps(gateway.events())
    assert token not in gateway.printed


async def test_while_the_store_is_away_it_is_403_and_one_record(tmp_path) -> None:
    terms = {"trusted_proxies": ["127.0.0.1/32"], "hosts": [NAME, "127.0.0.1"], "public_url": f"https://{NAME}"}
    async with running(tmp_path, server={**terms, "admission_timeout": "3s"}) as gateway:
        ticket = (await gateway.buy(gateway.token("bob")))["ticket"]
        by_ticket = question(gateway, uri=f"/chat?ticket={ticket}").split(b"Authorization")[0] + b"\r\n"
        with closing(sqlite3.connect(gateway.folder / "doorward.db", isolation_level=None)) as neighbour:
            neighbour.execute("BEGIN EXCLUSIVE")
            away = await ask(gateway, by_ticket)
            assert (away.status, away.problem["reason"]) == (403, "unavailable"), away.raw
            neighbour.execute("ROLLBACK")
        (event,) = await gateway.audited(kind="handshake", credential="ticket")
        assert (event["reason"], event["status"]) == ("admission_timeout", 403)
        assert (await ask(gateway, question(gateway))).status == 200
