"""The backend's own handshake: what we send it, and that nothing but a strict 101 opens a connection."""

import asyncio
import json
import ssl

import pytest

from doorward.adapters.gateway.parts import BackendPlace
from doorward.adapters.gateway.tls import client_context, server_context
from doorward.values.decision import Reason
from doorward.values.rules import Compression
from tests.integration.gateway.certificates import Authority
from tests.integration.gateway.standing_in import ACCEPT, Limits, gateway, route, until
from tests.integration.gateway.test_front_heads import parse
from tests.integration.gateway.wires import (
    WITHIN,
    Client,
    backend,
    client,
    echo,
    good_answer,
    head,
    silent,
    text,
    then,
    upgraded,
)

LINES = [
    b"HTTP/1.1 101 Switching Protocols",
    b"Upgrade: websocket",
    b"Connection: Upgrade",
    b"Sec-WebSocket-Accept: " + ACCEPT.encode(),
]


def answer(*lines: bytes) -> bytes:
    return b"\r\n".join(lines) + b"\r\n\r\n"


GOOD = answer(*LINES)

NONSENSE = {
    "garbage": b"\x00\x01\x02\x03\r\n\r\n",
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "HTTP/2 settings": bytes.fromhex("000000040000000000"),
    "HTTP/1.0": GOOD.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "HTTP/2": GOOD.replace(b"HTTP/1.1", b"HTTP/2.0"),
    "bare LF": GOOD.replace(b"\r\n", b"\n") + b"\r\n\r\n",
    "a lone CR": answer(*LINES, b"X: a\rb"),
    "obs-fold": answer(*LINES, b"X: a", b" b"),
    "no colon": answer(*LINES, b"nonsense"),
    "a NUL": answer(*LINES, b"X: \x00"),
    "no status": answer(b"HTTP/1.1 ", *LINES[1:]),
    "status 1000": answer(b"HTTP/1.1 1000", *LINES[1:]),
    "too large": answer(*LINES, b"X: " + b"y" * 17000),
    "endless": b"HTTP/1.1 101 " + b"x" * 20000,
    "101 headers": answer(*LINES, *[b"X: y"] * 101),
    "no upgrade": answer(LINES[0], *LINES[2:]),
    "h2c": GOOD.replace(b"Upgrade: websocket", b"Upgrade: h2c"),
    "two upgrades": answer(*LINES, b"Upgrade: websocket"),
    "connection close": GOOD.replace(b"Connection: Upgrade", b"Connection: close"),
    "no accept": answer(*LINES[:3]),
    "another accept": GOOD.replace(ACCEPT.encode(), b"AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
    "accept in lower case": GOOD.replace(ACCEPT.encode(), ACCEPT.lower().encode()),
    "two accepts": answer(*LINES, LINES[3]),
    "a subprotocol nobody offered": answer(*LINES, b"Sec-WebSocket-Protocol: admin"),
    "our own subprotocol": answer(*LINES, b"Sec-WebSocket-Protocol: doorward.v1"),
    "two subprotocols": answer(*LINES, b"Sec-WebSocket-Protocol: chat.v1", b"Sec-WebSocket-Protocol: chat.v2"),
    "an extension nobody offered": answer(*LINES, b"Sec-WebSocket-Extensions: permessage-deflate"),
    "nothing, then the end": b"",
    "half a head": GOOD[:40],
}


def saying(said: bytes, *, stay: bool = False):
    async def serve(other: Client, request: bytes) -> None:
        other.send(said)
        await other.writer.drain()
        if stay:
            await asyncio.Event().wait()
        other.writer.write_eof()
        await other.rest()

    return serve


async def asked(gate, *extra: str) -> tuple[int, str]:
    async with client(gate.port) as peer:
        peer.send(head("/ws", *extra))
        status, _, body = parse(await peer.rest())
        return status, json.loads(body)["reason"]


@pytest.mark.parametrize("said", NONSENSE.values(), ids=NONSENSE)
async def test_nonsense_is_502(said):
    async with backend(saying(said)) as port, gateway(port) as gate:
        found = await asked(gate, "Sec-WebSocket-Protocol: chat.v1, chat.v2, doorward.v1")
        assert found == (502, "backend_unavailable")
        assert [deny.reason for deny in gate.door.refusals] == [Reason.BACKEND_NONSENSE]


@pytest.mark.parametrize("status", [100, 103, 200, 204, 301, 401, 403, 404, 426, 500, 503])
async def test_any_other_status_is_502_and_none_of_it_reaches_the_peer(status):
    body = b"Set-Cookie: canary"
    said = f"HTTP/1.1 {status} Whatever\r\nLocation: http://evil/canary\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    async with backend(saying(said + body)) as port, gateway(port) as gate, client(gate.port) as peer:
        peer.send(head())
        found = await peer.rest()
        assert found.startswith(b"HTTP/1.1 502 ")
        assert b"canary" not in found
        assert gate.door.refusals[0].reason is Reason.BACKEND_REFUSED
        assert gate.door.refusals[0].note == f"ws://127.0.0.1:{port}: status {status}"


async def test_a_backend_that_is_down_is_502():
    async with backend(silent) as port:
        pass
    async with gateway(port) as gate:
        assert await asked(gate) == (502, "backend_unavailable")
        assert gate.door.refusals[0].reason is Reason.BACKEND_UNREACHABLE
        assert gate.door.refusals[0].note == f"ws://127.0.0.1:{port}: connection refused"


@pytest.mark.parametrize("said", [b"", GOOD[:60]], ids=["silence", "half a head"])
async def test_a_backend_that_does_not_answer_is_504(said):
    async with (
        backend(saying(said, stay=True)) as port,
        gateway(place=BackendPlace("127.0.0.1", port, "ws://x", answer_within=0.2)) as gate,
    ):
        assert await asked(gate) == (504, "backend_timeout")
        assert gate.door.refusals[0].reason is Reason.BACKEND_TIMEOUT


async def test_a_backend_whose_tls_handshake_hangs_is_504(trusting):
    async def hang(reader, writer):
        await reader.read(-1)
        writer.transport.abort()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    place = BackendPlace("127.0.0.1", port, "wss://x", tls=trusting, server_name="gw.example", connect_within=0.3)
    async with gateway(place=place) as gate:
        assert await asked(gate) == (504, "backend_timeout")
    server.close()
    await server.wait_closed()


async def test_what_the_backend_gets():
    requests = []

    async def serve(other, request):
        requests.append(request.decode())
        other.send(good_answer(request, protocol="chat.v2"))
        await other.rest()

    async with backend(serve) as port:
        place = BackendPlace(
            "127.0.0.1",
            port,
            "ws://backend.example",
            assertion=lambda principal, connection, audience: f"{principal.identity.subject}.{connection}.{audience}",
        )
        async with gateway(place=place) as gate, client(gate.port) as peer:
            extra = (
                "Sec-WebSocket-Protocol: chat.v1, doorward.token.abc, chat.v2, doorward.v1",
                "Authorization: Bearer abc",
                "X_Doorward_Subject: mallory",
                "X-Doorward-Assertion: forged",
                "X-Forwarded-For: 6.6.6.6",
                "X-Custom: kept",
                "Origin: https://app.example",
            )
            peer.send(head("/ws?q=1&token=abc", *extra))
            top = await peer.head()
            assert b"Sec-WebSocket-Protocol: chat.v2\r\n" in top
            assert f"Sec-WebSocket-Accept: {ACCEPT}\r\n".encode() in top
    request = requests[0]
    assert request.startswith("GET /ws?q=1 HTTP/1.1\r\nHost: gw.example\r\n")
    for line in (
        "Sec-WebSocket-Protocol: chat.v1, chat.v2",
        "X-Doorward-Subject: alice",
        "X-Doorward-Assertion: alice.c0.ws://backend.example",
        "X-Forwarded-For: 127.0.0.1",
        "x-custom: kept",
        "origin: https://app.example",
    ):
        assert f"\r\n{line}\r\n" in request
    for word in ("abc", "mallory", "forged", "6.6.6.6", "extensions"):
        assert word not in request.lower()


async def test_deflate_passes_where_the_route_says_so_and_is_refused_where_it_lies():
    deflate = route(compression=Compression.PASS, limits=Limits(messages=None))
    line = "permessage-deflate; server_no_context_takeover; client_max_window_bits=12"

    def serve(extension):
        async def answering(other, request):
            assert b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits" in request
            other.send(good_answer(request, deflate=extension))
            await echo(other, request)

        return answering

    offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x-unknown"
    async with backend(serve(line)) as port, gateway(port, route_of=deflate) as gate, client(gate.port) as peer:
        peer.send(head("/ws", offer))
        assert f"Sec-WebSocket-Extensions: {line}\r\n".encode() in await peer.head()
        compressed = bytearray(text("not really deflated"))
        compressed[0] |= 0x40
        peer.send(bytes(compressed))
        assert (await peer.frame())[0] == 0xC1
    for bad in ("permessage-deflate; client_max_window_bits=7", "x-unknown", "permessage-deflate, permessage-deflate"):
        async with backend(serve(bad)) as port, gateway(port, route_of=deflate) as gate:
            assert await asked(gate, offer) == (502, "backend_unavailable")


async def test_what_was_opened_is_closed_when_the_admission_comes_to_nothing():
    ended = asyncio.get_running_loop().create_future()

    async def serve(other, request):
        other.send(good_answer(request))
        try:
            ended.set_result(await other.rest())
        except ConnectionError as error:
            ended.set_result(repr(error).encode())

    async def too_late():
        raise RuntimeError("the registration failed")

    async with backend(serve) as port, gateway(port, after_backend=too_late) as gate:
        assert await asked(gate) == (500, "internal")
        async with asyncio.timeout(WITHIN):
            await ended
        gate.parts.bugs.clear()


async def test_a_backend_that_is_gone_before_the_relay_begins_is_1014():
    gone = asyncio.get_running_loop().create_future()

    async def wait_a_moment():
        await until(gone.done)

    async def serve(other, request):
        other.send(good_answer(request))
        await other.writer.drain()
        gone.set_result(None)

    async with backend(serve) as port, gateway(port, after_backend=wait_a_moment) as gate, client(gate.port) as peer:
        peer.send(head())
        await peer.head()
        assert await peer.close_frame() == (1014, "doorward:backend_unavailable")


class TestTls:
    async def test_own_authority_client_certificate_and_server_name(self, tmp_path):
        authority = Authority(tmp_path)
        server, ours = authority.issue("chat.internal"), authority.issue("gateway", stem="gw")
        context = server_context(certificate=server.certificate, key=server.key, minimum="1.3")
        context.load_verify_locations(authority.file)
        context.verify_mode = ssl.CERT_REQUIRED
        shown = []

        async def serve(other, request):
            shown.append(other.writer.get_extra_info("peercert")["subject"])
            other.send(good_answer(request))
            await echo(other, request)

        async with backend(serve, tls=context) as port:
            tls = client_context(authorities=authority.file, certificate=ours.certificate, key=ours.key)
            place = BackendPlace("127.0.0.1", port, "wss://chat.internal", tls=tls, server_name="chat.internal")
            async with gateway(place=place) as gate, upgraded(gate.port) as peer:
                peer.send(text("over TLS"))
                assert await peer.frame() == (0x81, b"over TLS")
        assert shown == [((("commonName", "gateway"),),)]

    async def test_what_does_not_verify_is_502(self, tmp_path):
        authority, stranger = Authority(tmp_path), Authority(tmp_path, "stranger")
        server = authority.issue("chat.internal")
        context = server_context(certificate=server.certificate, key=server.key, minimum="1.3")
        trusted = client_context(authorities=authority.file)
        async with backend(then(echo), tls=context) as port:
            for tls, name in (
                (client_context(authorities=stranger.file), "chat.internal"),
                (trusted, "other.internal"),
                (trusted, "127.0.0.1"),
            ):
                place = BackendPlace("127.0.0.1", port, "wss://chat.internal", tls=tls, server_name=name)
                async with gateway(place=place) as gate:
                    assert await asked(gate) == (502, "backend_unavailable")
                    assert gate.door.refusals[0].reason is Reason.BACKEND_UNREACHABLE
                    assert gate.door.refusals[0].note.startswith("wss://chat.internal: its certificate: ")

    async def test_plain_where_tls_is_wanted_is_502(self, trusting):
        async def plain(reader, writer):
            writer.write(GOOD)
            await reader.read(-1)
            writer.transport.abort()

        server = await asyncio.start_server(plain, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        place = BackendPlace("127.0.0.1", port, "wss://x", tls=trusting, server_name="gw.example")
        async with gateway(place=place) as gate:
            assert (await asked(gate))[0] == 502
        server.close()
        await server.wait_closed()
