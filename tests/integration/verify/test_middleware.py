"""The middleware answers a proxy too, also where its server has made a socket of the question (ECOSYSTEM, trap 2)."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from doorward import Doorward
from tests.doors.raw import Heard, exchange
from tests.integration.running import AUDIENCE, ISSUER, free_port, mint
from tests.integration.verify.recipes import NAME

UPGRADE = ("Upgrade: websocket", "Connection: Upgrade")
SECRET = secrets.token_urlsafe(32)


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    """An application that starts and ends, and serves nobody."""
    assert scope["type"] == "lifespan", "a question about another's handshake came through to the application"
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


@asynccontextmanager
async def serving(folder: Path, *, ws: Any, proxy_headers: bool) -> AsyncIterator[int]:
    (folder / "doorward.key").write_text(secrets.token_urlsafe(48) + "\n")
    (folder / "doorward.key").chmod(0o600)
    issuer = {"issuer": ISSUER, "audience": AUDIENCE, "algorithms": ["HS256"], "secret": SECRET}
    door = Doorward(
        nothing,
        {
            "server": {"public_url": f"https://{NAME}", "trusted_proxies": ["127.0.0.1/32"]},
            "origins": {"allow": ["https://app.test"], "without_origin": "allow"},
            "store": {"url": f"sqlite:///{folder / 'doorward.db'}"},
            "audit": {"file": str(folder / "audit.jsonl")},
            "tokens": {"key_file": str(folder / "doorward.key")},
            "issuers": [issuer],
            "routes": [{"path": "/chat/{room}"}],
        },
    )
    port = free_port()
    config = uvicorn.Config(
        door, host="127.0.0.1", port=port, ws=ws, proxy_headers=proxy_headers, log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(15):
            while not server.started:  # noqa: ASYNC110 - uvicorn tells nobody
                await asyncio.sleep(0.02)
        yield port
    finally:
        server.should_exit = True
        await task


async def ask(port: int, *lines: str, source: str = "127.0.0.1") -> Heard:
    """As Caddy asks."""
    told = [
        "GET /auth/verify HTTP/1.1",
        f"Host: {NAME}",
        "X-Forwarded-Uri: /chat/a",
        "X-Forwarded-Method: GET",
        "X-Forwarded-For: 203.0.113.9",
        "X-Forwarded-Proto: https",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        *lines,
    ]
    return await exchange(port, ("\r\n".join(told) + "\r\n\r\n").encode(), source=source)


@pytest.mark.parametrize("ws", ["websockets-sansio", "wsproto"])
async def test_it_answers_whatever_upgrade_says(tmp_path, ws) -> None:
    async with serving(tmp_path, ws=ws, proxy_headers=False) as port:
        good = f"Authorization: Bearer {mint(SECRET, subject='alice')}"
        for upgrade in ((), UPGRADE):
            told = await ask(port, good, *upgrade)
            assert (told.status, told.rest) == (200, b"")
            assert (told.headers["x-doorward-subject"], told.headers["x-doorward-tenant"]) == ("alice", "")
            assert (await ask(port, *upgrade)).status == 401
            assert (await ask(port, "Authorization: Bearer bad", *upgrade)).status == 403
            assert (await ask(port, good, *upgrade, source="127.0.0.9")).status == 403
            assert (await ask(port, good, "X-Original-URI: /chat/b", *upgrade)).status == 403


async def test_a_server_that_believes_a_header_is_not_believed(tmp_path) -> None:
    """uvicorn's own default: it puts the claimed client in the place of the peer, and nobody knows who asks."""
    async with serving(tmp_path, ws="websockets-sansio", proxy_headers=True) as port:
        for upgrade in ((), UPGRADE):
            told = await ask(port, f"Authorization: Bearer {mint(SECRET, subject='alice')}", *upgrade)
            assert (told.status, told.problem["reason"]) == (403, "forbidden")
