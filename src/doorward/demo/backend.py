"""A chat that knows nothing of authentication: whoever reaches it is in the room, named as X-Doorward-Subject says.

That is why only the gateway may reach it. Rooms are paths, `/rooms/NAME`; every message is a JSON object with a
`type`: "say" from a client; "joined", "said", "left" and "sorry" from here.
"""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote

from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from doorward.demo import lifeline

ROOMS: Final = "/rooms/"
LONGEST: Final = 2000
NAME_HEADER: Final = "X-Doorward-Subject"
STRANGER: Final = "a stranger"


class Room:
    """Who is here. One person may be here several times, and is named once."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._here: dict[ServerConnection, str] = {}

    def names(self) -> list[str]:
        return sorted(set(self._here.values()))

    def __len__(self) -> int:
        return len(self._here)

    def enter(self, connection: ServerConnection, who: str) -> None:
        self._here[connection] = who
        self.tell("joined", who=who, room=self.name, here=self.names())

    def leave(self, connection: ServerConnection) -> None:
        who = self._here.pop(connection)
        self.tell("left", who=who, room=self.name, here=self.names())

    def tell(self, kind: str, **members: Any) -> None:
        """To all, without waiting for the slow ones."""
        broadcast(self._here, json.dumps({"type": kind, **members}))


class Chat:
    def __init__(self) -> None:
        self._rooms: dict[str, Room] = {}

    async def attend(self, connection: ServerConnection) -> None:
        """One connection, from its handshake to its end."""
        request = connection.request
        if request is None:
            return
        name = unquote(request.path.partition("?")[0].removeprefix(ROOMS))
        room = self._rooms.setdefault(name, Room(name))
        who = unquote(request.headers.get(NAME_HEADER, "")) or STRANGER
        room.enter(connection, who)
        try:
            async for message in connection:
                said = text_of(message)
                if said is None:
                    await connection.send(json.dumps({"type": "sorry", "text": SORRY}))
                else:
                    room.tell("said", who=who, text=said)
        except ConnectionClosed:
            # how a connection ends is nothing to a chat: whoever is gone has left
            return
        finally:
            room.leave(connection)
            if not room:
                self._rooms.pop(name, None)


SORRY: Final = f'only {{"type":"say","text":"…"}} is understood, of at most {LONGEST} characters'


def text_of(message: str | bytes) -> str | None:
    """What was said, or None where it is nothing that this chat understands."""
    try:
        found = json.loads(message)
    except (ValueError, RecursionError):
        return None
    match found:
        case {"type": "say", "text": str(text)} if len(text.strip()) > 0 and len(text) <= LONGEST:
            return text
        case _:
            return None


def answer(connection: ServerConnection, request: Request) -> Response | None:
    """Plain answers: that it is up, and that there is nothing but rooms. None: go on with the handshake."""
    path = request.path.partition("?")[0]
    if path == "/healthz":
        return connection.respond(HTTPStatus.OK, "up\n")
    if not path.startswith(ROOMS) or path == ROOMS:
        return connection.respond(HTTPStatus.NOT_FOUND, "no such room\n")
    return None


async def run(host: str, port: int) -> None:
    """Until SIGTERM or SIGINT. Raises OSError when the port is taken."""
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with serve(Chat().attend, host, port, process_request=answer, max_size=65536, compression=None):
        await stop.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m doorward.demo.backend", description="The demo's chat.")
    parser.add_argument("--host", required=True, help="address to bind")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--lifeline", action="store_true", help="stop when standard input ends")
    chosen = parser.parse_args(arguments)
    if chosen.lifeline:
        lifeline.hold()
    try:
        asyncio.run(run(chosen.host, chosen.port))
    except OSError as error:
        sys.stderr.write(f"the chat can't listen on {chosen.host}:{chosen.port}: {error.strerror}\n")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
