"""A message under way remembers only counts: its frames in order, within their limits, and what they may yet become."""

from enum import Enum, unique
from typing import Final

from doorward.core.control import PREFIX, Likeness, likeness
from doorward.core.frame_headers import CONTINUATION, TEXT, Header
from doorward.values.decision import Reason
from doorward.values.message import FrameRules, Recognise

JSON_PING: Final = b'{"type":"ping"}'


@unique
class Fate(Enum):
    """What becomes of a message. Inspecting it whole would be a fourth, decided where PASS is."""

    UNKNOWN = "unknown"  # it may yet turn out to be a control message; nothing of it was handed out
    PASS = "pass"  # noqa: S105 - a fate, not a secret
    DROP = "drop"


@unique
class Sought(Enum):
    """What a message may be that we keep back."""

    NOTHING = "nothing"
    CONTROL = "control"
    PING = "ping"


class Message:
    """A message whose last byte hasn't come."""

    __slots__ = ("empty", "fate", "frames", "kept", "last", "left", "size", "start")

    def __init__(self) -> None:
        self.fate = Fate.UNKNOWN
        self.size = 0  # the sum of the lengths that its headers declared
        self.frames = 0
        self.empty = 0
        self.left = 0  # bytes of the frame under way that are still to come
        self.last = False  # whether that frame is the message's last
        self.kept = b""  # whole fragments held back while the fate is unknown
        self.start = b""  # their payloads

    def sought(self, frame: Header, rules: FrameRules) -> Sought:
        """What the message may yet be, by the header of its next frame."""
        if self.frames:
            return Sought.CONTROL if self.fate is Fate.UNKNOWN else Sought.NOTHING
        if frame.opcode != TEXT or frame.compressed:
            return Sought.NOTHING
        long_enough = frame.length >= len(PREFIX) or not frame.fin
        if long_enough and rules.control_messages is not Recognise.OFF:
            return Sought.CONTROL
        is_ping = rules.json_ping and frame.fin and frame.length == len(JSON_PING)
        return Sought.PING if is_ping else Sought.NOTHING

    def compare(self, sought: Sought, payload: bytes) -> Likeness:
        """Whether it is that, by as much of the next frame's payload as there is."""
        if sought is Sought.CONTROL:
            return likeness(self.start + payload)
        if payload == JSON_PING:
            return Likeness.EXACT
        return Likeness.OPEN if JSON_PING.startswith(payload) else Likeness.NONE

    def fault(self, frame: Header, rules: FrameRules, *, sought: Sought) -> Reason | None:
        """Why the next frame may not come, by its header alone.

        A control message, such as a renewal with a long token, has a size limit of its own. So a message over the
        application's limit that may still be one has to be asked again when it has shown that it isn't, with nothing
        sought.
        """
        if (frame.opcode == CONTINUATION) != (self.frames > 0):  # RFC 6455 section 5.4
            return Reason.PROTOCOL_ERROR
        if rules.message_size is not None:
            limit = rules.message_size
            if sought is not Sought.NOTHING:
                limit = max(limit, rules.control_message_size)
            if self.size + frame.length > limit:
                return Reason.MESSAGE_TOO_BIG
        if self.frames == rules.frames_per_message:
            return Reason.FRAME_COUNT
        if not frame.length and self.empty == rules.empty_frames_per_message:
            return Reason.FRAME_COUNT
        return None

    def add(self, frame: Header) -> None:
        """The frame is the message's next; its payload is still to come."""
        self.size += frame.length
        self.frames += 1
        self.empty += not frame.length
        self.left = frame.length
        self.last = frame.fin

    def keep(self, frame: Header, raw: bytes, payload: bytes) -> None:
        """The whole frame `raw` is the message's next, and held back: it goes on as a control message would."""
        self.add(frame)
        self.left = 0
        self.start += payload
        self.kept += raw
