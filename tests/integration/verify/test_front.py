"""What the front refuses before the door is asked: to a proxy that asks it is 403 too, and to nobody else."""

import asyncio
import json
from typing import Any

import pytest

from doorward.values.decision import Reason
from tests.integration.gateway.standing_in import gateway
from tests.integration.gateway.wires import client

LINES = b"Host: rt.example.com\r\nX-Original-URI: /chat\r\n"


async def answered(gate: Any, *pieces: bytes, eof: bool = False) -> tuple[int, str]:
    """Status and ending of the one answer."""
    async with client(gate.port) as peer:
        for piece in pieces:
            peer.send(piece)
        if eof:
            peer.writer.write_eof()
        answer = await peer.rest(5)
    head, _, body = answer.partition(b"\r\n\r\n")
    problem = json.loads(body)
    status = int(head.split(b" ")[1])
    assert problem["status"] == status
    return status, problem["reason"]


@pytest.mark.parametrize(("path", "status"), [(b"/auth/verify/chat", 403), (b"/chat", 408)])
async def test_a_head_that_does_not_end_in_time(path, status) -> None:
    async with gateway(handshake_timeout=0.2) as gate:
        assert await answered(gate, b"GET " + path + b" HTTP/1.1\r\n" + LINES) == (status, "authentication_timeout")
        assert [deny.reason for deny in gate.door.refusals] == [Reason.HEAD_TIMEOUT]


@pytest.mark.parametrize(("path", "status"), [(b"/auth/verify", 403), (b"/chat", 400)])
async def test_a_head_that_ends_before_its_end(path, status) -> None:
    async with gateway() as gate:
        assert await answered(gate, b"GET " + path + b" HTTP/1.1\r\n" + LINES, eof=True) == (status, "malformed")


@pytest.mark.parametrize(("path", "status"), [(b"/auth/verify", 403), (b"/healthz", 431), (b"/chat", 431)])
async def test_a_head_that_is_too_large(path, status) -> None:
    async with gateway() as gate:
        large = b"GET " + path + b" HTTP/1.1\r\n" + LINES + b"X-Large: a\r\n" * 2000
        assert await answered(gate, large) == (status, "malformed")


async def test_one_that_only_looks_like_it_is_not_it() -> None:
    async with gateway() as gate:
        for line in (b"GET /chat?/auth/verify HTTP/1.1\r\n", b"GET /a /auth/verify HTTP/1.1\r\n"):
            assert await answered(gate, line + LINES + b"X A: b\r\n\r\n") == (400, "malformed")


async def test_an_answer_that_takes_too_long() -> None:
    gone = asyncio.Event()

    async def never(scope: Any, receive: Any, send: Any) -> None:
        await gone.wait()

    async with gateway(application=never, admission_timeout=0.2) as gate:
        question = b"GET /auth/verify HTTP/1.1\r\n" + LINES + b"\r\n"
        assert await answered(gate, question) == (403, "authentication_timeout")
        assert await answered(gate, question.replace(b"/auth/verify", b"/healthz")) == (408, "authentication_timeout")


@pytest.mark.parametrize("line", [b"Content-Length: 5, 5", b"Transfer-Encoding: gzip", b"Content-Length: x"])
async def test_a_body_that_can_not_be_measured(line) -> None:
    async with gateway() as gate:
        question = b"GET /auth/verify HTTP/1.1\r\n" + LINES + line + b"\r\n\r\n"
        assert await answered(gate, question) == (403, "malformed")
        assert (await answered(gate, question.replace(b"/auth/verify", b"/healthz")))[0] == 400
