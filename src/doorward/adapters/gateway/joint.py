"""Two ends joined, and what needs no decision: pressure from one to the other, the counts, and letting go of both.

Nothing here says a word to either end; what is said, and when, is the relay's.
"""

from abc import ABC, abstractmethod
from asyncio import Transport
from collections.abc import Callable
from typing import Final

from doorward.adapters.gateway.ends import BackendEnd, End, PeerEnd, drop
from doorward.adapters.gateway.parts import Reports
from doorward.adapters.gateway.relay_rules import RelayRules
from doorward.adapters.gateway.secured import queued
from doorward.adapters.gateway.sockets import acknowledged, cut
from doorward.core.frames import Walker
from doorward.ports import Clock, Traffic
from doorward.values.message import Piece

BACKEND_QUEUE: Final = 65536
"""Bytes towards the backend over which reading from the peer pauses."""


class Joint(ABC):
    """`left` is called once, when the peer's TCP connection is over. `_live` is None when nothing is to be reported."""

    __slots__ = ("_backend", "_clock", "_left", "_live", "_peer", "_stuck")

    def __init__(
        self,
        live: Reports,
        *,
        peer: Transport,
        backend: Transport,
        rules: RelayRules,
        clock: Clock,
        left: Callable[[], None],
    ) -> None:
        self._live: Reports | None = live
        self._clock = clock
        self._left = left
        self._peer = PeerEnd(self, Walker(rules.peer), peer, backend.write, clock.now)
        self._backend = BackendEnd(self, Walker(rules.backend), backend, peer.write, clock.now)
        self._stuck: tuple[float, int] | None = None
        peer.set_write_buffer_limits(high=rules.output_queue)
        backend.set_write_buffer_limits(high=BACKEND_QUEUE)
        peer.set_protocol(self._peer)
        backend.set_protocol(self._backend)

    def begin(self, *, from_peer: bytes, from_backend: bytes, backend_dry: bool) -> None:
        """Frames that came with either head go first; then both ends are read."""
        if from_backend:
            self._backend.data_received(from_backend)
        if from_peer:
            self._peer.data_received(from_peer)
        resume(self._peer)
        resume(self._backend)
        transport = self._backend.transport
        if transport is not None and transport.is_closing() and self._live is not None:
            self._backend.connection_lost(None)
        elif backend_dry:
            self._backend.eof_received()

    # ---- what an end tells of: what is more than plumbing is the relay's ---------------------------------------------

    @abstractmethod
    def peer_said(self, piece: Piece) -> None: ...

    @abstractmethod
    def backend_said(self, piece: Piece) -> None: ...

    @abstractmethod
    def peer_ended(self) -> bool: ...

    @abstractmethod
    def backend_ended(self) -> bool: ...

    @abstractmethod
    def wrong_from_peer(self, error: BaseException) -> None: ...

    @abstractmethod
    def wrong_from_backend(self, error: BaseException) -> None: ...

    def peer_lost(self) -> None:
        self._backend.write = drop
        self._left()
        if self._live is not None:
            self._live.peer_gone()
        self._forget()

    def backend_lost(self) -> None:
        self._peer.write = drop
        self._forget()

    def peer_is_full(self) -> None:
        pause(self._backend)
        if self._live is not None:
            self._live.watched()

    def peer_has_room(self) -> None:
        resume(self._backend)

    def backend_is_full(self) -> None:
        pause(self._peer)

    def backend_has_room(self) -> None:
        resume(self._peer)

    # ---- the hands that need no words -------------------------------------------------------------------------------

    def traffic(self) -> Traffic:
        peer, backend = self._peer, self._backend
        return Traffic(
            messages_in=peer.walker.messages,
            messages_out=backend.walker.messages,
            bytes_in=peer.walker.payload_bytes,
            bytes_out=backend.walker.payload_bytes,
            last_message=max(peer.last, backend.last),
        )

    def stalled_since(self) -> float | None:
        transport = self._peer.transport
        if transport is None or not queued(transport):
            self._stuck = None
            return None
        taken = acknowledged(transport)
        if self._stuck is None or self._stuck[1] != taken:
            self._stuck = (self._clock.now(), taken)
        return self._stuck[0]

    def message_since(self) -> float | None:
        return self._peer.walker.message_started

    def cut(self) -> None:
        self._let_go()
        for end in (self._peer, self._backend):
            if end.transport is not None:
                cut(end.transport)

    def free(self) -> None:
        self._let_go()
        if self._backend.transport is not None:
            self._backend.transport.close()
        peer = self._peer.transport
        if peer is not None:
            if queued(peer):  # who has said Close, or has gone, won't read it; and nobody would watch it being sent
                cut(peer)
            else:
                peer.close()

    def _let_go(self) -> None:
        self._live = None
        self._peer.write = self._backend.write = drop

    def _forget(self) -> None:
        """Both are lost: nothing refers to this in a circle, so its memory needs no collection."""
        if self._peer.transport is None and self._backend.transport is None:
            self._live = None
            del self._peer.joint, self._backend.joint


def pause(end: End) -> None:
    if end.transport is not None:
        end.transport.pause_reading()


def resume(end: End) -> None:
    if end.transport is not None:
        end.transport.resume_reading()


def can_be_half_open(end: End) -> bool:
    """Whether one direction can end before the other: not in TLS as uvloop has it."""
    return end.transport is not None and end.transport.get_extra_info("ssl_object") is None
