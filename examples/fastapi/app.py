"""A chat: whoever Doorward lets in talks to the room, under the name in their token. Who may clear it, clears it."""

from collections import defaultdict
from contextlib import suppress
from typing import Annotated

from fastapi import Depends, FastAPI, WebSocket, WebSocketDisconnect

from doorward import Connection, Doorward, connection_of

api = FastAPI()
rooms: dict[str, set[WebSocket]] = defaultdict(set)


@api.get("/rooms")
def list_rooms() -> dict[str, int]:
    """Plain HTTP is none of Doorward's business: guard it as you always have."""
    return {room: len(sockets) for room, sockets in rooms.items()}


@api.websocket("/chat/{room}")
async def chat(socket: WebSocket, room: str, who: Annotated[Connection, Depends(connection_of)]) -> None:
    await socket.accept()
    rooms[room].add(socket)
    try:
        await socket.send_text(f"hello, {who.subject}")
        async for text in socket.iter_text():
            if text == "/clear" and who.permits("chat:clear"):
                for other in rooms[room] - {socket}:
                    await other.close(4000, "the room was cleared")
            else:
                await say(room, f"{who.subject}: {text}")
    finally:
        rooms[room].discard(socket)


async def say(room: str, text: str) -> None:
    for socket in list(rooms[room]):
        with suppress(WebSocketDisconnect):  # somebody has just left, or was just thrown out
            await socket.send_text(text)


app = Doorward(api, config="doorward.toml")
