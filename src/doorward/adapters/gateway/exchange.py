"""One HTTP exchange with our own endpoints, by uvicorn's protocol class, and then the connection is over.

uvicorn sees exactly one request, rebuilt from the head that passed our grammar: no Upgrade, `Connection: close`, and no
byte beyond its declared body. So nothing slips by on a kept-alive connection, and nothing is pipelined.
"""

import asyncio
import logging
import re
from collections.abc import Callable
from email.utils import formatdate
from typing import Any, Final, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from doorward.adapters.gateway.parts import Application, FrontParts, Message
from doorward.adapters.gateway.refusals import refusal
from doorward.values.decision import Deny, Reason, Step
from doorward.values.handshake import Handshake
from doorward.values.peer import Wire

_DROPPED: Final = frozenset(
    {"connection", "upgrade", "keep-alive", "proxy-connection", "te", "trailer", "expect", "http2-settings"}
)
_INTERNAL: Final = Deny(Reason.INTERNAL, Step.HEAD)
_UNREADABLE: Final = Deny(Reason.BODY_MALFORMED, Step.UPGRADE, note="the parser of HTTP")
_LATE: Final = Deny(Reason.HEAD_TIMEOUT, Step.HEAD, note="the exchange")
_LENGTH: Final = re.compile(r"0|[1-9][0-9]{0,14}")
UNBOUNDED: Final = 1 << 62


def silence_uvicorn() -> None:
    """uvicorn writes paths with their query strings, and addresses: ours is the only log (SECURITY LOG-04)."""
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi"):
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = False
        logger.setLevel(logging.CRITICAL + 1)
        logger.disabled = True


def body_size(handshake: Handshake) -> int | Deny:
    """Bytes of body that the request declares; UNBOUNDED where it is chunked. Both, or either twice, is refused."""
    lengths, codings = handshake.all("content-length"), handshake.all("transfer-encoding")
    if handshake.version not in {"HTTP/1.1", "HTTP/1.0"}:
        return Deny(Reason.HTTP_VERSION, Step.UPGRADE)
    if codings:
        if lengths or handshake.version == "HTTP/1.0" or [coding.lower() for coding in codings] != ["chunked"]:
            return Deny(Reason.BODY_PRESENT, Step.UPGRADE, note="Transfer-Encoding")
        return UNBOUNDED
    if not lengths:
        return 0
    length = lengths[0]
    if len(lengths) > 1 or not _LENGTH.fullmatch(length):
        return Deny(Reason.BODY_PRESENT, Step.UPGRADE, note="Content-Length")
    return int(length)


def rebuilt_head(handshake: Handshake) -> bytes:
    """The request as uvicorn gets it."""
    lines = [f"{handshake.method} {handshake.target} {handshake.version}", "connection: close"]
    lines += [f"{name}: {value}" for name, value in handshake.headers if name not in _DROPPED]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class HttpSide:
    """What all exchanges of one listener share: uvicorn's configuration, and the application behind our own guard."""

    def __init__(self, parts: FrontParts) -> None:
        self._parts = parts
        self._application: Application | None = None
        self.state = ServerState()
        self._second = -1
        self.config = Config(
            self._guarded,
            http=HttpToolsProtocol,
            ws="none",
            loop="none",
            interface="asgi3",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            forwarded_allow_ips=[],
        )
        self.config.load()
        silence_uvicorn()

    async def _guarded(self, scope: Message, receive: Any, send: Any) -> None:
        """Our own bug in an endpoint gets 500 without text, and the audit (HOUSE, Errors)."""
        begun = False

        async def noting(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._parts.application(scope, receive, noting)
        except Exception as error:
            self._parts.wrong("http", error)
            if begun:
                raise
            head, _, body = refusal(_INTERNAL).partition(b"\r\n\r\n")
            fields = [line.split(b": ", 1) for line in head.split(b"\r\n")[1:]]
            headers = [(name.lower(), value) for name, value in fields]
            await send({"type": "http.response.start", "status": 500, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    def protocol(self, loop: asyncio.AbstractEventLoop, wire: Wire, handshake: Handshake) -> "OneRequest":
        now = int(self._parts.clock.now())
        if now != self._second:
            self._second = now
            self.state.default_headers = [(b"date", formatdate(now, usegmt=True).encode("ascii"))]
        return OneRequest(self.config, self.state, {"wire": wire, "handshake": handshake}, loop)


class OneRequest(HttpToolsProtocol):
    """uvicorn's protocol class without a word of its own: what it can't read, `refuse` answers and records.

    That is a chunked body that is none, and a method that its parser does not know.
    """

    refuse: Callable[[Deny], None]
    _work: asyncio.Task[None] | None = None

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._work = self.loop.create_task(cycle.run_asgi(app))

    def send_400_response(self, msg: str) -> None:
        self.give_up(_UNREADABLE)

    def give_up(self, deny: Deny) -> bool:
        """Refuse, and stop whoever works on an answer. False where one has begun: there is no second."""
        cycle = self.cycle
        if cycle is not None:
            if cycle.response_started or cycle.disconnected:
                return False
            cycle.disconnected = True
        if self._work is not None:
            self._work.cancel()
        self.refuse(deny)
        return True


class Parting:
    """What uvicorn gets for a transport: as the real one, but its end is gentle.

    uvicorn closes as soon as it has answered. With bytes of the request unread, the kernel would then reset the
    connection, and take the answer away with it.
    """

    def __init__(self, transport: asyncio.Transport, linger: Callable[[], None]) -> None:
        self._linger = linger
        self._closing = False
        self._transport = transport
        self.get_extra_info = transport.get_extra_info
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading

    def write(self, data: bytes) -> None:
        if not self.is_closing():
            self._transport.write(data)

    def is_closing(self) -> bool:
        return self._closing or self._transport.is_closing()

    def close(self) -> None:
        if self.is_closing():
            return
        self._closing = True
        end_gently(self._transport)
        self._linger()


def end_gently(transport: asyncio.Transport) -> None:
    """Say that nothing more comes, and go on reading what nobody wants, so that the other end can read what it got."""
    if transport.get_extra_info("ssl_object") is not None:
        transport.close()  # which waits for the other end's close_notify, and not for long
    else:
        transport.write_eof()
        transport.resume_reading()


class Exchange(asyncio.Protocol):
    """The protocol of a connection that has become HTTP: uvicorn's, behind a count of the body's bytes.

    `refuse` answers in uvicorn's place, and ends the connection.
    """

    def __init__(
        self,
        http: OneRequest,
        *,
        body: int,
        refuse: Callable[[Deny], None],
        linger: Callable[[], None],
        left: Callable[[], None],
    ) -> None:
        self._http = http
        self._missing = body
        self._linger = linger
        self._left = left
        self._refuse = refuse
        self._ended = False
        http.refuse = self._end

    def begin(self, transport: asyncio.Transport, head: bytes, surplus: bytes) -> None:
        self._http.connection_made(cast(asyncio.Transport, Parting(transport, self._linger)))
        self._http.data_received(head)
        self.data_received(surplus)

    def late(self) -> bool:
        """The exchange took too long. False where it can't be refused any more: it is to be cut."""
        return self._http.give_up(_LATE)

    def _end(self, deny: Deny) -> None:
        self._missing = 0
        self._ended = True
        self._refuse(deny)

    def data_received(self, data: bytes) -> None:
        part = b"" if self._http.transport.is_closing() else data[: self._missing]
        self._missing -= len(part)
        if part:
            self._http.data_received(part)

    def eof_received(self) -> bool:
        """Who has sent the request and a FIN may still read the answer."""
        self._http.eof_received()
        transport = self._http.transport
        return not self._ended and transport.get_extra_info("ssl_object") is None and not transport.is_closing()

    def pause_writing(self) -> None:
        self._http.pause_writing()

    def resume_writing(self) -> None:
        self._http.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._http.connection_lost(exc)
        self._left()
