"""The smallest ASGI app: it echoes WebSocket messages. What is in front of it is what is measured.

`app` is bare; `guarded` is the same behind Doorward's middleware, with the file that DOORWARD_CONFIG names. `GET /seen`
answers what the upgrades carried, as the bench's backend does.
"""

import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

SEEN = {"upgrades": 0, "principal": 0, "authorization": 0}


async def app(scope: Message, receive: Receive, send: Send) -> None:
    """Echo, or tell."""
    if scope["type"] == "websocket":
        await _echo(scope, receive, send)
    elif scope["type"] == "http":
        body = json.dumps(SEEN).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def _echo(scope: Message, receive: Receive, send: Send) -> None:
    await receive()
    SEEN["upgrades"] += 1
    SEEN["principal"] += bool(getattr(scope.get("state", {}).get("doorward"), "subject", None))
    SEEN["authorization"] += any(name == b"authorization" for name, _ in scope["headers"])
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        raw = message.get("bytes")
        if raw is not None:
            await send({"type": "websocket.send", "bytes": raw})
        else:
            await send({"type": "websocket.send", "text": message["text"]})


if "DOORWARD_CONFIG" in os.environ:
    from doorward import Doorward

    guarded = Doorward(app, config=os.environ["DOORWARD_CONFIG"])
