"""The same as `reference`, by the websockets library: for cases 12 and 13, where it is right too, and twice as quick.

quick server                             prints its port
quick client URL LAST AT_ONCE [TOKEN]    plays Autobahn's server at that URL, then has it report
"""

import sys
from contextlib import suppress

import uvloop
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as listen
from websockets.exceptions import ConnectionClosed, InvalidMessage
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from tests.integration.autobahn.playing import play_all


async def echo(socket: ServerConnection) -> None:
    async for message in socket:
        await socket.send(message)


async def serve() -> None:
    async with listen(echo, "127.0.0.1", 0, max_size=None, compression="deflate", ping_interval=None) as server:
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        await server.serve_forever()


# It offers whatever a server may want of it: three of Autobahn's seven sets of parameters need that.
DEFLATE = ClientPerMessageDeflateFactory(client_no_context_takeover=True, client_max_window_bits=True)


async def play(url: str, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with suppress(ConnectionClosed, InvalidMessage):
        async with connect(
            url,
            additional_headers=headers,
            extensions=[DEFLATE],
            compression=None,
            max_size=None,
            ping_interval=None,
            proxy=None,
            open_timeout=60,
        ) as socket:
            async for message in socket:
                await socket.send(message)


def main(what: str, url: str = "", last: str = "0", at_once: str = "1", token: str = "") -> None:
    uvloop.run(serve() if what == "server" else play_all(play, url, int(last), int(at_once), token))


if __name__ == "__main__":
    main(*sys.argv[1:])
