"""The hands of one live connection: it passes on what the walkers let pass, and puts frames of our own in between.

It decides nothing and waits for nothing: Live has the deadlines and the reasons, and says what is to be done. After the
decision to close, no message reaches either side any more; what a half-sent frame still lacks goes to the peer, so that
our Close can follow it, and never to the backend.

A frame of ours stands only between two frames of the stream that it goes into (RFC 6455 section 5.4), so where the
walker is inside one, it waits for the walker's Break.
"""

from asyncio import Transport
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from doorward.adapters.gateway.ends import drop
from doorward.adapters.gateway.joint import Joint, can_be_half_open, pause, resume
from doorward.adapters.gateway.parts import Reports
from doorward.adapters.gateway.relay_rules import RelayRules, held_to
from doorward.adapters.gateway.secured import queued
from doorward.core.endings import ENDINGS
from doorward.core.frame_headers import TEXT, encode_close, encode_frame, encode_ping
from doorward.ports import Clock, Entropy
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
from doorward.values.rules import Route

GOING_AWAY: Final = 1001
PROTOCOL_ERROR: Final = 1002
OURS: Final = 4000


class Relay(Joint):
    """Fulfils ports.Hands."""

    __slots__ = (
        "_backend_dry",
        "_backend_fault",
        "_between",
        "_broken",
        "_closing",
        "_entropy",
        "_farewell",
        "_later",
        "_owed",
        "_ping_waits",
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
        later: Callable[[Callable[[], None]], None],
    ) -> None:
        super().__init__(live, peer=peer, backend=backend, rules=rules, clock=clock, left=left)
        self._entropy = entropy
        self._later = later
        self._backend_dry = False  # nothing more comes from there
        self._backend_fault: int | None = None  # the close code that its breach of the protocol deserves
        self._between = False  # in the midst of the peer's pieces, where its stream is between two frames
        self._broken = False  # a bug of ours has spoilt the stream to the peer
        self._closing = False  # a Close of ours, the peer's or the backend's is on its way
        self._farewell: bytes | None = None  # our Close to the peer: said, or waiting for a frame's end
        # to the backend: the close code, or 0 where there is one already; its text; whether between two frames
        self._owed: tuple[int, str, bool] | None = None
        self._ping_waits = False
        self._told: list[bytes] | None = None

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

    def ping(self) -> bool:
        walker, transport = self._backend.walker, self._peer.transport
        if self._closing or walker.ended or transport is None:
            return True
        if walker.at_frame_boundary:
            transport.write(self._our_ping())
        else:
            self._ping_waits = True
            walker.ask_break(Boundary.FRAME)
        return True

    def _our_ping(self) -> bytes:
        return encode_ping(self._peer.walker.rules.own_ping_marker or b"", mask=None)

    def gate(self, gate: Gate) -> None:
        if not self._closing:
            self._peer.walker.gate = gate

    def hold_to(self, route: Route) -> None:
        walker, transport = self._peer.walker, self._peer.transport
        walker.hold_to(held_to(walker.rules, route.limits, json_ping=route.answer_json_ping))
        if transport is not None:
            transport.set_write_buffer_limits(high=route.limits.output_queue)

    def close(self, code: int, text: str, *, at_once: bool) -> bool:
        transport, walker = self._peer.transport, self._backend.walker
        if transport is None:
            return True
        whole = walker.at_frame_boundary
        if self._broken or (self._backend_dry and not whole):
            return self._cut_instead()
        if self._farewell is not None or walker.closed is not None or (self._closing and at_once):
            # a Close is in that stream or before its end: there cannot be a second one
            return not at_once or self._cut_instead()
        if at_once and (not whole or queued(transport) > 0):
            return self._cut_instead()
        self._closing = True
        self._peer.walker.gate = Gate.DROP
        self._told = None
        self._ping_waits = False
        self._farewell = _close_frame(code, text)
        if whole:
            self._bid_farewell()
        else:
            walker.ask_break(Boundary.FRAME)
        sent = self._peer.walker
        fault, said = self._backend_fault, sent.closed is not None and not self._between
        told = fault or (code if code >= OURS else GOING_AWAY)
        self._owed = (0 if said else told, "" if fault else text, self._between or sent.at_frame_boundary)
        self._peer.write = drop
        if self._between:
            self._close_backend()
        else:  # where thousands are closed, their peers' frames go first, and their answers are heard after that
            pause(self._peer)
            self._later(self._close_backend)
        return True

    def _cut_instead(self) -> bool:
        self.cut()
        return False

    # ---- what the peer's end saw ------------------------------------------------------------------------------------

    def peer_said(self, piece: Piece) -> None:
        live = self._live
        if live is None:
            return
        match piece:
            case PeerClosed(code, reason):
                self._peer_closed(live, code, reason)
            case _ if self._closing:
                pass  # what a peer does between a Close and its answer is nobody's, a fault included
            case Violation(reason):
                live.peer_fault(reason)
            case _:
                self._between = True
                try:
                    _report(live, piece)
                finally:
                    self._between = False

    def _peer_closed(self, live: Reports, code: int | None, reason: str) -> None:
        self._closing = True
        live.peer_closed(code, reason)
        if self._backend.transport is None or self._backend_dry:
            self._answer_for_backend()
        self._shut_when_both_closed()

    def peer_ended(self) -> bool:
        """The peer's FIN. After its Close that is in order, and the answer to it may still go out."""
        if self._peer.walker.closed is not None:
            return can_be_half_open(self._peer)
        if self._live is not None:
            self._live.peer_gone()
        return False

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
                self._backend_fault = ENDINGS[reason].close or PROTOCOL_ERROR
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
        self._close_backend()
        self._closing = True
        self._peer.walker.gate = Gate.DROP
        live.backend_closed(code, reason)
        if ours and self._backend.transport is not None:
            self._backend.transport.close()
        self._shut_when_both_closed()

    def backend_ended(self) -> bool:
        """The backend's FIN. After its Close that is in order, and the peer's answer may still go to it."""
        if self._backend.walker.closed is not None:
            self._backend_dry = True
            return can_be_half_open(self._backend)
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
                if can_be_half_open(self._peer):
                    transport.write_eof()
                else:
                    transport.close()
        self._backend.write = drop
        resume(self._backend)

    def _close_backend(self) -> None:
        """Once, what the backend is owed since our Close to the peer: a Close, or where a frame to it was half sent,
        the end of its connection inside that frame: the rest of the message would be delivered after the decision. This
        comes before anything else that ends that connection, such as the peer's quick answer."""
        owed, self._owed = self._owed, None
        if owed is None:
            return
        resume(self._peer)
        transport, (code, text, whole) = self._backend.transport, owed
        if transport is None or not code or transport.is_closing():
            return
        if whole:
            transport.write(encode_close(code, text, mask=self._entropy.bytes(4)))
        else:
            transport.close()

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
        self._close_backend()
        for end in (self._backend, self._peer):
            if end.transport is not None:
                end.transport.close()

    def _let_go(self) -> None:
        self._close_backend()
        super()._let_go()
        self._closing = True

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


@lru_cache(64)
def _close_frame(code: int, text: str) -> bytes:
    return encode_close(code, text, mask=None)


def _report(live: Reports, piece: Piece) -> None:
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
