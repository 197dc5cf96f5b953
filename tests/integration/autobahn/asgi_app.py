"""An ASGI app that echoes; `plain` as it is, `guarded` behind the middleware, whose configuration APP_CONFIG names."""

import os
from typing import Any

from doorward import Doorward


async def plain(scope: Any, receive: Any, send: Any) -> None:
    match scope["type"]:
        case "lifespan":
            await _live(receive, send)
        case "http":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})
        case _:
            await _echo(receive, send)


async def _live(receive: Any, send: Any) -> None:
    while True:
        what = (await receive())["type"]
        await send({"type": f"{what}.complete"})
        if what == "lifespan.shutdown":
            return


async def _echo(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        said = "text" if message.get("text") is not None else "bytes"
        await send({"type": "websocket.send", said: message[said]})


def guarded() -> Doorward:
    return Doorward(plain, config=os.environ["APP_CONFIG"])
