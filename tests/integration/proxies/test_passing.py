"""What either end says reaches the other as it was said: closes, statuses, subprotocols, messages, fragments."""

import asyncio
import hashlib
import json

import pytest

from tests.integration.proxies.recipes import FOREIGN, NAME
from tests.integration.proxies.world import Guest
from tests.integration.running import OTHER_ISSUER, WITHIN, Refused

pytestmark = pytest.mark.asyncio(loop_scope="session")


# ---- closes ----------------------------------------------------------------------------------------------------------


async def test_a_lease_that_ends_says_4001(ways, source, subject) -> None:
    clients = await asyncio.gather(*(way.enter(subject, source=source, life=4.0) for way in ways.values()))
    ends = await asyncio.gather(*(client.closed() for client in clients))
    assert ends == [(4001, "doorward:expired")] * len(ways)


async def test_a_revocation_says_4002(way, source, subject) -> None:
    token = way.gateway.token(subject)
    client = await way.try_enter(token, source=source)
    assert isinstance(client, Guest)
    code, printed = await way.gateway.cli("revoke", "--subject", subject)
    assert code == 0, printed
    assert await client.closed() == (4002, "doorward:revoked")
    refused = await way.try_enter(token, source=source)
    assert isinstance(refused, Refused)
    assert (refused.status, refused.reason) == (403, "refused")


async def test_an_operators_close_says_4403(way, source, subject) -> None:
    client, ready = await _with_controls(way, source, subject)
    code, printed = await way.gateway.cli("connections", "close", ready["connection"])
    assert code == 0, printed
    assert await client.closed() == (4403, "doorward:closed_by_operator")


async def _with_controls(way, source, subject):
    client = await way.enter(subject, source=source, protocols=("doorward.v1",))
    return client, await client.hear("ready")


async def test_a_message_that_is_too_big_says_1009(way, source, subject) -> None:
    client = await way.enter(subject, source=source)
    await client.send(b"x" * 70_000)
    assert await client.closed() == (1009, "doorward:message_too_big")


async def test_another_identity_says_4401(way, source, subject) -> None:
    client, _ = await _with_controls(way, source, subject)
    await client.auth(way.gateway.token(subject, issuer=OTHER_ISSUER))
    code, reason = await client.closed()
    assert (code, reason) == (4401, "doorward:refused")


@pytest.mark.parametrize("code", [1000, 3000, 4999])
async def test_a_backends_own_close_passes(way, source, subject, code) -> None:
    client = await way.enter(subject, f"/close/{code}", source=source)
    assert await client.closed() == (code, "its own words")


@pytest.mark.parametrize("code", [1000, 1001, 4123])
async def test_a_clients_own_close_passes(way, source, subject, code) -> None:
    client = await way.enter(subject, source=source)
    assert await client.echoes()
    await client.socket.close(code, "I go: ünïcode")
    async with asyncio.timeout(WITHIN):
        assert await way.backend.farewell(subject) == (code, "I go: ünïcode")


async def test_a_client_that_vanishes_is_gone(way, source, subject) -> None:
    client = await way.enter(subject, source=source)
    assert await client.echoes()
    client.leave()
    async with asyncio.timeout(WITHIN):
        code, _ = await way.backend.farewell(subject)
    assert code in {1001, 1005, 1006}
    await way.gateway.audited(kind="close", subject=subject)


# ---- refusals --------------------------------------------------------------------------------------------------------


async def test_refusals_keep_their_status(way, source, another) -> None:
    """Not one is made a 502 of, nor a page of the proxy's own."""
    gateway = way.gateway
    good = gateway.token("ann")
    refusals = {
        401: await way.try_enter(None, source=source),
        403: await way.try_enter(good + "x", source=source),
        400: await way.try_enter(good, "/chat?token=leaked", source=another),
        404: await way.try_enter(good, "/nowhere/at/all", source=another),
        421: await way.try_enter(good, source=source, host=FOREIGN),
    }
    for status, refused in refusals.items():
        assert isinstance(refused, Refused), status
        assert refused.status == status
        headers = {name.lower(): value for name, value in refused.headers.items()}
        assert headers["content-type"] == "application/problem+json"
        assert headers["strict-transport-security"] == "max-age=31536000"
        assert headers["cache-control"] == "no-store"
        assert refused.reason != ""
        if status == 401:
            assert headers["www-authenticate"] == 'Bearer realm="doorward"'
    for _ in range(6):
        refused = await way.try_enter("bad", source=source)
    assert isinstance(refused, Refused)
    assert (refused.status, refused.reason) == (429, "rate_limited")
    assert int({name.lower(): value for name, value in refused.headers.items()}["retry-after"]) >= 1


async def test_a_plain_request_learns_that_it_should_upgrade(way, source) -> None:
    spoken = await way.raw(f"GET /chat HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode(), source=source)
    said = await spoken.rest(WITHIN)
    await spoken.close()
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.split(b" ")[1] == b"426", said
    assert b"sec-websocket-version: 13" in head.lower()
    assert json.loads(body[body.find(b"{") : body.rfind(b"}") + 1])["reason"] == "malformed"


async def test_our_own_endpoints_are_reached(way, source, subject) -> None:
    """A ticket is bought by plain HTTP, and spent by a socket, through the same proxy."""
    body = b"{}"
    spoken = await way.raw(
        f"POST /auth/ticket HTTP/1.1\r\nHost: {NAME}\r\nAuthorization: Bearer {way.gateway.token(subject)}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nOrigin: https://app.test\r\n"
        f"Connection: close\r\n\r\n".encode()
        + body,
        source=source,
    )
    said = await spoken.rest(WITHIN)
    await spoken.close()
    assert said.split(b" ")[1] == b"201", said
    body = said.partition(b"\r\n\r\n")[2]
    ticket = json.loads(body[body.find(b"{") : body.rfind(b"}") + 1])["ticket"]
    client = await way.try_enter(None, source=source, protocols=("doorward.plain", f"doorward.ticket.{ticket}"))
    assert isinstance(client, Guest)
    assert client.socket.subprotocol == "doorward.plain"
    assert await client.echoes()
    client.leave()


# ---- messages --------------------------------------------------------------------------------------------------------


async def test_subprotocols_are_chosen_by_the_backend(way, source, subject) -> None:
    token = way.gateway.token(subject)
    for offers, chosen in (
        (("app.v1", "app.v2"), "app.v2"),
        (("app.v2", "doorward.v1"), "app.v2"),
        (("app.v1", "doorward.plain"), "doorward.plain"),
        (("app.v1",), None),
    ):
        client = await way.try_enter(token, source=source, protocols=offers)
        assert isinstance(client, Guest)
        assert client.socket.subprotocol == chosen
        client.leave()


async def test_messages_arrive_byte_by_byte_as_they_were_sent(way, source, subject) -> None:
    client = await way.enter(subject, source=source)
    for size in (0, 1, 125, 126, 4096, 16384, 60_000, 65_536):
        message = b"".join(hashlib.sha256(b"%d.%d" % (size, at)).digest() for at in range(size // 32 + 1))[:size]
        await client.send(message)
        assert await client.next() == message
    await client.send("grüße ☃" * 5000)
    assert await client.next() == "grüße ☃" * 5000
    client.leave()


async def test_fragments_stay_fragments(way, source, subject) -> None:
    """Each with its own bytes: a backend that streams gets a stream."""
    client = await way.enter(subject, "/fragments", source=source)
    parts = [b"a" * size for size in (1, 125, 126, 1000, 20_000, 30_000)]
    for _ in range(3):
        await client.socket.send(part for part in parts)
        async with asyncio.timeout(WITHIN):
            assert [part async for part in client.socket.recv_streaming(decode=False) if part] == parts
    client.leave()


async def test_pings_are_answered_end_to_end(way, source, subject) -> None:
    client = await way.enter(subject, source=source)
    async with asyncio.timeout(WITHIN):
        await (await client.socket.ping(b"are you there"))
    client.leave()


async def test_many_talk_at_once(way, another, subject) -> None:
    """Each hears its own."""
    clients = [await way.enter(f"{subject}-{number}", source=another) for number in range(4)]

    async def talk(client: Guest, name: int) -> None:
        for at in range(50):
            assert await client.echoes(f"{name}:{at}" * 40)

    async with asyncio.timeout(WITHIN):
        await asyncio.gather(*(talk(client, name) for name, client in enumerate(clients)))
    for client in clients:
        client.leave()
