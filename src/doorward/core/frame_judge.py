"""One frame at a time: what of it passes, what becomes a piece of its own, and what ends the connection.

The judge sees whole chunks and knows nothing of how they are cut: where it needs more bytes it says so, and is asked
again about the same frame. Control frames are handed out at once, even while the first fragments of a message are held
back. A ping may thus overtake those fragments; it may stand anywhere (RFC 6455 section 5.4), and a Close discards an
unfinished message in any case.
"""

from doorward.core.control import REACH, Likeness
from doorward.core.frame_headers import (
    CLOSE,
    CONTROL,
    FIRST_BYTES,
    FIRST_BYTES_DEFLATE,
    PONG,
    Header,
    read_close,
    read_header,
    unmask,
)
from doorward.core.frame_messages import Fate, Message, Sought
from doorward.core.message_judge import MessageJudge
from doorward.values.decision import Reason
from doorward.values.message import (
    ControlMessage,
    Dropped,
    FrameRules,
    JsonPing,
    OwnPong,
    PeerClosed,
    Piece,
    Recognise,
    Violation,
)


class Output:
    """The pieces of one chunk. Its bytes pass unless they are removed; those before `settled` are dealt with."""

    __slots__ = ("data", "pieces", "settled")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.pieces: list[Piece] = []
        self.settled = 0

    def flush(self, end: int) -> None:
        if end > self.settled:
            self.pieces.append(self.data[self.settled : end])
            self.settled = end

    def insert(self, at: int, piece: Piece) -> None:
        self.flush(at)
        self.pieces.append(piece)

    def remove(self, start: int, end: int) -> None:
        self.flush(start)
        self.settled = end


class FrameJudge(MessageJudge):
    """The state of one direction between two frames, and the judgement of the next.

    `closed` is the peer's Close once it came; `ended` that a Close or a Violation was handed out.
    """

    __slots__ = ("_first_bytes", "_message", "closed", "ended")

    def __init__(self, rules: FrameRules) -> None:
        super().__init__(rules)
        self.closed: PeerClosed | None = None
        self.ended = False
        # Nothing can be recognised in compressed text: where it is looked for, RSV1 was never negotiated.
        recognise = rules.control_messages is not Recognise.OFF
        self._first_bytes = FIRST_BYTES_DEFLATE if rules.deflate and not recognise else FIRST_BYTES
        self._message: Message | None = None

    # Each returns where to go on, or None where more bytes are needed and nothing was changed.

    def _judge(self, out: Output, at: int, now: float) -> int | None:
        """What is at `at`: payload of the frame under way, or a frame's header."""
        if at == len(out.data):
            return None
        if (message := self._message) is not None and message.left:
            return self._payload(out, at, message)
        frame = read_header(out.data, at, first_bytes=self._first_bytes, masked=self.rules.masked)
        if frame is None:
            return None
        if isinstance(frame, Reason):
            return self._fail(out, at, frame)
        return self._control(out, frame, now) if frame.opcode & CONTROL else self._data(out, frame, now)

    def _control(self, out: Output, frame: Header, now: float) -> int | None:
        """Control frames are handed out whole or not at all, so that one of ours never has to wait for the rest."""
        if frame.end > len(out.data):
            return None
        if frame.opcode == CLOSE:
            said = read_close(self._clear(out.data, frame.payload, frame.end))
            if isinstance(said, Reason):
                return self._fail(out, frame.start, said)
            self.closed = said
            self.ended = True
            out.insert(frame.end, said)
        elif self.control_rate_exceeded(now):
            return self._fail(out, frame.start, Reason.CONTROL_RATE)
        elif frame.opcode == PONG and self.rules.own_ping_marker is not None:
            payload = self._clear(out.data, frame.payload, frame.end)
            if payload.startswith(self.rules.own_ping_marker):
                out.remove(frame.start, frame.end)
                out.pieces.append(OwnPong(payload))
        return frame.end

    def _data(self, out: Output, frame: Header, now: float) -> int | None:
        """A message's first or next frame: its header, what the message may be, and what becomes of it."""
        message = self._message or Message()
        sought = message.sought(frame, self.rules)
        if (fault := message.fault(frame, self.rules, sought=sought)) is not None:
            return self._fail(out, frame.start, fault)
        there = len(out.data)
        if frame.payload > there:
            return None
        if sought is not Sought.NOTHING:
            seen = self._clear(out.data, frame.payload, min(frame.end, frame.payload + REACH, there))
            found = message.compare(sought, seen)
            if found is Likeness.EXACT or found is Likeness.MEANT:
                return self._recognised(out, frame, message, sought=sought, found=found, now=now)
            if found is Likeness.OPEN:
                if frame.end > there:
                    return None
                if not frame.fin:
                    message.keep(frame, out.data[frame.start : frame.end], seen)
                    out.remove(frame.start, frame.end)
                    self._message = message
                    return frame.end
            if (fault := message.fault(frame, self.rules, sought=Sought.NOTHING)) is not None:
                return self._fail(out, frame.start, fault)
        if message.fate is Fate.UNKNOWN and (refusal := self._admit(out, frame, message, now)) is not None:
            return self._fail(out, frame.start, refusal)
        return self._carry(out, frame, message)

    def _recognised(
        self, out: Output, frame: Header, message: Message, *, sought: Sought, found: Likeness, now: float
    ) -> int | None:
        """A control message, one that was meant to be, or a JSON ping: no byte of it is handed out."""
        if sought is Sought.CONTROL:
            if self.rules.control_messages is Recognise.DROP:
                out.insert(frame.start, Dropped())
                message.fate = Fate.DROP
                return self._carry(out, frame, message)
            if found is Likeness.MEANT:
                return self._fail(out, frame.start, Reason.CONTROL_MALFORMED)
            if message.frames or not frame.fin:
                return self._fail(out, frame.start, Reason.CONTROL_FRAGMENTED)
            if frame.length > self.rules.control_message_size:
                return self._fail(out, frame.start, Reason.CONTROL_MALFORMED)
        if frame.end > len(out.data):
            return None
        if self.control_rate_exceeded(now):
            return self._fail(out, frame.start, Reason.CONTROL_RATE)
        out.remove(frame.start, frame.end)
        is_ping = sought is Sought.PING
        out.pieces.append(JsonPing() if is_ping else ControlMessage(self._clear(out.data, frame.payload, frame.end)))
        return frame.end

    def _admit(self, out: Output, frame: Header, message: Message, now: float) -> Reason | None:
        """One of the application's messages: decide its fate, and hand out what was kept back. A Reason ends it all."""
        kept, message.kept = message.kept, b""
        fate = self.verdict(now, compressed=frame.compressed)
        if isinstance(fate, Reason):
            return fate
        if not isinstance(fate, Fate):
            out.insert(frame.start, fate)
            fate = Fate.DROP
        message.fate = fate
        if kept and fate is Fate.PASS:
            out.insert(frame.start, kept)
            self.payload_bytes += len(message.start)
        return None

    def _carry(self, out: Output, frame: Header, message: Message) -> int:
        """The header passes, or is dropped, and of the payload as much as there is."""
        message.add(frame)
        self._message = message
        if message.fate is not Fate.PASS:
            out.remove(frame.start, frame.payload)
        return self._payload(out, frame.payload, message)

    def _payload(self, out: Output, at: int, message: Message) -> int:
        """The payload of the frame under way begins, or goes on, at `at`."""
        end = min(at + message.left, len(out.data))
        message.left -= end - at
        if message.fate is Fate.PASS:
            self.payload_bytes += end - at
        else:
            out.remove(at, end)
        if message.last and not message.left:
            self.messages += message.fate is Fate.PASS
            self._message = None
        return end

    def _fail(self, out: Output, at: int, reason: Reason) -> int:
        """Nothing from `at` on is processed (RFC 6455 section 7.1.7). What was handed out before stays as it is."""
        out.insert(at, Violation(reason))
        self.ended = True
        return at

    def _clear(self, data: bytes, start: int, end: int) -> bytes:
        """Payload bytes without their mask, from where the payload begins."""
        return unmask(data, start, end) if self.rules.masked else data[start:end]
