"""LG-04: a secret in every place that a client can put one, and it is in nothing that we write.

The places are PRODUCT section 6's and more: what is misplaced, misspelt, doubled or malformed is a secret all the same.
"""

import base64
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest

from doorward.service.live import Live
from doorward.values.decision import Deny
from tests.security.logging_world import ORIGIN, Watched, watched
from tests.unit.service.world import token

JSON = ("content-type", "application/json")
SIGNATURE = b"canary-signature-canary-signature"
TOKEN = token(signature=SIGNATURE, canary="canary-claim")
GOOD_TOKEN = token(canary="canary-claim")
TICKET = "canaryTicket-canaryTicket_canaryTicket-0123"
PASSWORD = "canary-password-Xy7"
COOKIE = "canary-cookie-Xy7"


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


BASIC = base64.b64encode(f"alice:{PASSWORD}".encode()).decode()
# whole, in parts, and as they travel
NEEDLES = (
    *TOKEN.split("."),
    GOOD_TOKEN.split(".")[1],
    TICKET,
    quote(TICKET, safe=""),
    PASSWORD,
    COOKIE,
    BASIC,
    encoded(TOKEN),
    encoded(TOKEN)[:40],
    "canary",
)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Watched]:
    async with watched(tmp_path) as one:
        yield one


async def silent(world: Watched) -> None:
    outputs = await world.outputs()
    assert outputs.holding(*NEEDLES) == []
    assert len(outputs.audit.splitlines()) > 1, "the handshake itself must be there"
    assert len(outputs.stored) == len(outputs.audit.splitlines()) - 1


LINES = {
    "bearer": [f"Authorization: Bearer {TOKEN}"],
    "bearer, malformed": [f"Authorization: Bearer {TOKEN} {TICKET}"],
    "bearer, twice in one": [f"Authorization: Bearer {TOKEN},{TOKEN}"],
    "authorization twice": [f"Authorization: Bearer {TOKEN}", f"Authorization: Bearer {TOKEN}"],
    "no scheme": [f"Authorization: {TOKEN}"],
    "another scheme": [f"Authorization: Canary {PASSWORD}"],
    "basic": [f"Authorization: Basic {BASIC}"],
    "cookie": [f"Cookie: __Host-doorward={COOKIE}"],
    "any cookie": [f"Cookie: a=b; session={COOKIE}; token={TOKEN}"],
    "cookie twice": [f"Cookie: __Host-doorward={COOKIE}; __Host-doorward={COOKIE}"],
    "token offer": [f"Sec-WebSocket-Protocol: chat, doorward.token.{encoded(TOKEN)}"],
    "ticket offer": [f"Sec-WebSocket-Protocol: doorward.plain, doorward.ticket.{TICKET}"],
    "csrf offer": [f"Sec-WebSocket-Protocol: doorward.csrf.{TICKET}"],
    "unknown offer": [f"Sec-WebSocket-Protocol: doorward.canary.{TICKET}"],
    "naked offer": [f"Sec-WebSocket-Protocol: {TICKET}"],
    "malformed offer": [f"Sec-WebSocket-Protocol: doorward.token.{encoded(TOKEN)}, ,"],
    "two kinds": [f"Authorization: Bearer {TOKEN}", f"Sec-WebSocket-Protocol: doorward.ticket.{TICKET}"],
    "user agent with a token": [f"User-Agent: app/1.0 ({TOKEN})"],
    "user agent with a name": [
        f"User-Agent: curl/8 password={PASSWORD} ticket: {TICKET} Authorization: Bearer {TOKEN}"
    ],
    "user agent with a cookie": [f"User-Agent: x cookie: a={COOKIE}; b={COOKIE}"],
    "user agent with an offer": [f"User-Agent: doorward.ticket.{TICKET} doorward.token.{encoded(TOKEN)}"],
    "referer": [f"Referer: https://app.example.com/?token={TOKEN}"],
    "dpop": [f"DPoP: {TOKEN}"],
    "strange headers": [
        f"X-Api-Key: {TICKET}",
        f"X-Doorward-Subject: {PASSWORD}",
        f"Proxy-Authorization: Basic {BASIC}",
    ],
    "forwarded": [f"Forwarded: for={TICKET}"],
    "forwarded for": [f"X-Forwarded-For: {TICKET}"],
    "a header that is none": [f"X Canary {TOKEN}: x"],
    "a control character": [f"X-Any: {TOKEN}\x01"],
    "a key that is none": [f"Sec-WebSocket-Key: {TOKEN}"],
    "too long": [f"Cookie: {COOKIE * 900}"],
}


@pytest.mark.parametrize("place", LINES)
async def test_in_a_header(world: Watched, place: str) -> None:
    assert isinstance(await world.knock(*LINES[place]), Deny)
    await silent(world)


QUERIES = [
    f"token={TOKEN}",
    f"access_token={TOKEN}",
    f"ticket={TICKET}",
    f"%74icket={TICKET}",
    f"ticket={quote(TICKET)}&x=1",
    f"a=b&TICKET={TICKET}",
    f"csrf={TICKET}",
    f"password={PASSWORD}",
    f"anything={TOKEN}",
    f"{TOKEN}",
    f"{TICKET}",
    f"token={TOKEN}&token={TOKEN}",
    f"a=1;ticket={TICKET}",
    f"ticket={TICKET}%00",
]


@pytest.mark.parametrize("query", QUERIES)
async def test_in_the_query(world: Watched, query: str) -> None:
    assert isinstance(await world.knock(target=f"/chat/a?{query}"), Deny)
    await silent(world)


@pytest.mark.parametrize(
    "path",
    [f"/chat/{TOKEN}", f"/chat/token={TOKEN}", f"/chat/a;ticket={TICKET}", f"/{TOKEN}/x", f"/chat/%65{TOKEN[1:]}"],
)
async def test_in_the_path_what_looks_like_a_token(world: Watched, path: str) -> None:
    assert isinstance(await world.knock(target=path), Deny)
    await silent(world)


@pytest.mark.parametrize(
    "origin", [f"https://{TOKEN}", f"https://alice:{TOKEN}@app.example.com", f"{ORIGIN}/?token={TICKET}", TOKEN]
)
async def test_in_the_origin(world: Watched, origin: str) -> None:
    assert isinstance(await world.knock(origin=origin), Deny)
    await silent(world)


async def test_a_good_token_and_a_good_ticket_are_secrets_too(world: Watched) -> None:
    assert isinstance(await world.knock(f"Authorization: Bearer {GOOD_TOKEN}"), Live)
    sold = await world.ask("POST", "/auth/ticket", JSON, ("authorization", f"Bearer {GOOD_TOKEN}"), body=b"{}")
    ticket = sold.json["ticket"]
    assert isinstance(await world.knock(f"Sec-WebSocket-Protocol: doorward.v1, doorward.ticket.{ticket}"), Live)
    assert isinstance(await world.knock(target=f"/chat/a?ticket={ticket}"), Deny)
    outputs = await world.outputs()
    assert outputs.holding(*NEEDLES, ticket, encoded(ticket)) == []
    assert sum('"outcome":"allowed"' in line for line in outputs.stored) == 3
    assert any('"reason":"ticket_spent"' in line for line in outputs.stored)


ENDPOINTS = {
    "bearer": ("/auth/ticket", [JSON, ("authorization", f"Bearer {TOKEN}")], b"{}"),
    "basic": ("/auth/ticket", [JSON, ("authorization", f"Basic {BASIC}")], b"{}"),
    "query": (f"/auth/ticket?token={TOKEN}", [JSON], b"{}"),
    "query, spelt": (f"/auth/renew?%61ccess_token={TOKEN}", [JSON], b"{}"),
    "cookie": ("/auth/ticket", [JSON, ("cookie", f"__Host-doorward={COOKIE}")], b"{}"),
    "csrf": ("/auth/ticket", [JSON, ("x-csrf-token", TICKET)], b"{}"),
    "body": ("/auth/ticket", [JSON], json.dumps({"token": TOKEN, "password": PASSWORD}).encode()),
    "body, no JSON": ("/auth/ticket", [JSON, ("authorization", f"Bearer {TOKEN}")], f"token={TOKEN}".encode()),
    "body's path": (
        "/auth/ticket",
        [JSON, ("authorization", f"Bearer {TOKEN}")],
        json.dumps({"path": TICKET}).encode(),
    ),
    "renewal": ("/auth/renew", [JSON], json.dumps({"connection": "c" * 22, "token": TOKEN}).encode()),
    "renewal by ticket": ("/auth/renew", [JSON], json.dumps({"connection": "c" * 22, "ticket": TICKET}).encode()),
    "renewal of a secret": ("/auth/renew", [JSON], json.dumps({"connection": TICKET, "token": TOKEN}).encode()),
    "form": ("/auth/ticket", [("content-type", "application/x-www-form-urlencoded")], f"password={PASSWORD}".encode()),
    "content type": ("/auth/ticket", [("content-type", TOKEN)], b"{}"),
    "origin": ("/auth/ticket", [JSON, ("origin", f"https://{TOKEN}")], b"{}"),
    "path": (f"/auth/{TOKEN}", [JSON], b"{}"),
}


@pytest.mark.parametrize("place", ENDPOINTS)
async def test_at_our_own_endpoints(world: Watched, place: str) -> None:
    target, headers, body = ENDPOINTS[place]
    answer = await world.ask("POST", target, *headers, body=body)
    assert answer.status >= 400
    assert b"canary" not in answer.body
    assert "canary" not in str(answer.headers)
    await silent(world)


async def test_over_the_socket(world: Watched) -> None:
    live = await world.knock(f"Authorization: Bearer {GOOD_TOKEN}", "Sec-WebSocket-Protocol: doorward.v1")
    assert isinstance(live, Live)
    for members in (
        {"token": TOKEN},
        {"ticket": TICKET},
        {"username": "alice", "password": PASSWORD},
        {"token": TOKEN, "id": TOKEN},
        {"secret": PASSWORD},
    ):
        live.control(json.dumps({"type": "doorward.auth", **members}, separators=(",", ":")).encode())
        await world.world.watch.errands.finish(1.0)
    await silent(world)


async def test_in_an_exception_of_ours(world: Watched) -> None:
    world.world.verifier.error = KeyError(f"token={TOKEN} password={PASSWORD}")
    assert isinstance(await world.knock(f"Authorization: Bearer {TOKEN}"), Deny)
    answer = await world.ask("POST", "/auth/ticket", JSON, ("authorization", f"Bearer {TOKEN}"), body=b"{}")
    assert answer.status == 500
    outputs = await world.outputs()
    assert outputs.holding(*NEEDLES) == []
    assert sum('"kind":"fault"' in line for line in outputs.stored) == 2
    assert len([note for note in outputs.notes if note.startswith("fault in ")]) == 2


async def test_in_a_library_s_log_line(world: Watched) -> None:
    logging.getLogger("uvicorn.error").info('%s - "WebSocket %s" 403', "127.0.0.1:1", f"/chat/a?%74icket={TICKET}")
    logging.getLogger("uvicorn.access").info("GET /chat?token=%s HTTP/1.1", TOKEN)
    logging.getLogger("httpx2").debug("headers %s", {"Authorization": f"Bearer {TOKEN}", "Cookie": f"a={COOKIE}"})
    outputs = await world.outputs()
    assert outputs.holding(*NEEDLES) == []
    assert len(outputs.console.splitlines()) == 3


async def test_the_needles_would_be_found(tmp_path: Path) -> None:
    """A test of this test: what is written down unmasked is seen."""
    async with watched(tmp_path) as world:
        await world.knock(target=f"/chat/{TICKET}")
        assert "canary in audit" in (await world.outputs()).holding("canary")
