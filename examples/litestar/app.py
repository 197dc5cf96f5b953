"""A shared notebook: everybody who is let in reads, and whoever has `notes:write` writes."""

from litestar import Litestar, WebSocket, get, websocket
from litestar.di import Provide
from litestar.exceptions import WebSocketDisconnect

from doorward import Connection, Doorward, connection_of

notes: list[str] = []


async def provide_who(socket: WebSocket) -> Connection:
    return connection_of(socket.scope)


@get("/notes", sync_to_thread=False)
def count() -> dict[str, int]:
    return {"notes": len(notes)}


@websocket("/notes", dependencies={"who": Provide(provide_who)})
async def edit(socket: WebSocket, who: Connection) -> None:
    await socket.accept()
    await socket.send_text(f"{len(notes)} notes, {who.subject}")
    try:
        while True:
            text = await socket.receive_text()
            if who.permits("notes:write"):
                notes.append(text)
                await socket.send_text(f"written: {text}")
            else:
                await socket.send_text("you may only read")
    except WebSocketDisconnect:
        pass


app = Doorward(Litestar([count, edit]), config="doorward.toml")
