"""Our own endpoints on the gateway's port: one exchange by uvicorn's protocol, and the end."""

import asyncio
import logging

import pytest

from tests.integration.gateway.standing_in import gateway
from tests.integration.gateway.test_front_heads import parse
from tests.integration.gateway.wires import client, head

GET = b"GET /healthz HTTP/1.1\r\nHost: gw.example\r\n\r\n"


async def ask(gate, data: bytes, tls=None) -> bytes:
    async with client(gate.port, tls) as peer:
        peer.send(data)
        return await peer.rest()


async def test_one_exchange_and_the_end(either):
    serving, trusting = either
    async with gateway(tls=serving) as gate:
        status, headers, body = parse(await ask(gate, GET, trusting))
        assert (status, body) == (200, b"hello")
        assert headers["connection"] == "close"
        assert "server" not in headers
        assert headers["date"].endswith("GMT")


async def test_a_second_request_is_never_answered():
    """PX-01: pipelined, and later on the same connection."""
    async with gateway() as gate:
        answer = await ask(gate, GET + GET.replace(b"/healthz", b"/echo"))
        assert answer.count(b"HTTP/1.1") == 1
        async with client(gate.port) as peer:
            peer.send(GET)
            await peer.head()
            peer.send(GET)
            assert (await peer.rest()).count(b"HTTP/1.1") == 0


async def test_no_upgrade_slips_by_on_a_kept_alive_connection():
    async with gateway() as gate:
        keep = GET.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n")
        answer = await ask(gate, keep + head())
        assert b"101" not in answer
        assert answer.count(b"HTTP/1.1") == 1
        assert gate.door.seen == []


async def test_our_paths_are_http_whatever_upgrade_says():
    async with gateway() as gate:
        status, _, body = parse(await ask(gate, head("/healthz")))
        assert (status, body) == (200, b"hello")
        assert gate.door.seen == []


async def test_http_1_0_and_head_are_answered():
    async with gateway() as gate:
        assert parse(await ask(gate, b"GET /healthz HTTP/1.0\r\n\r\n"))[0] == 200
        status, headers, body = parse(await ask(gate, GET.replace(b"GET", b"HEAD")))
        assert (status, headers["content-length"], body) == (200, "5", b"")


async def test_a_body_arrives_whole_and_nothing_beyond_it():
    async with gateway() as gate, client(gate.port) as peer:
        body = bytes(range(256)) * 1000
        peer.send(f"POST /echo HTTP/1.1\r\nHost: gw.example\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        for at in range(0, len(body), 50_000):
            peer.send(body[at : at + 50_000])
            await asyncio.sleep(0)
        peer.send(GET)
        status, _, got = parse(await peer.rest())
        assert (status, got == body) == (200, True)


async def test_a_chunked_body_is_read():
    async with gateway() as gate:
        sent = b"POST /echo HTTP/1.1\r\nHost: gw.example\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        assert parse(await ask(gate, sent + GET))[2] == b"hello"


@pytest.mark.parametrize(
    "line",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: gzip, chunked",
        b"Content-Length: 5\r\nContent-Length: 5",
        b"Content-Length: +5",
        b"Content-Length: 05",
        b"Content-Length: 5, 5",
        b"Content-Length:",
    ],
)
async def test_a_body_of_two_minds_is_refused(line):
    async with gateway() as gate:
        sent = b"POST /echo HTTP/1.1\r\nHost: gw.example\r\n" + line + b"\r\n\r\n0\r\n\r\nhello"
        assert parse(await ask(gate, sent))[0] == 400
        assert len(gate.door.refusals) == 1


async def test_http_2_0_is_refused():
    async with gateway() as gate:
        assert parse(await ask(gate, GET.replace(b"HTTP/1.1", b"HTTP/2.0")))[0] == 400


async def test_a_slow_body_ends_at_the_deadline():
    async with gateway(admission_timeout=0.3) as gate, client(gate.port) as peer:
        peer.send(b"POST /echo HTTP/1.1\r\nHost: gw.example\r\nContent-Length: 50\r\n\r\n")

        async def drip() -> None:
            while not peer.reader.at_eof():
                peer.send(b"x")
                await asyncio.sleep(0.05)

        dripping = asyncio.ensure_future(drip())
        assert parse(await peer.rest())[0] == 408
        await dripping
        assert len(gate.door.refusals) == 1


async def test_a_bug_in_an_endpoint_is_500_without_text_and_uvicorn_logs_nothing(caplog):
    """LG: uvicorn would log the path with its query, and the traceback."""
    caplog.set_level(logging.DEBUG)
    async with gateway() as gate:
        asked = GET.replace(b"/healthz", b"/broken?token=canary")
        status, headers, body = parse(await ask(gate, asked))
        assert status == 500
        assert headers["content-type"] == "application/problem+json"
        assert b"secret" not in body
        assert [where for where, _ in gate.parts.bugs] == ["http"]
        gate.parts.bugs.clear()
        parse(await ask(gate, GET.replace(b"/healthz", b"/healthz?token=canary")))
    assert "canary" not in caplog.text
    assert [record for record in caplog.records if record.name.startswith("uvicorn")] == []


async def test_the_application_knows_the_wire_and_the_handshake():
    seen = []

    async def application(scope, receive, send):
        seen.append(scope["state"])
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async with gateway(application=application) as gate:
        await ask(gate, GET.replace(b"/healthz", b"/healthz?a=b"))
    assert str(seen[0]["wire"].address) == "127.0.0.1"
    assert (seen[0]["handshake"].path, seen[0]["handshake"].query) == ("/healthz", "a=b")


async def test_a_client_that_has_said_fin_still_gets_its_answer():
    async with gateway() as gate, client(gate.port) as peer:
        peer.send(GET)
        peer.writer.write_eof()
        assert parse(await peer.rest())[0] == 200
