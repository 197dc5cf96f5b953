"""An echo that is right in all 517 cases, as a server and as a client: AutobahnPython, of the suite's own authors.

It has no limits, and compresses as it is asked to: what fails in a run through something fails by what is in between.

    reference server                            prints its port
    reference client URL LAST AT_ONCE [TOKEN]   plays Autobahn's server at that URL, then has it report
"""

import asyncio
import sys
from collections.abc import Sequence

from autobahn.asyncio.websocket import (
    WebSocketClientFactory,
    WebSocketClientProtocol,
    WebSocketServerFactory,
    WebSocketServerProtocol,
)
from autobahn.websocket.compress import (
    PerMessageDeflateOffer,
    PerMessageDeflateOfferAccept,
    PerMessageDeflateResponse,
    PerMessageDeflateResponseAccept,
)

from tests.integration.autobahn.playing import play_all

UNLIMITED = {"failByDrop": False, "maxMessagePayloadSize": 0, "maxFramePayloadSize": 0}


class EchoServer(WebSocketServerProtocol):
    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: N802, N803
        self.sendMessage(payload, isBinary)


class EchoClient(WebSocketClientProtocol):
    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: N802, N803
        self.sendMessage(payload, isBinary)


def accept_offer(offers: Sequence[object]) -> PerMessageDeflateOfferAccept | None:
    wanted = [offer for offer in offers if isinstance(offer, PerMessageDeflateOffer)]
    return PerMessageDeflateOfferAccept(wanted[0]) if wanted else None


def accept_response(response: object) -> PerMessageDeflateResponseAccept | None:
    return PerMessageDeflateResponseAccept(response) if isinstance(response, PerMessageDeflateResponse) else None


async def serve() -> None:
    factory = WebSocketServerFactory()
    factory.protocol = EchoServer
    factory.setProtocolOptions(perMessageCompressionAccept=accept_offer, **UNLIMITED)
    server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def play(url: str, token: str) -> None:
    """One connection, until it is over."""
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()

    class Once(EchoClient):
        def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:  # noqa: N802, N803
            over.set_result(None)

    factory = WebSocketClientFactory(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    factory.protocol = Once
    factory.setProtocolOptions(
        perMessageCompressionOffers=[PerMessageDeflateOffer()], perMessageCompressionAccept=accept_response, **UNLIMITED
    )
    await loop.create_connection(factory, factory.host, factory.port)
    await over


def main(what: str, url: str = "", last: str = "0", at_once: str = "1", token: str = "") -> None:
    asyncio.run(serve() if what == "server" else play_all(play, url, int(last), int(at_once), token))


if __name__ == "__main__":
    main(*sys.argv[1:])
