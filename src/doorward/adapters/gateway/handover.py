"""One port, two processes: a gateway that drains gives its listening sockets to the next, and no handshake is lost.

A listening socket's queue is the kernel's, whoever holds the socket: what stands in it when one process lets go is
accepted by the other. (With two sockets on one port, SO_REUSEPORT, each has a queue of its own, and a close resets it.)
They meet at an abstract Unix socket named after the account, the place and the worker, and after chance, so that no
other account has taken the name; the successor looks through those that there are. Each answers, and believes, only
processes of its own account (SO_PEERCRED, unix(7)).
"""

import asyncio
import json
import os
import re
import socket
import struct
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from doorward.adapters.gateway.parts import Where
from doorward.ports import Entropy

ANSWERS_WITHIN: Final = 2.0
LISTENS_WITHIN: Final = 30.0
_WHO: Final = b"who\n"
_TAKE: Final = b"take\n"
_LISTENING: Final = b"listening\n"
_LONGEST: Final = 4096
_MOST_SOCKETS: Final = 16
_CHANCE: Final = 16  # bytes
_WAITING: Final = 128
_SOCKETS: Final = Path("/proc/self/net/unix")
# proc(5): number, references, protocol, flags (__SO_ACCEPTCON), type (SOCK_SEQPACKET), state, inode, name.
_LISTENS: Final = rb"(?m)^\S+ \S+ \S+ 00010000 0005 \S+ +\d+ @(%b[0-9a-f]{%d})$"
_CREDENTIALS: Final = struct.Struct("3i")  # pid, uid, gid


@dataclass(frozen=True, slots=True)
class Predecessor:
    """A process of a gateway that drains on our port. Its workers are numbered from `first`; there are `workers`."""

    first: int
    workers: int
    pid: int

    def numbers_for(self, workers: int) -> int:
        """Where our own workers' numbers begin: they are in nobody's way, in the audit and in the store."""
        return 0 if workers <= self.first else self.first + self.workers


class Inheritance:
    """Listening sockets that were taken over. The predecessor goes on accepting until `confirm`."""

    def __init__(self, told: socket.socket, gateway: list[socket.socket], admin: list[socket.socket], pid: int) -> None:
        self._told = told
        self.gateway = gateway
        self.admin = admin
        self.pid = pid

    def confirm(self) -> None:
        """We listen."""
        with closing(self._told), suppress(OSError):
            self._told.sendall(_LISTENING)

    def decline(self) -> None:
        """We could not begin: the predecessor goes on as if nothing had been."""
        self._told.close()
        for sock in (*self.gateway, *self.admin):
            sock.close()


def find(where: Where, worker: int) -> Predecessor | None:
    """Who drains at this place as worker number `worker` (from 0) of it? None: nobody."""
    asking = _ask(where, worker, _WHO)
    if asking is None:
        return None
    with closing(asking):
        try:
            return _described(asking.recv(_LONGEST))[0]
        except (OSError, ValueError, KeyError, TypeError):
            return None


def take(where: Where, worker: int, *, admin: Where) -> Inheritance | None:
    """Its sockets, where it drains; the admin listener's only if it listens where ours does."""
    asking = _ask(where, worker, _TAKE)
    if asking is None:
        return None
    socks: list[socket.socket] = []
    try:
        message, descriptors, _, _ = socket.recv_fds(asking, _LONGEST, _MOST_SOCKETS)
        socks = [socket.socket(fileno=descriptor) for descriptor in descriptors]
        predecessor, ours, place = _described(message)
        for sock in socks:
            sock.setblocking(False)
    except (OSError, ValueError, KeyError, TypeError):
        asking.close()
        for sock in socks:
            sock.close()
        return None
    same_admin = place == admin
    if not same_admin:
        for sock in socks[ours:]:
            sock.close()
    return Inheritance(asking, socks[:ours], socks[ours:] if same_admin else [], predecessor.pid)


def _described(message: bytes) -> tuple[Predecessor, int, Where]:
    told = json.loads(message)
    host, port = told["admin"]
    return Predecessor(int(told["first"]), int(told["workers"]), int(told["pid"])), int(told["gateway"]), (host, port)


def _ask(where: Where, worker: int, question: bytes) -> socket.socket | None:
    for name in _names(where, worker):
        asking = _reach(name, question)
        if asking is not None:
            return asking
    return None


def _reach(name: bytes, question: bytes) -> socket.socket | None:
    asking = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    asking.settimeout(ANSWERS_WITHIN)
    try:
        asking.connect(name)  # at once: abstract sockets know no waiting
        if _is_ours(asking):
            asking.sendall(question)
            return asking
    except OSError:  # nobody drains there
        asking.close()
        return None
    asking.close()
    return None


def _begin(where: Where, worker: int) -> bytes:
    host, port = where
    return f"doorward/{os.geteuid()}/{host}:{port}/{worker}/".encode()


def _names(where: Where, worker: int) -> list[bytes]:
    """Who listens there, of whatever account: anybody may put names there, and what looks like lines of that file."""
    begin = re.escape(_begin(where, worker))
    try:
        told = _SOCKETS.read_bytes()
    except OSError:  # no /proc: nobody can be found
        return []
    return [b"\0" + name for name in re.findall(_LISTENS % (begin, 2 * _CHANCE), told)]


def _is_ours(sock: socket.socket) -> bool:
    """Is the other end a process of our own account?"""
    told = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return bool(_CREDENTIALS.unpack(told)[1] == os.geteuid())


class Handover:
    """The side of the process that drains. `taken` is called once, when the successor listens; then it is over."""

    def __init__(
        self,
        where: Where,
        worker: int,
        *,
        first: int,
        workers: int,
        gateway: Sequence[socket.socket],
        admin: Sequence[socket.socket],
        admin_place: Where,
        entropy: Entropy,
        taken: Callable[[], None],
    ) -> None:
        self._name = b"\0" + _begin(where, worker) + entropy.bytes(_CHANCE).hex().encode()
        self._sockets = [*gateway, *admin]
        self._told = json.dumps(
            {
                "first": first,
                "workers": workers,
                "pid": os.getpid(),
                "gateway": len(gateway),
                "admin": list(admin_place),
            }
        ).encode()
        self._taken = taken

    async def run(self) -> None:
        """Until a successor listens, or cancelled. Raises OSError where the meeting place can't be had."""
        loop = asyncio.get_running_loop()
        with closing(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)) as meeting:
            meeting.setblocking(False)
            meeting.bind(self._name)
            meeting.listen(_WAITING)
            while True:
                asking, _ = await loop.sock_accept(meeting)
                with closing(asking):
                    if await self._answer(asking):
                        self._taken()
                        return

    async def _answer(self, asking: socket.socket) -> bool:
        """Does the one who asks listen now? One after another: there is one successor."""
        loop = asyncio.get_running_loop()
        try:
            if not _is_ours(asking):
                return False
            asking.setblocking(False)
            async with asyncio.timeout(ANSWERS_WITHIN):
                question = await loop.sock_recv(asking, _LONGEST)
            if question == _WHO:
                asking.send(self._told)
            elif question == _TAKE:
                socket.send_fds(asking, [self._told], [sock.fileno() for sock in self._sockets])
                async with asyncio.timeout(LISTENS_WITHIN):
                    return await loop.sock_recv(asking, _LONGEST) == _LISTENING
            return False
        except (OSError, TimeoutError):
            return False
