"""A message under way: the order of its frames, its limits, and what it may yet become."""

import pytest

from doorward.core.control import PREFIX
from doorward.core.frame_headers import BINARY, CONTINUATION, TEXT, Header
from doorward.core.frame_messages import JSON_PING, Fate, Message
from doorward.values.decision import Reason
from doorward.values.message import FrameRules, Recognise

RULES = FrameRules(masked=True, message_size=1000, frames_per_message=4, empty_frames_per_message=2)
WATCHING = FrameRules(masked=True, control_messages=Recognise.COLLECT, json_ping=True)


def header(opcode: int, length: int, *, fin: bool = True, compressed: bool = False) -> Header:
    return Header(0, opcode, fin, compressed, 6, 6 + length, length)


def message(*lengths: int, fate: Fate = Fate.PASS) -> Message:
    begun = Message()
    for index, length in enumerate(lengths):
        begun.add(header(CONTINUATION if index else TEXT, length, fin=False))
    begun.fate = fate
    return begun


def fault(begun: Message, frame: Header, *, wanted: bytes = b"") -> Reason | None:
    return begun.fault(frame, RULES, wanted=wanted)


def test_order() -> None:
    assert fault(message(), header(TEXT, 1)) is None
    assert fault(message(), header(CONTINUATION, 1)) is Reason.PROTOCOL_ERROR
    assert fault(message(1), header(CONTINUATION, 1)) is None
    assert fault(message(1), header(TEXT, 1)) is Reason.PROTOCOL_ERROR
    assert fault(message(1), header(BINARY, 1)) is Reason.PROTOCOL_ERROR


def test_size_is_the_sum() -> None:
    assert fault(message(), header(TEXT, 1000)) is None
    assert fault(message(), header(TEXT, 1001)) is Reason.MESSAGE_TOO_BIG
    assert fault(message(600, 400), header(CONTINUATION, 0)) is None
    assert fault(message(600, 400), header(CONTINUATION, 1)) is Reason.MESSAGE_TOO_BIG


def test_what_may_be_a_control_message_has_that_limit() -> None:
    assert fault(message(), header(TEXT, 8192), wanted=PREFIX) is None
    assert fault(message(), header(TEXT, 8193), wanted=PREFIX) is Reason.MESSAGE_TOO_BIG


def test_no_limit_is_none() -> None:
    assert Message().fault(header(TEXT, 1 << 62), FrameRules(masked=True, message_size=None), wanted=b"") is None


def test_frames_and_empty_frames() -> None:
    assert fault(message(1, 1, 1), header(CONTINUATION, 1)) is None
    assert fault(message(1, 1, 1, 1), header(CONTINUATION, 1)) is Reason.FRAME_COUNT
    assert fault(message(0), header(CONTINUATION, 0)) is None
    assert fault(message(0, 0), header(CONTINUATION, 0)) is Reason.FRAME_COUNT
    assert fault(message(0, 0), header(CONTINUATION, 1)) is None


@pytest.mark.parametrize(
    ("frame", "wanted"),
    [
        (header(TEXT, len(PREFIX) - 1), b""),
        (header(TEXT, len(PREFIX)), PREFIX),
        (header(TEXT, 70000), PREFIX),
        (header(TEXT, 0, fin=False), PREFIX),
        (header(TEXT, len(JSON_PING)), JSON_PING),
        (header(TEXT, len(JSON_PING), fin=False), PREFIX),
        (header(BINARY, 100), b""),
        (header(BINARY, len(JSON_PING)), b""),
        (header(TEXT, 100, compressed=True), b""),
    ],
)
def test_what_a_message_may_be(frame: Header, wanted: bytes) -> None:
    assert Message().wanted(frame, WATCHING) == wanted
    assert Message().wanted(frame, RULES) == b""


def test_what_a_message_may_still_be() -> None:
    begun = Message()
    begun.keep(header(TEXT, 5, fin=False), b"first frame")
    begun.keep(header(CONTINUATION, 0, fin=False), b"second")
    assert begun.wanted(header(CONTINUATION, 50), WATCHING) == PREFIX[5:]
    assert (begun.kept, begun.left, begun.frames, begun.empty) == (b"first framesecond", 0, 2, 1)
    begun.fate = Fate.PASS
    assert begun.wanted(header(CONTINUATION, 50), WATCHING) == b""
