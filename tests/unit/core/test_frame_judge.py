"""What the judge keeps back, refuses and drops: control messages, JSON pings, our own pongs, gates and rates."""

import pytest

from doorward.core.control import PREFIX
from doorward.core.frames import Walker
from doorward.values.decision import Reason
from doorward.values.message import (
    ControlMessage,
    Dropped,
    FrameRules,
    Gate,
    JsonPing,
    OwnPong,
    PeerClosed,
    Piece,
    Recognise,
    Refused,
    Violation,
)
from doorward.values.rules import Rate
from tests.unit.core.framing import KEY, ZERO_KEY, bytewise, fails, frame, joined, passed, walk

COLLECT = FrameRules(masked=True, control_messages=Recognise.COLLECT)
DROP = FrameRules(masked=False, message_size=None, control_messages=Recognise.DROP, control_rate=None)
PINGS = FrameRules(masked=True, json_ping=True)
AUTH = b'{"type":"doorward.auth","token":"abc"}'
MEANT = [
    b'{"type": "doorward.auth", "token": "abc"}',
    b'{"type" :"doorward.auth"}',
    b' {"type":"doorward.a"}',
    b'{\n  "type": "doorward.ping"\n}',
    b"\r\n" * 20 + b'{"type"\t:\t"doorward.',
]
NEARLY = [
    b'{"type":"doorwarD.auth"}',
    b'{"type":"doorward"}...',
    b'{"type": "doorward", "x": "."}',
    b'{"type": "publish", "x": "."}',
    b'{"type":"delete","x":"doorward."}',
    b'{\n  "type": "doorward"\n}',
    b'{"ty pe":"doorward.auth"}',
    b" " * 47 + PREFIX,
    b" " * 100,
]
BEFORE = frame(0x82, "before")
AFTER = frame(0x82, "after")


def both(rules: FrameRules, data: bytes) -> list[Piece]:
    """The pieces of the chunk, which have to be the same byte by byte."""
    pieces = walk(rules, data)
    assert bytewise(rules, data) == pieces
    return pieces


def clear(first: int, payload: bytes = b"") -> bytes:
    return frame(first, payload, key=None)


# ---- control messages from the client --------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [KEY, ZERO_KEY, PREFIX[:4]])
def test_a_control_message_is_handed_out_and_never_passes(key: bytes) -> None:
    data = BEFORE + frame(0x81, AUTH, key=key) + AFTER
    assert both(COLLECT, data) == [BEFORE, ControlMessage(AUTH), AFTER]


def test_the_bare_prefix_is_a_control_message() -> None:
    assert both(COLLECT, frame(0x81, PREFIX)) == [ControlMessage(PREFIX)]


@pytest.mark.parametrize(
    "text", [*NEARLY, PREFIX[:-1], b"", b"{", b"x" * 17 + b".", b"{" + b"y" * 16 + b"." + b"z" * 9]
)
def test_what_is_nearly_one_passes(text: bytes) -> None:
    data = BEFORE + frame(0x81, text) + AFTER
    assert both(COLLECT, data) == [data]


@pytest.mark.parametrize("key", [KEY, ZERO_KEY, b'{"ty'])
@pytest.mark.parametrize("text", MEANT)
def test_what_was_meant_to_be_one_is_not_delivered(text: bytes, key: bytes) -> None:
    """A proof that is written with a space is still a proof: no backend may read it."""
    fails(COLLECT, BEFORE + frame(0x81, text, key=key) + AFTER, Reason.CONTROL_MALFORMED, after=BEFORE)
    fails(COLLECT, BEFORE + frame(0x81, text + b"x" * 70000, key=key), Reason.MESSAGE_TOO_BIG, after=BEFORE)


def test_binary_is_none() -> None:
    data = frame(0x82, AUTH) + frame(0x82, MEANT[0])
    assert both(COLLECT, data) == [data]


def test_without_recognition_it_is_any_text() -> None:
    data = frame(0x81, AUTH) + frame(0x81, MEANT[0]) + frame(0x01, PREFIX) + frame(0x80, b"x")
    assert both(FrameRules(masked=True), data) == [data]


@pytest.mark.parametrize("at", range(len(PREFIX)))
def test_the_first_differing_byte_releases(at: int) -> None:
    text = PREFIX[:at] + b"?" + PREFIX[at + 1 :] + b"and more of it"
    data = frame(0x81, text)
    walker = Walker(COLLECT)
    decided = 6 + at + 1
    assert walker.feed(data[: decided - 1], 0.0) == []
    assert walker.feed(data[decided - 1 : decided], 0.0) == [data[:decided]]
    assert walker.feed(data[decided:], 0.0) == [data[decided:]]
    assert (walker.messages, walker.payload_bytes) == (1, len(text))


def test_a_control_message_has_a_limit_of_its_own() -> None:
    """The route's limit is the application's; a renewal with a long token is none of its messages."""
    small = FrameRules(masked=True, control_messages=Recognise.COLLECT, message_size=100)
    token = PREFIX + b"x" * (8192 - len(PREFIX))
    assert both(small, BEFORE + frame(0x81, token)) == [BEFORE, ControlMessage(token)]
    fails(COLLECT, BEFORE + frame(0x81, token + b"x"), Reason.CONTROL_MALFORMED, after=BEFORE)
    fails(small, BEFORE + frame(0x81, token + b"x"), Reason.MESSAGE_TOO_BIG, after=BEFORE)
    fails(small, BEFORE + frame(0x81, b"{" + token), Reason.MESSAGE_TOO_BIG, after=BEFORE)
    fails(small, BEFORE + frame(0x81, b"{" + token[:200]), Reason.MESSAGE_TOO_BIG, after=BEFORE)
    fails(small, BEFORE + frame(0x01, b"{") + frame(0x00, token[:100]), Reason.MESSAGE_TOO_BIG, after=BEFORE)


def test_a_control_message_that_is_too_long_is_not_waited_for() -> None:
    walker = Walker(COLLECT)
    head = frame(0x81, PREFIX, declare=8193)
    assert walker.feed(head, 0.0) == [Violation(Reason.CONTROL_MALFORMED)]


def test_control_messages_count_as_control_frames() -> None:
    one = frame(0x81, AUTH)
    pieces = walk(COLLECT, one * 11)
    assert pieces == [ControlMessage(AUTH)] * 10 + [Violation(Reason.CONTROL_RATE)]


def test_control_messages_are_none_of_the_applications() -> None:
    rules = FrameRules(masked=True, control_messages=Recognise.COLLECT, message_rate=Rate(1, 1.0, 1))
    walker = Walker(rules)
    walker.gate = Gate.REFUSE
    assert walker.feed(frame(0x81, AUTH) + frame(0x89), 0.0) == [ControlMessage(AUTH), frame(0x89)]
    walker.gate = Gate.DELIVER
    assert walker.feed(AFTER, 0.0) == [AFTER]
    assert (walker.messages, walker.payload_bytes, walker.refused) == (1, 5, 0)


# ---- in fragments ----------------------------------------------------------------------------------------------------


def fragments(*payloads: bytes, last: bool = True) -> bytes:
    frames = [
        frame((0x80 if last and index == len(payloads) - 1 else 0) | (0x00 if index else 0x01), payload)
        for index, payload in enumerate(payloads)
    ]
    return b"".join(frames)


@pytest.mark.parametrize(
    "cut",
    [
        [AUTH],
        [PREFIX[:1], PREFIX[1:]],
        [PREFIX[:5], b"", PREFIX[5:9], b"", PREFIX[9:] + b"auth"],
        [*(bytes([byte]) for byte in PREFIX)],
        [b"", PREFIX],
    ],
)
@pytest.mark.parametrize("last", [True, False])
def test_a_control_message_in_fragments(cut: list[bytes], last: bool) -> None:
    whole = len(cut) == 1 and last
    if whole:
        assert both(COLLECT, fragments(*cut)) == [ControlMessage(AUTH)]
    else:
        fails(COLLECT, BEFORE + fragments(*cut, last=last), Reason.CONTROL_FRAGMENTED, after=BEFORE)


@pytest.mark.parametrize(
    "cut",
    [
        [MEANT[0]],
        [MEANT[0][:8], b"", MEANT[0][8:]],
        [*(bytes([byte]) for byte in MEANT[-1])],
        [b"  ", PREFIX],
    ],
)
@pytest.mark.parametrize("last", [True, False])
def test_what_was_meant_to_be_one_in_fragments(cut: list[bytes], last: bool) -> None:
    fails(COLLECT, BEFORE + fragments(*cut, last=last), Reason.CONTROL_MALFORMED, after=BEFORE)


@pytest.mark.parametrize(
    "cut",
    [
        [b"", b""],
        [b" " * 30, b" " * 30],
        [b" " * 30, b" " * 30, b"    " + PREFIX],
        [MEANT[0][:8], b"x"],
        [PREFIX[:5], b"other", b"end"],
        [PREFIX[:17], b""],
        [PREFIX[:9], PREFIX[9:17]],
        [PREFIX[:9], PREFIX[9:17] + b"!"],
        [*(bytes([byte]) for byte in PREFIX[:17]), b"x", PREFIX],
        [b"x", PREFIX],
    ],
)
def test_fragments_that_are_none_pass_in_order(cut: list[bytes]) -> None:
    data = BEFORE + fragments(*cut) + AFTER
    assert both(COLLECT, data) == [data]
    assert both(FrameRules(masked=True), data) == [data]
    walker = Walker(COLLECT)
    walker.feed(data, 0.0)
    assert (walker.messages, walker.payload_bytes) == (3, 11 + sum(map(len, cut)))


def test_a_held_fragment_is_released_by_the_first_byte_that_differs() -> None:
    walker = Walker(COLLECT)
    start, rest = frame(0x01, PREFIX[:5]), frame(0x80, b"other")
    assert walker.feed(start, 0.0) == []
    assert walker.feed(rest[:6], 0.0) == []
    assert joined(walker.feed(rest[6:7], 0.0)) == [start + rest[:7]]
    assert walker.feed(rest[7:], 0.0) == [rest[7:]]


def test_control_frames_go_ahead_of_held_fragments() -> None:
    """Legal anywhere (RFC 6455 section 5.4), and simplest: a ping is answered while the rest is awaited."""
    start, ping, rest = frame(0x01, PREFIX[:5]), frame(0x89, "p"), frame(0x80, b"other")
    assert both(COLLECT, start + ping + rest) == [ping + start + rest]
    walker = Walker(COLLECT)
    assert walker.feed(start + ping, 0.0) == [ping]
    assert walker.at_message_boundary, "the receiver was given nothing of that message"
    assert joined(walker.feed(rest, 0.0)) == [start + rest]


def test_a_close_discards_held_fragments() -> None:
    start, close = frame(0x01, PREFIX[:5]), frame(0x88, b"\x03\xe8")
    assert both(COLLECT, start + close + frame(0x80, b"other")) == [close, PeerClosed(1000, "")]


def test_held_fragments_have_their_limits() -> None:
    start = frame(0x01)
    fails(COLLECT, start + frame(0x00) * 16, Reason.FRAME_COUNT)
    walker = Walker(COLLECT)
    walker.feed(start, 0.0)
    assert walker.message_started == 0.0
    assert walker.feed(frame(0x00), 30.1) == [Violation(Reason.MESSAGE_STALLED)]


# ---- control messages from the backend -------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 100, 20000, 65500])
def test_a_control_message_from_the_backend_is_dropped(size: int) -> None:
    data = clear(0x82, b"before") + clear(0x81, AUTH + b"x" * size) + clear(0x82, b"after")
    expected = [clear(0x82, b"before"), Dropped(), clear(0x82, b"after")]
    walker = Walker(DROP)
    assert walker.feed(data, 0.0) == expected
    assert (walker.messages, walker.payload_bytes) == (2, 11)
    chunks = (data[at : at + 7] for at in range(0, len(data), 7))
    assert joined(piece for chunk in chunks for piece in walker.feed(chunk, 0.0)) == expected


@pytest.mark.parametrize("text", MEANT)
def test_so_is_what_was_meant_to_be_one(text: bytes) -> None:
    data = clear(0x82, b"before") + clear(0x81, text) + clear(0x82, b"after")
    expected = [clear(0x82, b"before"), Dropped(), clear(0x82, b"after")]
    assert both(DROP, data) == expected
    parts = clear(0x01, text[:9]) + clear(0x00) + clear(0x00, text[9:]) + clear(0x80, b"more")
    assert both(DROP, clear(0x82, b"before") + parts + clear(0x82, b"after")) == expected


def test_so_is_one_in_fragments() -> None:
    """A violation would let whoever writes what the backend fans out close other people's connections."""
    ping = clear(0x89, b"p")
    message = clear(0x01, PREFIX[:9]) + ping + clear(0x00, PREFIX[9:] + b"ready") + ping + clear(0x80, b'"}')
    data = clear(0x82, b"before") + message + clear(0x82, b"after")
    pieces = both(DROP, data)
    assert pieces == [clear(0x82, b"before") + ping, Dropped(), ping + clear(0x82, b"after")]


@pytest.mark.parametrize("text", NEARLY)
def test_what_is_nearly_one_passes_from_the_backend(text: bytes) -> None:
    data = clear(0x81, text) + clear(0x01, text) + clear(0x80)
    assert both(DROP, data) == [data]


# ---- JSON pings and our own pongs ------------------------------------------------------------------------------------


def test_a_json_ping_is_answered_by_us() -> None:
    data = BEFORE + frame(0x81, '{"type":"ping"}') + AFTER
    assert both(PINGS, data) == [BEFORE, JsonPing(), AFTER]
    both_kinds = FrameRules(masked=True, json_ping=True, control_messages=Recognise.COLLECT)
    assert both(both_kinds, data + frame(0x81, AUTH)) == [BEFORE, JsonPing(), AFTER, ControlMessage(AUTH)]


@pytest.mark.parametrize(
    "other",
    [
        frame(0x81, '{"type":"pong"}'),
        frame(0x81, '{"type":"ping" }'),
        frame(0x81, "fifteen bytes.."),
        frame(0x82, '{"type":"ping"}'),
        frame(0x01, '{"type":"ping"}') + frame(0x80),
    ],
)
def test_nothing_else_is_a_json_ping(other: bytes) -> None:
    assert both(PINGS, other) == [other]


def test_json_pings_are_passed_on_where_nobody_asked_for_the_answer() -> None:
    data = frame(0x81, '{"type":"ping"}')
    assert both(COLLECT, data) == [data]


def test_json_pings_count_as_control_frames() -> None:
    assert walk(PINGS, frame(0x81, '{"type":"ping"}') * 11)[10:] == [Violation(Reason.CONTROL_RATE)]


def test_the_answer_to_our_own_ping_is_eaten() -> None:
    rules = FrameRules(masked=True, own_ping_marker=b"dw:")
    mine, theirs = frame(0x8A, "dw:17"), frame(0x8A, "dw17")
    ping = frame(0x89, "dw:17")
    assert both(rules, mine) == [OwnPong(b"dw:17")]
    assert both(rules, theirs + mine + ping) == [theirs, OwnPong(b"dw:17"), ping]
    inside = frame(0x01, "a") + mine + frame(0x80, "b")
    assert both(rules, inside) == [frame(0x01, "a"), OwnPong(b"dw:17"), frame(0x80, "b")]
    assert walk(rules, mine * 11)[10:] == [Violation(Reason.CONTROL_RATE)]
    assert both(FrameRules(masked=True), mine) == [mine]


# ---- gates and rates -------------------------------------------------------------------------------------------------


def test_the_gate_refuses_whole_messages() -> None:
    walker = Walker(FrameRules(masked=True))
    walker.gate = Gate.REFUSE
    ping = frame(0x89)
    message = frame(0x01, "a" * 200) + ping + frame(0x80, "b")
    assert walker.feed(message + AFTER, 0.0) == [
        Refused(Reason.RENEWAL_PENDING, 0.0),
        ping,
        Refused(Reason.RENEWAL_PENDING, 0.0),
    ]
    walker.gate = Gate.DELIVER
    assert walker.feed(AFTER, 0.0) == [AFTER]
    assert (walker.messages, walker.payload_bytes, walker.refused) == (1, 5, 2)


@pytest.mark.parametrize("gate", [Gate.REFUSE, Gate.DROP])
def test_every_fragment_of_a_dropped_message_is_dropped(gate: Gate) -> None:
    for size in (1, 7, 1000):
        walker = Walker(FrameRules(masked=True))
        walker.gate = gate
        message = frame(0x01, "a") + frame(0x00, "b") * 5 + frame(0x89) + frame(0x00) + frame(0x00, "c") * 5
        data = message + frame(0x80, "d")
        pieces = [piece for at in range(0, len(data), size) for piece in walker.feed(data[at : at + size], 0.0)]
        assert passed(pieces) == frame(0x89)
        assert (walker.messages, walker.payload_bytes) == (0, 0)


def test_the_gate_drops_in_silence() -> None:
    walker = Walker(FrameRules(masked=True))
    walker.gate = Gate.DROP
    assert walker.feed(AFTER + frame(0x89) + AFTER, 0.0) == [frame(0x89)]
    assert (walker.messages, walker.refused) == (0, 0)
    assert walker.feed(frame(0x88), 0.0) == [frame(0x88), PeerClosed(None, "")]


@pytest.mark.parametrize("gate", [Gate.REFUSE, Gate.DROP])
def test_the_gate_counts_from_the_next_message(gate: Gate) -> None:
    walker = Walker(FrameRules(masked=True))
    first, last = frame(0x01, "a" * 200), frame(0x80, "b")
    assert walker.feed(first[:50], 0.0) == [first[:50]]
    walker.gate = gate
    assert passed(walker.feed(first[50:] + last + AFTER, 0.0)) == first[50:] + last
    walker.feed(first, 0.0)
    walker.gate = Gate.DELIVER
    assert walker.feed(last + AFTER, 0.0) == [AFTER]


def test_a_closed_gate_is_no_way_around_the_rules() -> None:
    for gate in (Gate.REFUSE, Gate.DROP):
        for data, reason in (
            (frame(0x80, "x"), Reason.PROTOCOL_ERROR),
            (frame(0x82, declare=65537)[:10], Reason.MESSAGE_TOO_BIG),
            (frame(0x02) + frame(0x00) * 16, Reason.FRAME_COUNT),
        ):
            walker = Walker(FrameRules(masked=True))
            walker.gate = gate
            assert walker.feed(data, 0.0)[-1] == Violation(reason)


def test_a_message_over_the_rate_is_refused_whole_and_the_next_may_pass() -> None:
    walker = Walker(FrameRules(masked=True, message_rate=Rate(10, 1.0, 2)))
    start, last = frame(0x02, "a"), frame(0x80, "b")
    assert walker.feed(AFTER + AFTER, 5.0) == [AFTER + AFTER]
    (refused,) = walker.feed(start, 5.0)
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.MESSAGE_RATE
    assert refused.retry_after == pytest.approx(0.1)
    assert walker.feed(last, 5.05) == []
    assert walker.feed(AFTER, 5.0 + refused.retry_after) == [AFTER]
    assert (walker.messages, walker.refused) == (3, 1)


def test_so_many_refusals_are_told_and_the_next_ends_it() -> None:
    """A flood costs no more than that, however large the chunk that it comes in."""
    rules = FrameRules(masked=True, message_rate=Rate(10, 1.0, 2), refusals_before_close=3)
    walker = Walker(rules)
    pieces = walker.feed(AFTER * 30_000, 0.0)
    assert [type(piece) for piece in pieces] == [bytes, Refused, Refused, Refused, Violation]
    assert pieces[-1] == Violation(Reason.MESSAGE_RATE)
    assert (walker.messages, walker.refused) == (2, 3)
    pending = Walker(rules)
    pending.gate = Gate.REFUSE
    assert pending.feed(AFTER * 4, 0.0)[-1] == Violation(Reason.RENEWAL_PENDING)


def test_what_is_dropped_has_its_rate_too() -> None:
    walker = Walker(FrameRules(masked=True, message_rate=Rate(10, 1.0, 50)))
    walker.gate = Gate.DROP
    assert walker.feed(AFTER * 50, 0.0) == []
    assert walker.feed(AFTER, 0.0) == [Violation(Reason.MESSAGE_RATE)]
    assert walker.refused == 0


def test_a_refused_message_that_was_held_is_refused_once() -> None:
    walker = Walker(COLLECT)
    walker.gate = Gate.REFUSE
    assert walker.feed(frame(0x01, PREFIX[:5]), 0.0) == []
    assert walker.feed(frame(0x00, "other") + frame(0x80, "x"), 0.0) == [Refused(Reason.RENEWAL_PENDING, 0.0)]
    assert walker.at_message_boundary
    assert (walker.messages, walker.payload_bytes) == (0, 0)


def test_a_compressed_message_cannot_be_taken_out() -> None:
    """Its receiver would inflate the next one by what this one should have left behind."""
    rules = FrameRules(masked=True, deflate=True, message_rate=Rate(1, 1.0, 1))
    compressed = frame(0xC1, "xyz")
    assert walk(rules, compressed + compressed) == [compressed, Violation(Reason.MESSAGE_RATE)]
    refused = walk(rules, compressed + AFTER)[1]
    assert isinstance(refused, Refused), "what is not compressed leaves nothing behind"
    walker = Walker(rules)
    walker.gate = Gate.REFUSE
    assert walker.feed(compressed, 0.0) == [Violation(Reason.RENEWAL_PENDING)]


def test_a_close_is_never_over_the_rate() -> None:
    pings, close = frame(0x89) * 10, frame(0x88)
    assert walk(COLLECT, pings + close) == [pings + close, PeerClosed(None, "")]
