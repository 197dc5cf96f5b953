"""The app under test, written for FastAPI."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import PlainTextResponse

from tests.integration.frameworks.apps.common import CLOSES, TICK, behind_doorward, choice, note, seen


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, str]]:
    note("started")
    yield {"greeting": "hello"}
    note("stopped")


fast = FastAPI(lifespan=lifespan)


@fast.api_route("/hello", methods=["GET", "POST"], response_class=PlainTextResponse)
async def hello(request: Request) -> str:
    return f"{request.state.greeting} by {request.method}: {(await request.body()).decode()}"


@fast.websocket("/chat/{room}")
async def chat(socket: WebSocket, room: str) -> None:
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
        note(f"disconnected {room} {end.code}")


@fast.websocket("/bytes")
async def bytes_back(socket: WebSocket) -> None:
    await socket.accept()
    async for message in socket.iter_bytes():
        await socket.send_bytes(message)


@fast.websocket("/reject")
async def reject(socket: WebSocket) -> None:
    await socket.close(*CLOSES)


@fast.websocket("/push")
async def push(socket: WebSocket) -> None:
    """Never listens."""
    await socket.accept()
    try:
        while True:
            await socket.send_text("tick")
            await asyncio.sleep(TICK)
    except WebSocketDisconnect:
        note("push ended")


app = behind_doorward(fast)
