"""TLS over a raw client, record by record, so that what stands before it goes into the same segment."""

import ssl

from tests.integration.gateway.wires import Client


class ByHand:
    def __init__(self, peer: Client, context: ssl.SSLContext) -> None:
        self._peer = peer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="gw.example")
        self._got = b""

    async def handshake(self, *, first: bytes) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._peer.send(first + self._outgoing.read())
                first = b""
                self._incoming.write(await self._peer.reader.read(65536))
            else:
                self._peer.send(self._outgoing.read())
                return

    def send(self, data: bytes) -> None:
        self._tls.write(data)
        self._peer.send(self._outgoing.read())

    async def until(self, end: bytes) -> bytes:
        while end not in self._got:
            try:
                self._got += self._tls.read(65536)
            except ssl.SSLWantReadError:
                self._incoming.write(await self._peer.reader.read(65536))
        return self._got
