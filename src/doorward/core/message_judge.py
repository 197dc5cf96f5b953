"""What the messages of one direction meet, whoever cut them out of the stream: the gate, the rates, refusals, sizes.

The walker meets frames and asks here when one begins a message; where a server hands over whole messages, as ASGI's do,
`WholeMessages` asks the same for each.
"""

from math import inf

from doorward.core.control import PREFIX, is_meant
from doorward.core.frame_messages import JSON_PING, Fate
from doorward.core.rates import NEVER, pace, take
from doorward.values.decision import Reason
from doorward.values.message import ControlMessage, Dropped, FrameRules, Gate, JsonPing, Recognise, Refused, Violation

_CONTROL_TEXT = PREFIX.decode()
_PING_TEXT = JSON_PING.decode()
# read for every message; a module's name is found twice as fast as an enumeration's member
_DELIVER = Gate.DELIVER
_PASS = Fate.PASS

Judged = ControlMessage | JsonPing | Refused | Dropped | Violation | Fate


class MessageJudge:
    """`gate` may be set at any time and counts from the next message. `messages` and `payload_bytes` count what passed
    of the application's messages: whole ones, and bytes; `refused` counts the Refused."""

    __slots__ = ("_control_tat", "_message_tat", "gate", "messages", "payload_bytes", "refused", "rules")

    def __init__(self, rules: FrameRules) -> None:
        self.rules = rules
        self.gate = Gate.DELIVER
        self.messages = 0
        self.payload_bytes = 0
        self.refused = 0
        self._message_tat = NEVER
        self._control_tat = NEVER

    def verdict(self, now: float, *, compressed: bool = False) -> Fate | Refused | Reason:
        """What becomes of one of the application's messages; a Refused is dropped whole. A Reason ends it all."""
        refused = self._refusal(now)
        if refused is None:
            return Fate.DROP if self.gate is Gate.DROP else Fate.PASS
        # The receiver inflates a compressed message by what those before it left behind (RFC 7692 section 7.2): with
        # one missing, the next would be garbage. And where all are dropped, nobody is told of one more.
        most = self.rules.refusals_before_close
        if compressed or self.gate is Gate.DROP or (most is not None and self.refused >= most):
            return refused.reason
        self.refused += 1
        return refused

    def _refusal(self, now: float) -> Refused | None:
        if self.gate is Gate.REFUSE:
            return Refused(Reason.RENEWAL_PENDING, 0.0)
        if self.rules.message_rate is None:
            return None
        self._message_tat, wait = take(self._message_tat, self.rules.message_rate, now)
        return Refused(Reason.MESSAGE_RATE, wait) if wait else None

    def control_rate_exceeded(self, now: float) -> bool:
        """Count one control frame or control message."""
        if self.rules.control_rate is None:
            return False
        self._control_tat, wait = take(self._control_tat, self.rules.control_rate, now)
        return wait > 0.0


class WholeMessages(MessageJudge):
    """One direction of a connection whose server hands over messages and no frames: what a walker makes of each of
    them in one frame, uncompressed."""

    __slots__ = ("_interval", "_limit", "_watch", "_window")

    def __init__(self, rules: FrameRules) -> None:
        super().__init__(rules)
        self.hold_to(rules)

    def hold_to(self, rules: FrameRules) -> None:
        """Other limits from the next message on."""
        self.rules = rules
        self._watch = rules.control_messages is not Recognise.OFF
        self._limit = inf if rules.message_size is None else rules.message_size
        self._interval, self._window = pace(rules.message_rate)

    def judge(self, text: str | None, data: bytes, now: float) -> Judged:
        """One message: its text, or where that is None its bytes. Fate.PASS: it goes on. `now` as a walker's."""
        if text is None:
            size = len(data)
        else:
            size = len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
            if self._watch and is_meant(text):
                return self._control(text, size, now)
        if size > self._limit:
            return Violation(Reason.MESSAGE_TOO_BIG)
        if self.rules.json_ping and text == _PING_TEXT:
            return Violation(Reason.CONTROL_RATE) if self.control_rate_exceeded(now) else JsonPing()
        if self.gate is _DELIVER:
            # what nearly every message meets; `verdict` would say the same
            tat = self._message_tat
            after = (now if tat < now else tat) + self._interval
            if after - now <= self._window:
                self._message_tat = after
                self.messages += 1
                self.payload_bytes += size
                return _PASS
        return self._verdict(size, now)

    def _verdict(self, size: int, now: float) -> Judged:
        fate = self.verdict(now)
        if fate is Fate.PASS:
            self.messages += 1
            self.payload_bytes += size
            return fate
        return Violation(fate) if isinstance(fate, Reason) else fate

    def _control(self, text: str, size: int, now: float) -> Judged:
        """One that begins like a control message, but for white space, is one or nothing."""
        rules = self.rules
        if rules.message_size is not None and size > max(rules.message_size, rules.control_message_size):
            return Violation(Reason.MESSAGE_TOO_BIG)
        if rules.control_messages is Recognise.DROP:
            return Dropped()
        if size > rules.control_message_size or not text.startswith(_CONTROL_TEXT):
            return Violation(Reason.CONTROL_MALFORMED)
        if self.control_rate_exceeded(now):
            return Violation(Reason.CONTROL_RATE)
        return ControlMessage(text.encode("utf-8", "replace"))
