"""The app under test, written for Quart."""

import asyncio
from typing import Any

from quart import Quart, request, websocket

from tests.integration.frameworks.apps.common import CLOSES, TICK, behind_doorward, choice, note, seen

quart = Quart(__name__)


@quart.before_serving
async def started() -> None:
    quart.config["GREETING"] = "hello"
    note("started")


@quart.after_serving
async def stopped() -> None:
    note("stopped")


@quart.route("/hello", methods=["GET", "POST"])
async def hello() -> tuple[str, dict[str, str]]:
    body: Any = await request.get_data(as_text=True)
    return f"{quart.config['GREETING']} by {request.method}: {body}", {"Content-Type": "text/plain"}


@quart.websocket("/chat/<room>")
async def chat(room: str) -> None:
    await websocket.accept(subprotocol=choice(websocket.requested_subprotocols))
    await websocket.send(seen(websocket.scope))
    try:
        while True:
            match await websocket.receive():
                case "close":
                    await websocket.close(*CLOSES)
                    return
                case "return":
                    return
                case "raise":
                    raise RuntimeError("the app's own fault")
                case text:
                    await websocket.send(text)
    except asyncio.CancelledError:
        note(f"disconnected {room} ?")
        raise


@quart.websocket("/bytes")
async def bytes_back() -> None:
    while True:
        await websocket.send(await websocket.receive())


@quart.websocket("/reject")
async def reject() -> None:
    await websocket.close(*CLOSES)


@quart.websocket("/push")
async def push() -> None:
    """Never listens."""
    try:
        while True:
            await websocket.send("tick")
            await asyncio.sleep(TICK)
    finally:
        note("push ended")


app = behind_doorward(quart)
