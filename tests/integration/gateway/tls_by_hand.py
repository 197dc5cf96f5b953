"""TLS over a raw client, record by record, so that what stands before it goes into the same segment."""

import contextlib
import ssl

from tests.integration.gateway.wires import Client


class ByHand:
    def __init__(self, peer: Client, context: ssl.SSLContext) -> None:
        self._peer = peer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="gw.example")
        self._got = b""

    def hello(self) -> bytes:
        """The first flight, which is not sent."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self._tls.do_handshake()
        return self._outgoing.read()

    async def handshake(self, *, first: bytes = b"", last: bytes = b"") -> None:
        """`first` stands before TLS, in its first segment; `last` within it, in the segment of the last flight."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._peer.send(first + self._outgoing.read())
                first = b""
                self._incoming.write(await self._peer.reader.read(65536))
            else:
                self.send(last)
                return

    def send(self, data: bytes) -> None:
        if data:
            self._tls.write(data)
        self._peer.send(self._outgoing.read())

    async def until(self, end: bytes) -> bytes:
        while end not in self._got:
            try:
                self._got += self._tls.read(65536)
            except ssl.SSLWantReadError:
                self._incoming.write(await self._peer.reader.read(65536))
        return self._got
