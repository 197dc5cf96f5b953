"""A message under way remembers only counts: its frames in order, within their limits, and what they may yet become."""

from enum import Enum, unique
from typing import Final

from doorward.core.control import PREFIX
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


class Message:
    """A message whose last byte hasn't come."""

    __slots__ = ("empty", "fate", "frames", "kept", "last", "left", "matched", "size")

    def __init__(self) -> None:
        self.fate = Fate.UNKNOWN
        self.size = 0  # the sum of the lengths that its headers declared
        self.frames = 0
        self.empty = 0
        self.left = 0  # bytes of the frame under way that are still to come
        self.last = False  # whether that frame is the message's last
        self.kept = b""  # whole fragments held back while the fate is unknown
        self.matched = 0  # bytes of PREFIX in them

    def wanted(self, frame: Header, rules: FrameRules) -> bytes:
        """How the next frame's payload begins if this is a message that we keep back; b"" if it can't be one."""
        if self.frames:
            return PREFIX[self.matched :] if self.fate is Fate.UNKNOWN else b""
        if frame.opcode != TEXT or frame.compressed:
            return b""
        long_enough = frame.length >= len(PREFIX) or not frame.fin
        if long_enough and rules.control_messages is not Recognise.OFF:
            return PREFIX
        return JSON_PING if rules.json_ping and frame.fin and frame.length == len(JSON_PING) else b""

    def fault(self, frame: Header, rules: FrameRules, *, wanted: bytes) -> Reason | None:
        """Why the next frame may not come, by its header alone.

        A control message, such as a renewal with a long token, has a size limit of its own. So a message over the
        application's limit that may still be one has to be asked again when it has shown that it isn't, with `wanted`
        empty.
        """
        if (frame.opcode == CONTINUATION) != (self.frames > 0):  # RFC 6455 section 5.4
            return Reason.PROTOCOL_ERROR
        if rules.message_size is not None:
            limit = max(rules.message_size, rules.control_message_size) if wanted else rules.message_size
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

    def keep(self, frame: Header, raw: bytes) -> None:
        """The whole frame `raw` is the message's next, and held back: it goes on as a control message would."""
        self.add(frame)
        self.left = 0
        self.matched += frame.length
        self.kept += raw
