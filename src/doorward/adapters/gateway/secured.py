"""TLS over a TCP transport that we keep hold of, so that what is queued below TLS is known, and cut with the rest.

uvloop's own TLS transport does not show the one below it. Its protocol class is used as `create_server(ssl=…)` uses it,
only that we make it: with the context of this moment, and after the PROXY protocol's header where there is one.
"""

import asyncio
import ssl
from typing import Protocol

from uvloop.loop import SSLProtocol  # type: ignore[attr-defined]  # not in its stubs

SHUTDOWN_WITHIN = 1.0
"""Seconds for the other end's close_notify; uvloop's default is 30."""


class Awaiting(Protocol):
    """Who waits for the TLS handshake's end: it knows the TCP transport at once, and a failure as well."""

    def accepted(self, transport: asyncio.Transport) -> bool:
        """The TCP transport, before TLS. False: there is no place for it, and it is to be turned away."""

    def turn_away(self) -> None: ...

    def connection_lost(self, exc: Exception | None) -> None: ...


class Secured(SSLProtocol):  # type: ignore[misc]  # not in uvloop's stubs
    """The TLS between a TCP transport and an application's protocol. `awaiting` until its handshake is done."""

    __slots__ = ("awaiting", "tcp")

    awaiting: Awaiting | None
    tcp: asyncio.Transport

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.tcp = transport
        awaiting = self.awaiting
        welcome = awaiting is None or awaiting.accepted(transport)
        super().connection_made(transport)
        if awaiting is not None and not welcome:
            awaiting.turn_away()

    def connection_lost(self, exc: Exception | None) -> None:
        awaiting, self.awaiting = self.awaiting, None
        super().connection_lost(exc)
        if awaiting is not None:
            awaiting.connection_lost(exc)

    def feed(self, data: bytes) -> None:
        """Bytes that were read from the socket before TLS took it over."""
        while data:
            buffer = self.get_buffer(len(data))
            part = data[: len(buffer)]
            buffer[: len(part)] = part
            self.buffer_updated(len(part))
            data = data[len(part) :]


def secure(application: Awaiting, context: ssl.SSLContext, *, within: float) -> Secured:
    """Server-side TLS for one accepted connection. `within`: seconds for its handshake, from now."""
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
