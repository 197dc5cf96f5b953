"""The hands of one live connection: two ends, a walker between them each way, and the frames of our own.

It decides nothing and waits for nothing: Live has the deadlines and the reasons, and says what is to be done. After the
decision to close, no application byte leaves here in either direction.

A frame of ours stands only between two frames of the stream that it goes into (RFC 6455 section 5.4), so where the
walker is inside one, it waits for the walker's Break.
"""

from asyncio import Transport
from collections.abc import Callable
from typing import Final

from doorward.adapters.gateway.ends import BackendEnd, End, PeerEnd, drop
from doorward.adapters.gateway.parts import Reports
from doorward.adapters.gateway.relay_rules import RelayRules
from doorward.adapters.gateway.secured import queued
from doorward.adapters.gateway.sockets import acknowledged, cut
from doorward.core.frame_headers import TEXT, encode_close, encode_frame, encode_ping
from doorward.core.frames import Walker
from doorward.ports import Clock, Entropy, Traffic
from doorward.values.message import (
    Boundary,
    Break,
    ControlMessage,
    Dropped,
    Gate,
    JsonPing,
    OwnPong,
    PeerClosed,
    Piece,
    Refused,
    Violation,
)

BACKEND_QUEUE: Final = 65536
"""Bytes towards the backend over which reading from the peer pauses."""

GOING_AWAY: Final = 1001
PROTOCOL_ERROR: Final = 1002
OURS: Final = 4000


class Relay:
    """Fulfils ports.Hands. `left` is called once, when the peer's TCP connection is over."""

    __slots__ = (
        "_backend",
        "_backend_dry",
        "_between",
        "_broken",
        "_clock",
        "_closing",
        "_entropy",
        "_farewell",
        "_farewell_backend",
        "_left",
        "_live",
        "_peer",
        "_ping_waits",
        "_stuck",
        "_told",
    )

    def __init__(
        self,
        live: Reports,
        *,
        peer: Transport,
        backend: Transport,
        rules: RelayRules,
        clock: Clock,
        entropy: Entropy,
        left: Callable[[], None],
    ) -> None:
        self._live: Reports | None = live
        self._clock = clock
        self._entropy = entropy
        self._left = left
        self._peer = PeerEnd(self, Walker(rules.peer), peer, backend.write, clock.now)
        self._backend = BackendEnd(self, Walker(rules.backend), backend, peer.write, clock.now)
        self._backend_dry = False  # nothing more comes from there
        self._between = False  # in the midst of the peer's pieces, where its stream is between two frames
        self._broken = False  # a bug of ours has spoilt the stream to the peer
        self._closing = False  # a Close of ours, the peer's or the backend's is on its way
        self._farewell: bytes | None = None  # our Close to the peer, waiting for a frame's end
        self._farewell_backend: bytes | None = None
        self._ping_waits = False
        self._told: list[bytes] | None = None
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
        for end in (self._peer, self._backend):
            if end.transport is not None:
                end.transport.resume_reading()
        if self._backend.transport is not None and self._backend.transport.is_closing() and self._live is not None:
            self._backend.connection_lost(None)
        elif backend_dry:
            self._backend.eof_received()

    # ---- Hands ------------------------------------------------------------------------------------------------------

    def tell(self, text: str) -> None:
        walker, transport = self._backend.walker, self._peer.transport
        if self._closing or walker.ended or transport is None:
            return
        frame = encode_frame(TEXT, text.encode(), mask=None)
        if walker.at_message_boundary:
            transport.write(frame)
            return
        self._told = [*(self._told or ()), frame]
        walker.ask_break(Boundary.MESSAGE)

    def ping(self) -> None:
        walker, transport = self._backend.walker, self._peer.transport
        if self._closing or walker.ended or transport is None:
            return
        if walker.at_frame_boundary:
            transport.write(self._our_ping())
        else:
            self._ping_waits = True
            walker.ask_break(Boundary.FRAME)

    def _our_ping(self) -> bytes:
        return encode_ping(self._peer.walker.rules.own_ping_marker or b"", mask=None)

    def gate(self, gate: Gate) -> None:
        if not self._closing:
            self._peer.walker.gate = gate

    def close(self, code: int, text: str, *, at_once: bool) -> bool:
        transport, walker = self._peer.transport, self._backend.walker
        if transport is None:
            return True
        if self._broken:
            return self._cut_instead()
        if self._farewell is not None or walker.closed is not None or (self._closing and at_once):
            # a Close is in that stream or before its end: there cannot be a second one
            return not at_once or self._cut_instead()
        whole = walker.at_frame_boundary
        if (at_once and (not whole or queued(transport) > 0)) or (self._backend_dry and not whole):
            return self._cut_instead()
        self._closing = True
        self._peer.walker.gate = Gate.DROP
        self._told = None
        self._ping_waits = False
        self._farewell = encode_close(code, text, mask=None)
        if whole:
            self._bid_farewell()
        else:
            walker.ask_break(Boundary.FRAME)
        fault = walker.ended  # with no Close of the backend's, so by a Violation of the backend's
        self._close_backend(PROTOCOL_ERROR if fault else code if code >= OURS else GOING_AWAY, "" if fault else text)
        return True

    def _cut_instead(self) -> bool:
        self.cut()
        return False

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

    # ---- what the peer's end saw ------------------------------------------------------------------------------------

    def peer_said(self, piece: Piece) -> None:
        live = self._live
        if live is None:
            return
        match piece:
            case PeerClosed(code, reason):
                self._peer_closed(live, code, reason)
            case Break():
                self._bid_backend_farewell()
            case _ if self._closing:
                pass  # what a peer does between a Close and its answer is nobody's, a fault included
            case Violation(reason):
                live.peer_fault(reason)
            case _:
                self._between = True
                try:
                    self._report(live, piece)
                finally:
                    self._between = False

    def _report(self, live: Reports, piece: Piece) -> None:
        match piece:
            case ControlMessage(payload):
                live.control(payload)
            case JsonPing():
                live.json_ping()
            case OwnPong():
                live.pong()
            case Refused(reason, retry_after):
                live.refused(reason, retry_after)
            case _:
                pass  # bytes, and what peer_said has dealt with

    def _peer_closed(self, live: Reports, code: int | None, reason: str) -> None:
        self._closing = True
        live.peer_closed(code, reason)
        if self._backend.transport is None or self._backend_dry:
            self._answer_for_backend()
        self._shut_when_both_closed()

    def peer_is_full(self) -> None:
        if self._backend.transport is not None:
            self._backend.transport.pause_reading()
        if self._live is not None and not self._closing:
            self._live.watched()

    def peer_has_room(self) -> None:
        if self._backend.transport is not None:
            self._backend.transport.resume_reading()

    def peer_ended(self) -> bool:
        """The peer's FIN. After its Close that is in order, and the answer to it may still go out."""
        if self._peer.walker.closed is not None:
            return _can_be_half_open(self._peer)
        if self._live is not None:
            self._live.peer_gone()
        return False

    def peer_lost(self) -> None:
        self._backend.write = drop
        self._left()
        if self._live is not None:
            self._live.peer_gone()
        self._forget()

    # ---- what the backend's end saw ---------------------------------------------------------------------------------

    def backend_said(self, piece: Piece) -> None:
        live = self._live
        if live is None:
            return
        match piece:
            case PeerClosed(code, reason):
                self._backend_closed(live, code, reason)
            case Break(Boundary.FRAME):
                self._frame_break()
            case Break():
                self._message_break()
            case Violation(reason) if not self._closing:
                live.backend_fault(reason.value)
            case Dropped() if not self._closing:
                live.dropped()

    def _frame_break(self) -> None:
        transport = self._peer.transport
        if self._farewell is not None:
            self._bid_farewell()
        elif self._ping_waits and transport is not None:
            self._ping_waits = False
            transport.write(self._our_ping())

    def _message_break(self) -> None:
        told, self._told = self._told, None
        if told is not None and self._peer.transport is not None:
            self._peer.transport.write(b"".join(told))

    def _backend_closed(self, live: Reports, code: int | None, reason: str) -> None:
        ours = self._farewell is not None
        self._closing = True
        self._peer.walker.gate = Gate.DROP
        live.backend_closed(code, reason)
        if ours and self._backend.transport is not None:
            self._backend.transport.close()
        self._shut_when_both_closed()

    def backend_is_full(self) -> None:
        if self._peer.transport is not None:
            self._peer.transport.pause_reading()

    def backend_has_room(self) -> None:
        if self._peer.transport is not None:
            self._peer.transport.resume_reading()

    def backend_ended(self) -> bool:
        """The backend's FIN. After its Close that is in order, and the peer's answer may still go to it."""
        if self._backend.walker.closed is not None:
            self._backend_dry = True
            return _can_be_half_open(self._backend)
        self._backend_gone()
        return False

    def backend_lost(self) -> None:
        self._peer.write = drop
        if self._backend.walker.closed is None:
            self._backend_gone()
        self._backend_dry = True
        self._forget()

    def _backend_gone(self) -> None:
        if self._backend_dry:
            return
        self._backend_dry = True
        if self._live is None:
            return
        if self._peer.walker.closed is not None:
            self._answer_for_backend()
            self._shut_when_both_closed()
        elif not self._closing:
            self._live.backend_gone()

    # ---- closing ----------------------------------------------------------------------------------------------------

    def _bid_farewell(self) -> None:
        """Our Close, and nothing after it."""
        transport = self._peer.transport
        if self._farewell is not None and transport is not None:
            transport.write(self._farewell)
            if self._peer.walker.ended and self._peer.walker.closed is None:
                # after a fault there is no answer to wait for (section 7.1.7); what still comes is read and dropped
                if _can_be_half_open(self._peer):
                    transport.write_eof()
                else:
                    transport.close()
        self._backend.write = drop
        if self._backend.transport is not None:
            self._backend.transport.resume_reading()

    def _close_backend(self, code: int, text: str) -> None:
        transport, walker = self._backend.transport, self._peer.walker
        if transport is None or walker.closed is not None:
            return
        self._farewell_backend = encode_close(code, text, mask=self._entropy.bytes(4))
        if self._between or walker.at_frame_boundary:
            self._bid_backend_farewell()
        elif walker.ended:
            self._peer.write = drop
            transport.abort()
        else:
            walker.ask_break(Boundary.FRAME)

    def _bid_backend_farewell(self) -> None:
        if self._farewell_backend is not None and self._backend.transport is not None:
            self._backend.transport.write(self._farewell_backend)
        self._peer.write = drop
        if self._peer.transport is not None:
            self._peer.transport.resume_reading()

    def _answer_for_backend(self) -> None:
        """The peer said Close, and the backend went without an answer: the peer's own code is one (section 5.5.1)."""
        said, walker = self._peer.walker.closed, self._backend.walker
        if said is not None and walker.closed is None and self._farewell is None and walker.at_frame_boundary:
            self._farewell = encode_close(said.code, mask=None)
            self._bid_farewell()

    def _shut_when_both_closed(self) -> None:
        """Both have said Close: the server closes first (section 7.1.1). The peer's end then reports itself gone."""
        if self._live is None or self._peer.walker.closed is None:
            return
        if self._backend.walker.closed is None and self._farewell is None:
            return
        for end in (self._backend, self._peer):
            if end.transport is not None:
                end.transport.close()

    # ---- our own bugs -----------------------------------------------------------------------------------------------

    def wrong_from_peer(self, error: BaseException) -> None:
        """Where the backend's stream stands is unknown now; the peer's is whole, and can be closed with 1011."""
        self._peer.write = drop
        if self._backend.transport is not None:
            self._backend.transport.abort()
        if self._live is None:
            self.cut()
        else:
            self._live.wrong(error)

    def wrong_from_backend(self, error: BaseException) -> None:
        """Where the peer's stream stands is unknown now, so nothing can be said in it."""
        self._broken = True
        if self._live is not None:
            self._live.wrong(error)
        self.cut()

    def _let_go(self) -> None:
        self._live = None
        self._closing = True
        self._peer.write = self._backend.write = drop

    def _forget(self) -> None:
        """Both are lost: nothing refers to this relay in a circle, so its memory needs no collection."""
        if self._peer.transport is None and self._backend.transport is None:
            self._live = None
            del self._peer.relay, self._backend.relay


def _can_be_half_open(end: End) -> bool:
    return end.transport is not None and end.transport.get_extra_info("ssl_object") is None
