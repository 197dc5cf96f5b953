"""Whole messages meet what a walker's messages meet: same pieces, same counts, for messages of one frame."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.core.control import MAX_SIZE, PREFIX, REACH
from doorward.core.frame_headers import BINARY, TEXT, encode_frame
from doorward.core.frame_messages import Fate
from doorward.core.frames import Walker
from doorward.core.message_judge import WholeMessages
from doorward.values.decision import Reason
from doorward.values.message import (
    ControlMessage,
    Dropped,
    FrameRules,
    Gate,
    JsonPing,
    Recognise,
    Refused,
    Violation,
)
from doorward.values.rules import Rate

RULES = FrameRules(
    masked=True,
    message_size=100,
    message_rate=Rate(2, 1.0, 2),
    refusals_before_close=1,
    control_messages=Recognise.COLLECT,
    json_ping=True,
)
PING = PREFIX.decode() + 'ping"}'
MEANT = '{"type": "doorward.ping"}'
MESSAGES = st.sampled_from(
    [
        *["", "x", "é" * 49 + "xx", "é" * 51, "x" * 101, '{"type":"ping"}', '{"type":"door', PING, PREFIX.decode()],
        *[
            MEANT,
            "\n " + PING,
            MEANT + "é" * 40,
            " " * (REACH - len(PREFIX)) + PREFIX.decode(),
            " " * (REACH - len(PREFIX) + 1) + PREFIX.decode(),
            "\ufeff" + PING,
        ],
        *['{"type": "publish", "x": 1}', '{"type":"delete","x":"doorward."}', '{ "type" : "doorward" }'],
        *[b"", b"x", PREFIX, MEANT.encode(), b"x" * 101, PREFIX.decode() + "x" * MAX_SIZE],
    ]
)


def walked(walker: Walker, message: str | bytes, now: float) -> object:
    """What a walker makes of it, told as WholeMessages tells it."""
    opcode, data = (TEXT, message.encode()) if isinstance(message, str) else (BINARY, message)
    frame = encode_frame(opcode, data, mask=b"abcd" if walker.rules.masked else None)
    before = walker.messages
    pieces = walker.feed(frame, now)
    said = [piece for piece in pieces if not isinstance(piece, bytes)]
    assert len(said) <= 1
    if said:
        return said[0]
    return Fate.PASS if walker.messages > before else Fate.DROP


def judged(judge: WholeMessages, message: str | bytes, now: float) -> object:
    return judge.judge(message, b"", now) if isinstance(message, str) else judge.judge(None, message, now)


@given(
    st.lists(st.tuples(MESSAGES, st.sampled_from(list(Gate)), st.sampled_from([0.0, 0.1, 5.0])), max_size=30),
    st.sampled_from(list(Recognise)),
    st.booleans(),
    st.booleans(),
)
def test_it_judges_as_a_walker_does(said, recognise, ping, masked) -> None:
    rules = replace(RULES, control_messages=recognise, json_ping=ping, masked=masked)
    walker, judge = Walker(rules), WholeMessages(rules)
    now = 1000.0
    for message, gate, wait in said:
        now += wait
        walker.gate = judge.gate = gate
        found = judged(judge, message, now)
        assert found == walked(walker, message, now), message
        if isinstance(found, Violation):
            return
        assert (judge.messages, judge.payload_bytes, judge.refused) == (
            walker.messages,
            walker.payload_bytes,
            walker.refused,
        )


def test_size_is_counted_in_bytes() -> None:
    judge = WholeMessages(FrameRules(masked=True, message_size=4))
    assert judge.judge("éé", b"", 0.0) is Fate.PASS
    assert judge.judge("ééx", b"", 0.0) == Violation(Reason.MESSAGE_TOO_BIG)
    assert judge.payload_bytes == 4


def test_a_renewal_may_be_larger_than_a_message() -> None:
    judge = WholeMessages(replace(RULES, message_size=20))
    assert judge.judge(PING, b"", 0.0) == ControlMessage(PING.encode())
    assert judge.judge(PREFIX.decode() + "x" * MAX_SIZE, b"", 0.0) == Violation(Reason.MESSAGE_TOO_BIG)


@pytest.mark.parametrize(
    ("recognise", "found"),
    [
        (Recognise.COLLECT, ControlMessage(PING.encode())),
        (Recognise.DROP, Dropped()),
        (Recognise.OFF, Fate.PASS),
    ],
)
def test_control_messages_as_the_rules_say(recognise, found) -> None:
    assert WholeMessages(replace(RULES, control_messages=recognise)).judge(PING, b"", 0.0) == found


@pytest.mark.parametrize(
    ("recognise", "found"),
    [
        (Recognise.COLLECT, Violation(Reason.CONTROL_MALFORMED)),
        (Recognise.DROP, Dropped()),
        (Recognise.OFF, Fate.PASS),
    ],
)
def test_what_was_meant_to_be_one_is_not_delivered(recognise, found) -> None:
    assert WholeMessages(replace(RULES, control_messages=recognise)).judge(MEANT, b"", 0.0) == found


def test_the_gate_and_the_rate() -> None:
    judge = WholeMessages(RULES)
    assert judge.judge('{"type":"ping"}', b"", 0.0) == JsonPing()
    assert [judge.judge("x", b"", 0.0) for _ in range(2)] == [Fate.PASS] * 2
    assert isinstance(judge.judge("x", b"", 0.0), Refused)
    assert judge.judge("x", b"", 0.0) == Violation(Reason.MESSAGE_RATE)
    judge.gate = Gate.DROP
    assert judge.judge("x", b"", 60.0) is Fate.DROP
