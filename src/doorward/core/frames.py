"""A walker follows one direction of a relay over its frame headers, and hands back the very bytes that it was given.

It neither unmasks nor rebuilds what only passes: it proves each header before any of it is handed out, and forgets the
payload (RFC 6455 section 5). What it can't judge yet it holds from the frame's first byte, and begins that frame again
with the next chunk. So it holds at most a header, a control frame, the first few bytes of what may be a control
message, or one whole control message; and between frames nothing.

Three places read the bytes, each at its own pace:

    feed    the middle of a long payload: one comparison a chunk
    _skim   whole unfragmented messages that raise no question, and small fragments: a few comparisons each
    _walk   everything else, by the judge, frame by frame. What is skimmed, the judge would let pass just so

The skims are what keeps a chunk full of tiny frames from holding up everybody else's.
"""

from enum import Enum, unique
from functools import lru_cache
from math import inf
from typing import Final

from doorward.core.control import PREFIX, Likeness, likeness
from doorward.core.frame_headers import MASKED, unmask
from doorward.core.frame_judge import FrameJudge, Output
from doorward.core.frame_messages import JSON_PING, Fate, Message
from doorward.core.rates import pace
from doorward.values.decision import Reason
from doorward.values.message import Boundary, Break, FrameRules, Gate, Piece, Recognise


@unique
class _Phase(Enum):
    """What the next byte is. `feed` chooses its pace by it."""

    REST = "rest"  # the first of a message, with nothing asked of us
    PAYLOAD = "payload"  # inside a payload that passes
    FRAME = "frame"  # anything else: `_walk` finds out
    ENDED = "ended"  # nobody's: after a Close or a Violation


# Read for every chunk; a module's name is found twice as fast as an enumeration's member.
_REST: Final = _Phase.REST
_PAYLOAD: Final = _Phase.PAYLOAD
_ENDED: Final = _Phase.ENDED
_DELIVER: Final = Gate.DELIVER
_PREFIX_SIZE: Final = len(PREFIX)
_NINTH: Final = b'd": \t\n\r'
"""What stands ninth after the brace of a control message or one that was meant, where nothing parts that from `"type"`:
its own byte, or one that white space has moved there."""
_GLANCE: Final = 24
"""Bytes by which nearly every text that is no control message shows it."""
_PING_SIZE: Final = len(JSON_PING)


@lru_cache(maxsize=1024)
def _terms(rules: FrameRules) -> tuple[int, int, float, bool, bool, float, float]:
    """What `_skim` asks of the rules, found in one step and shared by all connections of a route."""
    mask_bit, header = (MASKED, 6) if rules.masked else (0, 2)
    limit = inf if rules.message_size is None else rules.message_size
    watch = rules.control_messages is not Recognise.OFF
    return mask_bit, header, limit, watch, rules.json_ping, *pace(rules.message_rate)


def _may_be_control(data: bytes, payload: int, end: int, *, masked: bool) -> bool:
    """Whether the judge has to see the text from `payload` on, which `_skim` could not tell by its second and ninth."""
    second, third = (data[payload - 3], data[payload - 2]) if masked else (0, 0)
    if data[payload + 1] ^ second == data[payload + 9] ^ second == 0x22 and data[payload + 10] ^ third != 0x64:
        return False  # as json.dumps writes {"type": "publish"}
    last = min(end, payload + _GLANCE)
    start = unmask(data, payload, last) if masked else data[payload:last]
    return likeness(start) is not Likeness.NONE


class Walker(FrameJudge):
    """One direction of one connection. `now` is in seconds of one monotonic clock; a step back does no harm.

    Its properties speak of all that `feed` has returned, whether or not it has been sent on yet.
    """

    __slots__ = ("_asked", "_held", "_phase", "_started", "_terms")

    def __init__(self, rules: FrameRules) -> None:
        super().__init__(rules)
        self._phase = _Phase.REST
        self._held = b""  # from the first byte of a frame that can't be judged yet
        self._started = inf  # when what is under way began; inf when nothing is
        self._asked: tuple[Boundary, ...] = ()
        self._terms = _terms(rules)

    # ---- what the relay asks ----------------------------------------------------------------------------------------

    def hold_to(self, rules: FrameRules) -> None:
        """Other limits from the next message on, for the same ends: who is masked, what is recognised, deflate stay."""
        self.rules = rules
        self._terms = _terms(rules)

    def ask_break(self, boundary: Boundary) -> None:
        """Have one Break handed out at the first such boundary from here, even where no chunk ends on it.

        If the peer's Close or a Violation comes first, there is none.
        """
        if boundary not in self._asked:
            self._asked += (boundary,)
        if self._phase is _REST:
            self._phase = _Phase.FRAME

    @property
    def at_frame_boundary(self) -> bool:
        """Whether what was handed out so far ends between two frames; what is held or dropped doesn't count."""
        message = self._message
        return message is None or not message.left or message.fate is not Fate.PASS

    @property
    def at_message_boundary(self) -> bool:
        """Whether what was handed out so far ends between two messages."""
        return self._message is None or self._message.fate is not Fate.PASS

    @property
    def torn(self) -> bool:
        """Whether a stream that ends here ends inside a frame or a message."""
        return not self.ended and (self._message is not None or self._held != b"")

    @property
    def message_started(self) -> float | None:
        """When what is under way began. `rules.message_time` later it has stalled, which `feed` sees if bytes come."""
        return None if self._started == inf else self._started

    # ---- the chunk --------------------------------------------------------------------------------------------------

    def feed(self, data: bytes, now: float) -> list[Piece]:
        """What to hand on for a chunk of any size, in order. The chunk itself may be a piece."""
        phase = self._phase
        if phase is _REST:
            if self.gate is _DELIVER:
                at = self._skim(data, 0, now)
                if at == len(data):
                    return [data] if data else []
                return self._walk(data, at, now)
        elif phase is _PAYLOAD:
            message = self._message
            size = len(data)
            if message is not None and 0 < size < message.left and now - self._started <= self.rules.message_time:
                message.left -= size
                self.payload_bytes += size
                return [data]
        elif phase is _ENDED:
            return []
        return self._walk(data, 0, now)

    def _skim(self, data: bytes, at: int, now: float) -> int:
        """How far from `at`, where a message begins, there are only whole messages that pass without a question.

        Nothing is decided about the frame where it stops: that is for `_walk`.
        """
        size = len(data)
        mask_bit, header, limit, watch, pings, interval, window = self._terms
        tat = self._message_tat
        messages = payload_bytes = 0
        while at + 1 < size:
            first = data[at]
            if first != 0x81 and first != 0x82:  # noqa: PLR1714 - quicker than a membership
                break
            length = data[at + 1] - mask_bit
            payload = at + header
            if length == 126:
                payload += 2
                if payload > size:
                    break
                length = data[at + 2] << 8 | data[at + 3]
                if length < 126:
                    break
            elif not 0 <= length < 126:
                break
            end = payload + length
            if end > size or length > limit:
                break
            if first == 0x81:
                if length < _PREFIX_SIZE:
                    if pings and length == _PING_SIZE:
                        break
                elif watch:
                    opening = data[payload] ^ data[payload - 4] if mask_bit else data[payload]
                    if opening == 0x7B or opening <= 0x20:
                        # Most of an application's JSON shows by two bytes more that it isn't meant for us.
                        key = data[payload - 3] if mask_bit else 0
                        if (data[payload + 1] ^ key != 0x22 or data[payload + 9] ^ key in _NINTH) and _may_be_control(
                            data, payload, end, masked=mask_bit > 0
                        ):
                            break
            after = (now if tat < now else tat) + interval
            if after - now > window:
                break
            tat = after
            messages += 1
            payload_bytes += length
            at = end
        if messages:
            self._message_tat = tat
            self.messages += messages
            self.payload_bytes += payload_bytes
        return at

    def _walk(self, data: bytes, at: int, now: float) -> list[Piece]:
        """The pieces of a chunk of which the bytes before `at` pass."""
        if self._held:
            data = self._held + data
            self._held = b""
        out = Output(data)
        if now - self._started > self.rules.message_time:
            self._fail(out, at, Reason.MESSAGE_STALLED)
        while not self.ended:
            if self._asked:
                self._mark(out, at)
            after = self._judge(out, at, now)
            if after is None:
                break
            at = self._hurry(out, after, now)
        out.flush(at)
        self._rest(data[at:], now)
        return out.pieces

    def _hurry(self, out: Output, at: int, now: float) -> int:
        """After a frame: past all that needs no judge."""
        message = self._message
        if self.ended:
            return at
        if message is None:
            self._started = inf
            return at if self._asked or self.gate is not _DELIVER else self._skim(out.data, at, now)
        if message.left or message.fate is Fate.UNKNOWN:
            return at
        return self._skim_fragments(out, at, message)

    def _skim_fragments(self, out: Output, at: int, message: Message) -> int:
        """How far from `at`, between two fragments, there are only whole and small ones, of which none is the last."""
        data, start = out.data, at
        there = len(data)
        mask_bit, header, limit, *_ = self._terms
        frames, size = message.frames, message.size
        most = self.rules.frames_per_message
        while at + 1 < there and data[at] == 0x00 and frames < most:
            length = data[at + 1] - mask_bit
            end = at + header + length
            if not 0 < length < 126 or end > there or size + length > limit:
                break
            frames += 1
            size += length
            at = end
        if message.fate is Fate.PASS:
            self.payload_bytes += size - message.size
        else:
            out.remove(start, at)
        message.frames, message.size = frames, size
        return at

    def _rest(self, held: bytes, now: float) -> None:
        """The chunk is used up, but for `held`."""
        message = self._message
        if self.ended:
            self._phase = _Phase.ENDED
            return
        self._held = held
        if self._started == inf and (held or message is not None):
            self._started = now
        if message is not None and message.left and message.fate is Fate.PASS:
            self._phase = _Phase.PAYLOAD
        elif held or message is not None:
            self._phase = _Phase.FRAME
        else:
            self._phase = _Phase.REST

    def _mark(self, out: Output, at: int) -> None:
        """Hand out the Breaks asked for that `at` is a place for."""
        waiting = []
        for boundary in self._asked:
            if self.at_frame_boundary if boundary is Boundary.FRAME else self.at_message_boundary:
                out.insert(at, Break(boundary))
            else:
                waiting.append(boundary)
        self._asked = tuple(waiting)
