"""How the walker hands on: the same bytes object where it can, breaks and boundaries, deadlines, nothing kept."""

import math
import sys
import tracemalloc

import pytest

from doorward.core.control import PREFIX
from doorward.core.frames import Walker
from doorward.values.decision import Reason
from doorward.values.message import (
    Boundary,
    Break,
    ControlMessage,
    FrameRules,
    Gate,
    PeerClosed,
    Recognise,
    Refused,
    Violation,
)
from doorward.values.rules import Rate
from tests.unit.core.framing import KEY, frame, joined, passed, walk

CLIENT = FrameRules(masked=True)
BACKEND = FrameRules(masked=False, message_size=None, control_rate=None)
FULL = FrameRules(
    masked=True,
    message_rate=Rate(10, 1.0, 50),
    control_messages=Recognise.COLLECT,
    json_ping=True,
    own_ping_marker=b"dw:",
)
ON_FRAME, ON_MESSAGE = Break(Boundary.FRAME), Break(Boundary.MESSAGE)


# ---- the same bytes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rules", [CLIENT, FULL])
@pytest.mark.parametrize(
    "payload",
    [b"", b"x", b'{"type":"publish","text":"..."}', b"x" * 125, b"x" * 126, b"x" * 65535, b"{" * 17 + b"!" * 50],
)
@pytest.mark.parametrize("opcode", [0x81, 0x82])
def test_whole_messages_are_handed_back_as_they_came(rules: FrameRules, payload: bytes, opcode: int) -> None:
    walker = Walker(rules)
    for count in (1, 3):
        chunk = frame(opcode, payload) * count
        pieces = walker.feed(chunk, 0.0)
        assert len(pieces) == 1
        assert pieces[0] is chunk
    assert (walker.messages, walker.payload_bytes) == (4, 4 * len(payload))


def test_frames_of_64_kib_and_more() -> None:
    walker = Walker(BACKEND)
    chunk = frame(0x82, bytes(100_000), key=None)
    assert walker.feed(chunk * 2, 0.0)[0] == chunk * 2
    assert (walker.messages, walker.payload_bytes) == (2, 200_000)


def test_the_middle_of_a_payload_is_handed_back_as_it_came() -> None:
    walker = Walker(BACKEND)
    data = frame(0x82, bytes(1_000_000), key=None)
    head, middle, tail = data[:100], data[100:900_000], data[900_000:]
    for chunk in (head, middle, tail):
        pieces = walker.feed(chunk, 0.0)
        assert len(pieces) == 1
        assert pieces[0] is chunk
    assert (walker.messages, walker.payload_bytes) == (1, 1_000_000)


def test_an_empty_chunk_is_nothing() -> None:
    for walker in (Walker(CLIENT), begun := Walker(CLIENT)):
        if walker is begun:
            walker.feed(frame(0x81, "text")[:7], 0.0)
        assert walker.feed(b"", 0.0) == []


def test_a_header_is_held_until_it_is_proven() -> None:
    data = frame(0x82, bytes(300))
    walker = Walker(CLIENT)
    for at in range(7):
        assert walker.feed(data[at : at + 1], 0.0) == []
        assert walker.torn
    assert walker.feed(data[7:8], 0.0) == [data[:8]]
    assert walker.feed(data[8:], 0.0) == [data[8:]]
    assert not walker.torn


@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize("size", [0, 2, 125, 126, 127, 65535, 65536])
def test_a_message_may_be_cut_anywhere_in_its_header(key: bytes | None, size: int) -> None:
    data = frame(0x82, bytes(size), key=key)
    for at in range(1, min(len(data), 16)):
        walker = Walker(FrameRules(masked=key is not None))
        assert passed(walker.feed(data[:at], 0.0) + walker.feed(data[at:], 0.0)) == data
        assert (walker.messages, walker.payload_bytes) == (1, size)


def test_control_frames_are_handed_out_whole() -> None:
    for first in (0x88, 0x89, 0x8A):
        data = frame(first, b"\x03\xe8" + b"x" * 100)
        walker = Walker(CLIENT)
        assert walker.feed(data[:-1], 0.0) == []
        assert walker.feed(data[-1:], 0.0)[0] == data


def test_small_messages_around_something_else() -> None:
    small, ping = frame(0x82, "small"), frame(0x89)
    walker = Walker(FULL)
    pieces = walker.feed(small * 3 + ping + small * 2 + frame(0x81, PREFIX) + small + ping, 0.0)
    assert joined(pieces) == [small * 3 + ping + small * 2, ControlMessage(PREFIX), small + ping]
    assert walker.messages == 6


# ---- breaks and boundaries -------------------------------------------------------------------------------------------


def test_where_the_output_stands() -> None:
    walker = Walker(CLIENT)
    where = []
    start, ping, last = frame(0x01, "abc"), frame(0x89, "p"), frame(0x80, "d")
    for chunk in (b"", start[:3], start[3:8], start[8:], ping[:3], ping[3:], last[:-1], last[-1:]):
        walker.feed(chunk, 0.0)
        where.append((walker.at_frame_boundary, walker.at_message_boundary))
    rest, inside, between = (True, True), (False, False), (True, False)
    assert where == [rest, rest, inside, between, between, between, inside, rest]


def test_what_is_dropped_was_never_handed_out() -> None:
    walker = Walker(CLIENT)
    walker.gate = Gate.REFUSE
    walker.feed(frame(0x01, "abc")[:7], 0.0)
    assert walker.at_frame_boundary
    assert walker.at_message_boundary


@pytest.mark.parametrize("boundary", Boundary)
def test_a_break_at_rest_comes_first(boundary: Boundary) -> None:
    walker = Walker(CLIENT)
    walker.ask_break(boundary)
    message = frame(0x82, "text")
    assert walker.feed(message, 0.0) == [Break(boundary), message]
    assert walker.feed(message, 0.0) == [message]


def test_a_break_stands_between_frames_even_if_every_chunk_ends_inside_one() -> None:
    walker = Walker(BACKEND)
    one = frame(0x82, bytes(1000), key=None)
    walker.feed(one[:500], 0.0)
    walker.ask_break(Boundary.MESSAGE)
    assert walker.feed(one[500:900], 0.0) == [one[500:900]]
    assert walker.feed(one[900:] + one[:500], 0.0) == [one[900:], ON_MESSAGE, one[:500]]
    assert walker.feed(one[500:] + one[:500], 0.0) == [one[500:] + one[:500]], "once"


def test_a_break_stands_at_the_first_boundary() -> None:
    walker = Walker(BACKEND)
    one = frame(0x82, b"text", key=None)
    walker.feed(one[:3], 0.0)
    walker.ask_break(Boundary.MESSAGE)
    assert walker.feed(one[3:] + one * 3, 0.0) == [one[3:], ON_MESSAGE, one * 3]


def test_a_break_may_stand_at_the_end_of_a_chunk() -> None:
    walker = Walker(BACKEND)
    one = frame(0x82, bytes(1000), key=None)
    walker.feed(one[:500], 0.0)
    walker.ask_break(Boundary.FRAME)
    assert walker.feed(one[500:], 0.0) == [one[500:], ON_FRAME]


def test_a_frame_break_comes_inside_a_message_and_a_message_break_after_it() -> None:
    walker = Walker(BACKEND)
    start, ping, last = frame(0x01, "abc", key=None), frame(0x89, key=None), frame(0x80, "d", key=None)
    walker.feed(start[:3], 0.0)
    for boundary in (Boundary.MESSAGE, Boundary.FRAME, Boundary.MESSAGE):
        walker.ask_break(boundary)
    assert walker.feed(start[3:] + ping + last + ping, 0.0) == [start[3:], ON_FRAME, ping + last, ON_MESSAGE, ping]


def test_a_break_waits_for_what_is_held() -> None:
    """A header that was not handed out is no frame yet: the break comes before it."""
    walker = Walker(CLIENT)
    data = frame(0x82, "text")
    walker.feed(data[:3], 0.0)
    walker.ask_break(Boundary.MESSAGE)
    assert walker.feed(data[3:], 0.0) == [ON_MESSAGE, data]


def test_no_break_after_the_end() -> None:
    walker = Walker(CLIENT)
    start, close = frame(0x01, "abc"), frame(0x88)
    walker.feed(start, 0.0)
    walker.ask_break(Boundary.MESSAGE)
    assert walker.feed(close, 0.0) == [close, PeerClosed(None, "")]
    walker.ask_break(Boundary.FRAME)
    assert walker.feed(close, 0.0) == []


# ---- time ------------------------------------------------------------------------------------------------------------


def test_a_message_has_its_time_however_it_comes() -> None:
    whole, start, held = frame(0x82, bytes(50)), frame(0x01, "abc"), frame(0x81, PREFIX)
    for begun in (whole[:1], whole[:3], whole[:20], start, held[:12], frame(0x89, "ping")[:8]):
        walker = Walker(FULL)
        walker.feed(begun, 100.0)
        assert walker.message_started == 100.0
        assert not any(isinstance(piece, Violation) for piece in walker.feed(b"", 130.0))
        assert walker.feed(b"\x00", 130.01) == [Violation(Reason.MESSAGE_STALLED)]


def test_the_next_message_has_its_own_time() -> None:
    walker = Walker(CLIENT)
    one = frame(0x82, bytes(50))
    for second in range(0, 200, 20):
        walker.feed(one[30:] + one[:30] if second else one[:30], float(second))
        assert walker.message_started == float(second)
    walker.feed(one[30:], 200.0)
    assert walker.message_started is None
    assert walker.feed(one, 1000.0) == [one]


def test_a_ping_in_two_halves_does_not_age_the_message_after_it() -> None:
    walker = Walker(CLIENT)
    ping, one = frame(0x89, "p"), frame(0x82, "text")
    walker.feed(ping[:3], 0.0)
    walker.feed(ping[3:] + one[:3], 29.0)
    assert walker.message_started == 29.0


def test_no_limit_on_time() -> None:
    walker = Walker(FrameRules(masked=True, message_time=math.inf))
    one = frame(0x82, bytes(50))
    walker.feed(one[:20], 0.0)
    assert walker.feed(one[20:], 1e9) == [one[20:]]


def test_a_stalled_message_leaves_the_output_where_it_was() -> None:
    """So that the relay knows to cut: a Close inside a frame would be payload."""
    walker = Walker(CLIENT)
    walker.feed(frame(0x82, bytes(50))[:20], 0.0)
    assert walker.feed(b"x", 31.0) == [Violation(Reason.MESSAGE_STALLED)]
    assert not walker.at_frame_boundary


def test_torn() -> None:
    walker = Walker(CLIENT)
    data = frame(0x01, "a") + frame(0x80, "b")
    for at in range(len(data)):
        assert walker.torn == (at > 0)
        walker.feed(data[at : at + 1], 0.0)
    assert not walker.torn
    walker.feed(frame(0x01, "a") + frame(0x88), 0.0)
    assert not walker.torn, "a Close ends the stream wherever it comes"


# ---- memory ----------------------------------------------------------------------------------------------------------


def test_a_walker_at_rest_is_small() -> None:
    messages = frame(0x82, bytes(60_000)) + frame(0x01, PREFIX[:9]) + frame(0x80, bytes(5000)) + frame(0x81, PREFIX)
    halves = messages[:70], messages[70:]
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        walkers = [Walker(FULL) for _ in range(100)]
        for walker in walkers:
            for half in halves:
                walker.feed(half, 1.5)
        used = (tracemalloc.get_traced_memory()[0] - before) / len(walkers)
    finally:
        tracemalloc.stop()
    assert used < 600
    assert sys.getsizeof(walkers[0]) < 250


def test_a_chunk_is_not_kept() -> None:
    walker = Walker(BACKEND)
    one = frame(0x82, bytes(1_000_000), key=None)
    tracemalloc.start()
    try:
        for at in range(0, len(one), 65536):
            walker.feed(one[at : at + 65536], 0.0)
            assert tracemalloc.get_traced_memory()[0] < 4096
    finally:
        tracemalloc.stop()


# ---- the quick way and the long way ----------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [0x00, 0x80, 0x01, 0x02, 0x81, 0x82, 0x89, 0x8A])
@pytest.mark.parametrize("size", [0, 1, 15, 18, 125, 126, 65535, 65536, 65537])
@pytest.mark.parametrize("key", [None, KEY])
def test_a_break_asked_for_changes_nothing_else(first: int, size: int, key: bytes | None) -> None:
    """With a break asked for, nothing is skimmed: the judge has to say the same of every frame."""
    rules = FrameRules(masked=key is not None, control_messages=Recognise.COLLECT, json_ping=True)
    data = frame(first, bytes(size), key=key)
    if first in (0x89, 0x8A) and size > 125:
        data = frame(first, key=key)
    asked = Walker(rules)
    asked.ask_break(Boundary.FRAME)
    assert asked.feed(data, 0.0)[1:] == walk(rules, data)
    skimmed = Walker(rules)
    skimmed.feed(data, 0.0)
    assert (asked.messages, asked.payload_bytes) == (skimmed.messages, skimmed.payload_bytes)


def test_passed_is_all_of_it() -> None:
    data = frame(0x82, "x") * 10 + frame(0x89) + frame(0x01, "y") + frame(0x80, "z")
    assert passed(walk(CLIENT, data)) == data


def test_other_limits_count_from_the_next_message_on() -> None:
    walker = Walker(FrameRules(masked=True, message_size=None, refusals_before_close=None))
    slow = Rate(count=1, period=10.0, burst=1)
    whole = frame(0x81, "x" * 300)
    assert passed(walker.feed(whole, 0.0)) == whole
    walker.hold_to(FrameRules(masked=True, message_size=300, message_rate=slow, refusals_before_close=2))
    assert passed(walker.feed(whole, 1.0)) == whole
    told = [walker.feed(whole, 1.0) for _ in range(2)]
    assert [[type(piece) for piece in pieces] for pieces in told] == [[Refused], [Refused]]
    # fewer refusals than there were already: the next one ends it
    walker.hold_to(FrameRules(masked=True, message_size=200, message_rate=slow, refusals_before_close=1))
    assert walker.feed(whole, 1.0)[-1] == Violation(Reason.MESSAGE_TOO_BIG)
    walker = Walker(FrameRules(masked=True, message_rate=slow))
    walker.feed(whole, 0.0)
    walker.feed(whole, 0.0)
    walker.hold_to(FrameRules(masked=True, message_rate=slow, refusals_before_close=0))
    assert walker.feed(whole, 0.0)[-1] == Violation(Reason.MESSAGE_RATE)
