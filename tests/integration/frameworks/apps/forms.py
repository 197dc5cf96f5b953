"""Other places for Doorward than around everything: below a Mount, in Starlette's list, by FastAPI's method, in Quart.

All in one process, each with a Doorward of its own over one store; none of them is told of the server's lifespan.
"""

import os
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from quart import Quart
from quart import websocket as quart_socket
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from doorward import Connection, Doorward, connection_of

CONFIG = os.environ["APP_CONFIG"]


async def name(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(connection_of(socket).subject)
    await socket.receive()


async def hello(request: Any) -> PlainTextResponse:
    return PlainTextResponse("hello")


ROUTES = [Route("/hello", hello), WebSocketRoute("/chat", name)]
mounted = Doorward(Starlette(routes=ROUTES), config=CONFIG)
listed = Starlette(routes=ROUTES, middleware=[Middleware(Doorward, config=CONFIG)])

added = FastAPI(routes=ROUTES[:1])
added.add_middleware(Doorward, config=CONFIG)


@added.websocket("/chat")
async def depends(socket: WebSocket, connection: Annotated[Connection, Depends(connection_of)]) -> None:
    await socket.accept()
    await socket.send_text(connection.subject)
    await socket.receive()


inside: Any = Quart(__name__)


@inside.get("/hello")
async def inside_hello() -> str:
    return "hello"


@inside.websocket("/chat")
async def inside_name() -> None:
    await quart_socket.send(connection_of(quart_socket.scope).subject)
    await quart_socket.receive()


inside.asgi_app = Doorward(inside.asgi_app, config=CONFIG)

app = Starlette(
    routes=[
        Route("/hello", hello),
        Mount("/mounted", mounted),
        Mount("/listed", listed),
        Mount("/added", added),
        Mount("/inside", inside),
    ]
)
