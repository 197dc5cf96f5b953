"""The application behind the middleware: it answers as its path says, and notes what it saw and what passed the server.

Run by a real server in a process of its own; the notes are lines of JSON in the file that DOORS_NOTES names.
"""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from doorward import Doorward

NOTES = Path(os.environ["DOORS_NOTES"])


def note(**said: Any) -> None:
    with NOTES.open("a", encoding="utf-8") as file:
        file.write(json.dumps(said) + "\n")


async def answering(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})
        return
    note(
        entered=scope["path"],
        target=(scope["raw_path"] + b"?" + scope["query_string"]).decode("latin-1"),
        headers=[[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]],
        subprotocols=scope["subprotocols"],
        parameters=dict(scope["state"]["doorward"].parameters),
    )
    await receive()
    protocol = None
    match scope["path"]:
        case "/hanging":
            await asyncio.Event().wait()
        case "/refusing":
            await send({"type": "websocket.close"})
            return
        case "/babbling":
            raise ValueError("babble")
        case "/inventing":
            protocol = "invented.v1"
        case "/selecting":
            protocol = next(iter(scope["subprotocols"]), None)
        case _:
            pass
    await send({"type": "websocket.accept", "subprotocol": protocol})
    while (await receive())["type"] != "websocket.disconnect":
        pass


_app = Doorward(answering, config=os.environ["DOORS_CONFIG"])


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Whatever a server let through is noted before anybody judges it; but not the question whether all is noted."""
    if scope["type"] != "lifespan" and scope["path"] != "/afterwards":
        note(passed=scope["type"])
    await _app(scope, receive, send)
