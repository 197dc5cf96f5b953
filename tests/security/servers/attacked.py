"""The app that is attacked behind the middleware: it says who reached it, by WebSocket or by plain HTTP."""

import os
from typing import Any

from doorward import Doorward, connection_of


async def bare(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        for word in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{word}.complete"})
    elif scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]})
        await send({"type": "http.response.body", "body": b"plain http"})
    else:
        await receive()
        await send({"type": "websocket.accept"})
        shown = [name for name, value in scope["headers"] if b"admin" in value]
        await send({"type": "websocket.send", "text": f"{connection_of(scope).subject} {shown}"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message.get("text") or ""})


app = Doorward(bare, config=os.environ["APP_CONFIG"])
