"""The app under test, written for Starlette."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from tests.integration.frameworks.apps.common import CLOSES, TICK, behind_doorward, choice, note, seen


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[dict[str, str]]:
    note("started")
    yield {"greeting": "hello"}
    note("stopped")


async def hello(request: Request) -> Response:
    return PlainTextResponse(f"{request.state.greeting} by {request.method}: {(await request.body()).decode()}")


async def chat(socket: WebSocket) -> None:
    await socket.accept(subprotocol=choice(socket.scope["subprotocols"]))
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
        note(f"disconnected {socket.path_params['room']} {end.code}")


async def bytes_back(socket: WebSocket) -> None:
    await socket.accept()
    async for message in socket.iter_bytes():
        await socket.send_bytes(message)


async def reject(socket: WebSocket) -> None:
    await socket.close(*CLOSES)


async def push(socket: WebSocket) -> None:
    """Never listens."""
    await socket.accept()
    try:
        while True:
            await socket.send_text("tick")
            await asyncio.sleep(TICK)
    except WebSocketDisconnect:
        note("push ended")


app = behind_doorward(
    Starlette(
        lifespan=lifespan,
        routes=[
            Route("/hello", hello, methods=["GET", "POST"]),
            WebSocketRoute("/chat/{room}", chat),
            WebSocketRoute("/bytes", bytes_back),
            WebSocketRoute("/reject", reject),
            WebSocketRoute("/push", push),
        ],
    )
)
