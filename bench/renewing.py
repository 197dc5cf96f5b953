"""A connection that renews over its socket, as a client with control messages does, and waits for each answer."""

import asyncio
from collections.abc import Sequence
from typing import Final

from bench.load import Opening, Socket, in_parallel, masked
from bench.processes import BenchError

PROTOCOL: Final = "doorward.v1"
_READY: Final = b'{"type":"doorward.ready",'
_ANSWER_WITHIN: Final = 10.0


def payload_of(frame: bytes) -> bytes:
    """What a whole, unmasked frame carries (RFC 6455 section 5.2)."""
    return frame[{126: 4, 127: 10}.get(frame[1], 2) :]


class Renewer(Socket):
    """Offers control messages, and takes what the server says on them. One question at a time."""

    def __init__(self, wanted: Opening) -> None:
        super().__init__(wanted)
        self._heard: asyncio.Queue[bytes] = asyncio.Queue()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._heard.put_nowait(b"the connection ended")

    def _message(self, frame: bytes) -> None:
        self._heard.put_nowait(payload_of(frame))

    async def admitted(self) -> None:
        """The first doorward.ready. Raises BenchError for anything else, TimeoutError."""
        async with asyncio.timeout(_ANSWER_WITHIN):
            said = await self._heard.get()
        if not said.startswith(_READY):
            raise BenchError(f"a renewal was answered with {said[:120].decode(errors='replace')}")

    async def renew(self, token: str) -> None:
        """Show another token, and wait for doorward.ready. Raises as `admitted`."""
        said = b'{"type":"doorward.auth","token":"%s"}' % token.encode()
        self._transport.write(masked(0x81, said, mask=b"\x0a\x0b\x0c\x0d"))
        await self.admitted()


async def renew_all(sockets: Sequence[Renewer], tokens: Sequence[Sequence[str]]) -> None:
    """Each socket shows its tokens one after the other, all sockets at once. Raises the first fault."""

    async def one(socket: Renewer, own: Sequence[str]) -> None:
        for token in own:
            await socket.renew(token)

    jobs = (one(socket, own) for socket, own in zip(sockets, tokens, strict=True))
    await in_parallel(jobs, at_once=len(sockets))
