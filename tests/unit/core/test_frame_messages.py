"""A message under way: the order of its frames, its limits, and what it may yet become."""

import pytest

from doorward.core.control import PREFIX, Likeness
from doorward.core.frame_headers import BINARY, CONTINUATION, TEXT, Header
from doorward.core.frame_messages import JSON_PING, Fate, Message, Sought
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


def fault(begun: Message, frame: Header, *, sought: Sought = Sought.NOTHING) -> Reason | None:
    return begun.fault(frame, RULES, sought=sought)


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
    assert fault(message(), header(TEXT, 8192), sought=Sought.CONTROL) is None
    assert fault(message(), header(TEXT, 8193), sought=Sought.CONTROL) is Reason.MESSAGE_TOO_BIG


def test_no_limit_is_none() -> None:
    unlimited = FrameRules(masked=True, message_size=None)
    assert Message().fault(header(TEXT, 1 << 62), unlimited, sought=Sought.NOTHING) is None


def test_frames_and_empty_frames() -> None:
    assert fault(message(1, 1, 1), header(CONTINUATION, 1)) is None
    assert fault(message(1, 1, 1, 1), header(CONTINUATION, 1)) is Reason.FRAME_COUNT
    assert fault(message(0), header(CONTINUATION, 0)) is None
    assert fault(message(0, 0), header(CONTINUATION, 0)) is Reason.FRAME_COUNT
    assert fault(message(0, 0), header(CONTINUATION, 1)) is None


@pytest.mark.parametrize(
    ("frame", "sought"),
    [
        (header(TEXT, len(PREFIX) - 1), Sought.NOTHING),
        (header(TEXT, len(PREFIX)), Sought.CONTROL),
        (header(TEXT, 70000), Sought.CONTROL),
        (header(TEXT, 0, fin=False), Sought.CONTROL),
        (header(TEXT, len(JSON_PING)), Sought.PING),
        (header(TEXT, len(JSON_PING), fin=False), Sought.CONTROL),
        (header(BINARY, 100), Sought.NOTHING),
        (header(BINARY, len(JSON_PING)), Sought.NOTHING),
        (header(TEXT, 100, compressed=True), Sought.NOTHING),
    ],
)
def test_what_a_message_may_be(frame: Header, sought: Sought) -> None:
    assert Message().sought(frame, WATCHING) is sought
    assert Message().sought(frame, RULES) is Sought.NOTHING


def test_what_a_message_may_still_be() -> None:
    begun = Message()
    begun.keep(header(TEXT, 5, fin=False), b"first frame", PREFIX[:5])
    begun.keep(header(CONTINUATION, 0, fin=False), b"second", b"")
    assert begun.sought(header(CONTINUATION, 50), WATCHING) is Sought.CONTROL
    assert begun.compare(Sought.CONTROL, PREFIX[5:] + b"x") is Likeness.EXACT
    assert begun.compare(Sought.CONTROL, PREFIX[5:-1]) is Likeness.OPEN
    assert begun.compare(Sought.CONTROL, PREFIX) is Likeness.NONE
    assert (begun.kept, begun.left, begun.frames, begun.empty) == (b"first framesecond", 0, 2, 1)
    begun.fate = Fate.PASS
    assert begun.sought(header(CONTINUATION, 50), WATCHING) is Sought.NOTHING


def test_a_json_ping_is_that_and_nothing_else() -> None:
    assert Message().compare(Sought.PING, JSON_PING) is Likeness.EXACT
    assert Message().compare(Sought.PING, JSON_PING[:9]) is Likeness.OPEN
    assert Message().compare(Sought.PING, b" " + JSON_PING[1:]) is Likeness.NONE
