"""What a walker may let pass and what it hands out: frames and messages as nouns, which decide nothing."""

from dataclasses import dataclass
from enum import Enum, unique

from doorward.values.decision import Reason
from doorward.values.rules import Rate


@unique
class Gate(Enum):
    """What becomes of the application's next messages. Control frames, control messages and JSON pings don't ask it."""

    DELIVER = "deliver"
    REFUSE = "refuse"  # each dropped whole, with a Refused: renewal is due and grace does not deliver
    DROP = "drop"  # each dropped whole in silence: we are closing, and what still comes is nobody's; a flood ends it


@unique
class Boundary(Enum):
    """Where a frame of ours may stand in what is handed out (RFC 6455 section 5.4)."""

    FRAME = "frame"  # between two frames, if need be inside a fragmented message: ping, pong, close
    MESSAGE = "message"  # between two messages: a control message


@unique
class Recognise(Enum):
    """What happens to control messages (PRODUCT section 7): text frames that begin `{"type":"doorward.`

    What begins so but for white space is neither: a fault from the client, and dropped from the backend.
    """

    OFF = "off"
    COLLECT = "collect"  # from the client: kept back, and handed out as ControlMessage
    DROP = "drop"  # from the backend: none may come from there


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameRules:
    """What one direction of a relay may carry. One value serves every connection of a route.

    `masked`: frames come from the client (RFC 6455 section 5.1). `message_size`: bytes of payload in one message, as
    its headers declare them, so compressed ones where `deflate` was negotiated; None is no limit. `frames_per_message`
    and `empty_frames_per_message` are at least 1. `message_time`: seconds from a message's first byte to its last;
    `math.inf` is no limit. `control_rate` counts pings, pongs, control messages and JSON pings, `message_rate` all
    other messages. `refusals_before_close`: so many are told one by one, the next ends the connection; None is no
    limit. `control_message_size`: bytes of one control message. `json_ping`: answer exactly `{"type":"ping"}`.
    `own_ping_marker`: how the payload of our own pings begins, at most 125 bytes.
    """

    masked: bool
    message_size: int | None = 65536
    frames_per_message: int = 1024
    empty_frames_per_message: int = 16
    message_time: float = 30.0
    control_rate: Rate | None = Rate(count=5, period=1.0, burst=10)
    message_rate: Rate | None = None
    refusals_before_close: int | None = None
    deflate: bool = False
    control_messages: Recognise = Recognise.OFF
    control_message_size: int = 8192
    json_ping: bool = False
    own_ping_marker: bytes | None = None

    def __hash__(self) -> int:
        """Of what tells most apart: all fourteen, at every connection, would cost more than what they find."""
        return hash((self.masked, self.message_size, self.deflate, self.control_messages.value))


@dataclass(frozen=True, slots=True)
class ControlMessage:
    """A whole control message, unmasked. It was not handed out as bytes."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class JsonPing:
    """The client asked `{"type":"ping"}`, and we answer. It was not handed out as bytes."""


@dataclass(frozen=True, slots=True)
class OwnPong:
    """The answer to a ping of ours, unmasked. It was not handed out as bytes."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """One message was dropped whole, and the connection stays. `retry_after`: seconds; 0.0 where time won't help."""

    reason: Reason
    retry_after: float


@dataclass(frozen=True, slots=True)
class Dropped:
    """A control message came from where none may come, and was dropped whole."""


@dataclass(frozen=True, slots=True)
class Break:
    """Here, between what came before and what comes next, a frame of ours may stand."""

    boundary: Boundary


@dataclass(frozen=True, slots=True)
class PeerClosed:
    """The peer said Close: its frame was handed out just before, and nothing follows. `code`: None if it gave none."""

    code: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Violation:
    """The peer broke a rule. What was handed out before stays valid; nothing follows (RFC 6455 section 7.1.7)."""

    reason: Reason


Piece = bytes | ControlMessage | JsonPing | OwnPong | Refused | Dropped | Break | PeerClosed | Violation
