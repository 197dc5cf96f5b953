"""TLS over a TCP transport that we keep hold of, so that what is queued below TLS is known, and cut with the rest.

uvloop's own TLS transport does not show the one below it. Its protocol class is used as `create_server(ssl=…)` uses it,
only that we make it: with the context of this moment, after the PROXY protocol's header where there is one, and once
its handshake's first bytes have had their turn.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import Protocol

from uvloop.loop import SSLProtocol  # type: ignore[attr-defined]  # not in its stubs

from doorward.adapters.gateway.sockets import is_there

SHUTDOWN_WITHIN = 1.0
"""Seconds for the other end's close_notify; uvloop's default is 30."""


class Awaiting(Protocol):
    """Who waits for the TLS handshake's end: it knows the TCP transport at once, and a failure as well."""

    def accepted(self, transport: asyncio.Transport) -> bool:
        """The TCP transport, before TLS. False: there is no place for it, and it is to be turned away."""

    def turn_away(self) -> None: ...

    def failed(self, error: Exception) -> None:
        """A bug of ours: the connection is to end."""

    def connection_lost(self, exc: Exception | None) -> None: ...


class Secured(SSLProtocol):  # type: ignore[misc]  # not in uvloop's stubs
    """The TLS between a TCP transport and an application's protocol. `awaiting` until its handshake is done."""

    __slots__ = ("awaiting", "tcp")

    awaiting: Awaiting | None
    tcp: asyncio.Transport

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.tcp = transport
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        awaiting, self.awaiting = self.awaiting, None
        super().connection_lost(exc)
        if awaiting is not None:
            awaiting.connection_lost(exc)

    @staticmethod
    def data_received(data: bytes) -> None:
        """Never called: uvloop reads into TLS's own buffer. But its transport keeps the one of the protocol before,
        and so that protocol, where the new one has none."""

    def feed(self, data: bytes) -> None:
        """Bytes that were read from the socket before TLS took it over."""
        while data:
            buffer = self.get_buffer(len(data))
            part = data[: len(buffer)]
            buffer[: len(part)] = part
            self.buffer_updated(len(part))
            data = data[len(part) :]


class Securing(asyncio.Protocol):
    """A TCP transport's protocol until its TLS handshake is done: what comes waits for a turn, each time.

    The other end chooses how often keys are agreed upon and signed for, and that is the dearest thing that anybody can
    ask for unproven. TLS has a server's state only from its first turn on: silence costs no more than it does without.
    """

    __slots__ = ("_application", "_came", "_context", "_secured", "_tcp", "_wait", "_within")

    def __init__(
        self,
        application: Awaiting,
        context: ssl.SSLContext,
        *,
        within: float,
        wait: Callable[[Callable[[], None]], None],
    ) -> None:
        self._application = application
        self._context = context
        self._within = within
        self._wait = wait
        self._came = b""  # and waits for its turn, with reading paused
        self._secured: Secured | None = None
        self._tcp: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._tcp = transport
        if not self._application.accepted(transport):
            self._application.turn_away()

    def data_received(self, data: bytes) -> None:
        tcp = self._tcp
        if tcp is None or tcp.is_closing():
            return
        tcp.pause_reading()
        if not self._came:
            self._wait(self._turn)
        self._came += data

    def _turn(self) -> None:
        """The next flight of the handshake. Who has gone again by then gets no keys."""
        tcp, data, self._came = self._tcp, self._came, b""
        if tcp is None or tcp.is_closing():
            return
        try:
            if is_there(tcp, unheard=self._secured is not None):
                self._go_on(tcp, data)
            else:
                tcp.abort()
        except Exception as error:  # noqa: BLE001 - a bug of ours: audited, and it ends this connection alone
            self._application.failed(error)

    def _go_on(self, tcp: asyncio.Transport, data: bytes) -> None:
        secured = self._secured
        if secured is None:
            secured = self._secured = _server_side(self._application, self._context, within=self._within)
            secured.connection_made(tcp)
        secured.feed(data)
        if tcp.is_closing():
            return
        if secured.awaiting is None:
            tcp.set_protocol(secured)
        tcp.resume_reading()

    def eof_received(self) -> bool | None:
        return None if self._secured is None else self._secured.eof_received()

    def pause_writing(self) -> None:
        if self._secured is not None:
            self._secured.pause_writing()

    def resume_writing(self) -> None:
        if self._secured is not None:
            self._secured.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._tcp = None
        (self._application if self._secured is None else self._secured).connection_lost(exc)


def _server_side(application: Awaiting, context: ssl.SSLContext, *, within: float) -> Secured:
    """`within`: seconds for its handshake, from now; the front's own deadline counts from the accept."""
    secured = Secured(
        asyncio.get_running_loop(),
        application,
        context,
        None,
        server_side=True,
        ssl_handshake_timeout=within,
        ssl_shutdown_timeout=SHUTDOWN_WITHIN,
    )
    secured.awaiting = application
    return secured


def below(transport: asyncio.Transport) -> Secured | None:
    """The TLS of ours that a transport is the upper side of."""
    found = transport.get_extra_info("uvloop.sslproto")
    return found if isinstance(found, Secured) else None


def queued(transport: asyncio.Transport) -> int:
    """Bytes that we still hold for the other end, those under TLS included."""
    size = transport.get_write_buffer_size()
    secured = below(transport)
    return size if secured is None else size + secured.tcp.get_write_buffer_size()
