"""What the kernel is told about a connection's socket, and what it knows of it: asyncio has no words for it.

Linux only, as the gateway is. A socket is a real one, or what a transport gives as its "socket".
"""

import asyncio
import fcntl
import socket
import struct
import sys
import termios
from typing import Final

VANISHED_AFTER: Final = 30.0
"""Seconds until the kernel gives up on a peer that acknowledges nothing, or keeps its window shut."""

# Seconds of silence after which the kernel asks, and between two questions. Three must go without an answer: beside
# TCP_USER_TIMEOUT the kernel counts none, it ends a connection that was silent for that long and whose last question is
# open. One lost packet must not do that: connections opened within one beat of the kernel's timers are asked at the
# same instant, thousands in one go, and its queue for loopback takes 1,000 and drops the rest unsaid.
_PEER_SILENT: Final = (24, 2)  # longer than between two pings: who answers those is not asked besides
_BACKEND_SILENT: Final = (15, 5)  # it is sent no pings
_ESTABLISHED: Final = 1  # TCP_ESTABLISHED and TCP_CLOSE_WAIT, of tcpi_state, which stands first in struct tcp_info
_CLOSE_WAIT: Final = 8
_BYTES_ACKED: Final = 120  # offset of tcpi_bytes_acked in struct tcp_info
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


def find_vanished(sock: "socket.SocketType", *, silent: tuple[int, int] = _PEER_SILENT) -> None:
    """Let the kernel notice an end that is no longer there. Accepted sockets inherit it from their listener."""
    first, again = silent
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, first)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, again)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(VANISHED_AFTER * 1000))


def find_vanished_behind(transport: asyncio.Transport) -> None:
    """The same for a connection of our own making, to a backend."""
    shown = transport.get_extra_info("socket")
    if shown is None or shown.fileno() < 0:  # it is over already, and will say so
        return
    sock = _of(shown.fileno())
    try:
        find_vanished(sock, silent=_BACKEND_SILENT)
    finally:
        sock.detach()


def _of(descriptor: int) -> "socket.SocketType":
    """For options of a transport's file, and to be detached: what a transport shows makes a socket for each option
    anew, and `socket.socket` costs more than four options. The family is of no account to them."""
    return socket.SocketType(socket.AF_INET, socket.SOCK_STREAM, 0, descriptor)


def cut(transport: asyncio.Transport) -> None:
    """Abort with a reset: what the kernel still holds for the other end is dropped with it (HOUSE: linger 0)."""
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()


def is_there(transport: asyncio.Transport | None, *, unheard: bool) -> bool:
    """No reset has come, nor a FIN behind which there is nothing to hear. Where reading is paused nobody else tells.

    `unheard`: something that the other end sent waits with us; more may wait in the kernel.
    """
    shown = None if transport is None else transport.get_extra_info("socket")
    descriptor = -1 if shown is None else shown.fileno()
    if descriptor < 0:
        return False
    sock = _of(descriptor)
    try:
        state = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    finally:
        sock.detach()
    if state == _CLOSE_WAIT:
        return unheard or bool(int.from_bytes(fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)), sys.byteorder))
    return bool(state == _ESTABLISHED)


def acknowledged(transport: asyncio.Transport) -> int:
    """How many bytes the other end's kernel has taken: it stands still exactly while output does."""
    sock = transport.get_extra_info("socket")
    if sock is None or sock.fileno() < 0:
        return 0
    facts = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_ACKED + 8)
    return int.from_bytes(facts[_BYTES_ACKED : _BYTES_ACKED + 8], sys.byteorder)
