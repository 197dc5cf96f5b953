"""The app under test, written for Litestar."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar, Request, WebSocket, route, websocket
from litestar.enums import MediaType
from litestar.exceptions import WebSocketDisconnect
from litestar.handlers import HTTPRouteHandler

from tests.integration.frameworks.apps.common import CLOSES, TICK, behind_doorward, choice, note, seen


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    app.state.greeting = "hello"
    note("started")
    yield
    note("stopped")


@route("/hello", http_method=["GET", "POST"], media_type=MediaType.TEXT, status_code=200)
async def hello(request: Request) -> str:
    return f"{request.app.state.greeting} by {request.method}: {(await request.body()).decode()}"


@websocket("/chat/{room:str}")
async def chat(socket: WebSocket, room: str) -> None:
    await socket.accept(subprotocols=choice(socket.scope["subprotocols"]))
    await socket.send_text(seen(socket.scope))
    try:
        while True:
            match await socket.receive_text():
                case "close":
                    await socket.close(*CLOSES)
                    return
                case "return":
                    return
                case "raise":
                    raise RuntimeError("the app's own fault")
                case text:
                    await socket.send_text(text)
    except WebSocketDisconnect as end:
        note(f"disconnected {room} {end.code}")


@websocket("/bytes")
async def bytes_back(socket: WebSocket) -> None:
    await socket.accept()
    while True:
        await socket.send_bytes(await socket.receive_bytes())


@websocket("/reject")
async def reject(socket: WebSocket) -> None:
    await socket.close(*CLOSES)


@websocket("/push")
async def push(socket: WebSocket) -> None:
    """Never listens."""
    await socket.accept()
    try:
        while True:
            await socket.send_text("tick")
            await asyncio.sleep(TICK)
    finally:
        note("push ended")


HANDLERS: list[HTTPRouteHandler] = [hello]
app = behind_doorward(Litestar([*HANDLERS, chat, bytes_back, reject, push], lifespan=[lifespan], openapi_config=None))
