"""Prices, pushed to whoever may read them. The app never listens: asking, renewing and ending is Doorward's work."""

import asyncio
import itertools
from contextlib import suppress

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from doorward import Doorward, connection_of


async def prices(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(f"prices for {connection_of(socket).subject}")
    with suppress(WebSocketDisconnect):  # what sending raises once the connection is over, whoever ended it
        for tea in itertools.cycle((4.2, 4.5, 4.3)):
            await socket.send_json({"tea": tea})
            await asyncio.sleep(1)


async def home(request: Request) -> PlainTextResponse:
    return PlainTextResponse("prices at /prices")


# The same grammar as doorward.toml; file names start at the folder that the server is started in. A file is what the
# commands read (`doorward revoke …`): with rules in code, give them one that names the same store and key.
RULES = {
    "origins": {"allow": ["http://localhost:5173"], "without_origin": "allow"},
    "roles": {"trader": ["prices:read"]},
    "routes": [{"path": "/prices", "permission": "prices:read", "lease": {"renew_every": "5m"}}],
}

app = Doorward(Starlette(routes=[Route("/", home), WebSocketRoute("/prices", prices)]), config=RULES)
