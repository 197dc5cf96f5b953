"""SECURITY B4, the rows that a walker alone can show; each in one chunk and byte by byte where that makes sense.

Text payloads' UTF-8 (FR-09, the first half of FR-10) is the backend's where nothing is inspected: here they pass.
"""

import tracemalloc

import pytest

from doorward.core.frame_headers import encode_close
from doorward.core.frames import Walker
from doorward.values.decision import Reason
from doorward.values.message import FrameRules, PeerClosed, Recognise, Refused, Violation
from doorward.values.rules import Rate
from tests.unit.core.framing import KEY, ZERO_KEY, bytewise, fails, frame, masked, passed, walk

D6 = 65536
CLIENT = FrameRules(masked=True, message_size=D6)
BACKEND = FrameRules(masked=False, message_size=None, control_rate=None)
DEFLATE = FrameRules(masked=True, deflate=True)
PATIENT = FrameRules(masked=True, control_rate=None, message_size=None)
ERROR = Reason.PROTOCOL_ERROR
GOOD = frame(0x81, "good")


def test_fr_01_unmasked_client_frame() -> None:
    fails(CLIENT, bytes.fromhex("810548656c6c6f"), ERROR)
    fails(CLIENT, GOOD + bytes.fromhex("810548656c6c6f"), ERROR, after=GOOD)


@pytest.mark.parametrize("first", [0xC1, 0xA1, 0x91, 0xF1, 0x41, 0xC2, 0x92])
def test_fr_02_reserved_bits(first: int) -> None:
    fails(CLIENT, GOOD + frame(first, "Hello", key=ZERO_KEY), ERROR, after=GOOD)


@pytest.mark.parametrize("first", [0x83, 0x84, 0x85, 0x86, 0x87, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F, 0x03, 0x0B])
def test_fr_03_reserved_opcodes(first: int) -> None:
    fails(CLIENT, GOOD + frame(first, "Hello", key=ZERO_KEY), ERROR, after=GOOD)


@pytest.mark.parametrize("head", ["81fe0005", "81ff0000000000000005", "81fe007d", "82ff000000000000ffff", "81fe0000"])
def test_fr_04_lengths_that_are_not_minimal(head: str) -> None:
    fails(CLIENT, GOOD + bytes.fromhex(head) + ZERO_KEY + b"Hello", ERROR, after=GOOD)


@pytest.mark.parametrize("head", ["82ff8000000000000000", "ffffffffffffffffffff"])
def test_fr_05_length_with_the_top_bit_set(head: str) -> None:
    """At once: without the masking key, and with nothing allocated for it."""
    for rules in (CLIENT, PATIENT):
        fails(rules, bytes.fromhex(head), ERROR)


@pytest.mark.parametrize("first", [0x88, 0x89, 0x8A])
def test_fr_06_control_frame_of_126_bytes(first: int) -> None:
    fails(CLIENT, frame(first, bytes(126)), ERROR)
    fails(CLIENT, bytes((first, 0xFE)), ERROR)
    fails(BACKEND, frame(first, bytes(126), key=None), ERROR)


@pytest.mark.parametrize("first", [0x08, 0x09, 0x0A])
def test_fr_07_fragmented_control_frame(first: int) -> None:
    fails(CLIENT, GOOD + frame(first, "x"), ERROR, after=GOOD)


def test_fr_07_control_frames_inside_a_fragmented_message() -> None:
    data = frame(0x01, "Hel") + frame(0x89, "p") + frame(0x00) + frame(0x8A, "q") + frame(0x80, "lo")
    assert walk(CLIENT, data) == [data]
    assert bytewise(CLIENT, data) == [data]


def test_fr_08_order_of_fragments() -> None:
    start = frame(0x01, "Hel")
    for wrong in (frame(0x80, "lo"), frame(0x00, "lo")):
        fails(CLIENT, GOOD + wrong, ERROR, after=GOOD)
        fails(CLIENT, start + frame(0x80, "lo") + wrong, ERROR, after=start + frame(0x80, "lo"))
    for wrong in (frame(0x81, "x"), frame(0x01, "x"), frame(0x82, "x"), frame(0x02, "x")):
        fails(CLIENT, start + wrong, ERROR, after=start)


@pytest.mark.parametrize("text", ["ff", "c0af", "eda080", "f4908080", "f5", "e282"])
def test_fr_09_text_is_the_backends_to_check(text: str) -> None:
    data = frame(0x81, bytes.fromhex(text))
    assert walk(CLIENT, data) == [data]


def test_fr_10_a_code_point_across_frames_and_a_ping() -> None:
    data = frame(0x01, b"\xe2") + frame(0x89, "p") + frame(0x80, b"\x82\xac")
    assert bytewise(CLIENT, data) == [data]


@pytest.mark.parametrize("reason", [b"\xff", b"\xed\xa0\x80", b"\xe2\x82"])
def test_fr_10_close_reason_that_is_no_text(reason: bytes) -> None:
    fails(CLIENT, GOOD + frame(0x88, b"\x03\xe8" + reason), Reason.INVALID_TEXT, after=GOOD)


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535])
def test_fr_11_close_code_that_may_not_be_sent(code: int) -> None:
    fails(CLIENT, frame(0x88, code.to_bytes(2)), ERROR)


def test_fr_11_close_of_one_byte() -> None:
    fails(CLIENT, frame(0x88, b"\x03"), ERROR)


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1011, 1012, 1014, 3000, 3999, 4000, 4999])
def test_fr_11_close_codes_that_pass(code: int) -> None:
    data = frame(0x88, code.to_bytes(2) + b"bye")
    for pieces in (walk(CLIENT, data), bytewise(CLIENT, data)):
        assert pieces == [data, PeerClosed(code, "bye")]


def test_fr_12_silence_after_close() -> None:
    close = frame(0x88, b"\x03\xe8")
    walker = Walker(CLIENT)
    assert walker.feed(GOOD + close + GOOD, 0.0) == [GOOD + close, PeerClosed(1000, "")]
    assert walker.feed(GOOD, 0.0) == []
    assert walker.feed(close, 0.0) == []
    assert (walker.messages, walker.closed) == (1, PeerClosed(1000, ""))


def test_fr_13_what_comes_after_the_end_is_not_kept() -> None:
    walker = Walker(CLIENT)
    walker.feed(frame(0x88), 0.0)
    chunk = bytes(D6)
    tracemalloc.start()
    try:
        for _ in range(1600):
            assert walker.feed(chunk, 0.0) == []
        assert tracemalloc.get_traced_memory()[1] < 4096
    finally:
        tracemalloc.stop()


def test_fr_14_too_big_in_one_frame() -> None:
    """Refused by its header: not one byte of it passes, and the masking key isn't waited for."""
    fails(CLIENT, GOOD + frame(0x82, declare=D6 + 1)[:10], Reason.MESSAGE_TOO_BIG, after=GOOD)


def test_fr_15_a_frame_that_declares_an_exabyte() -> None:
    fails(CLIENT, frame(0x82, declare=1 << 62)[:10], Reason.MESSAGE_TOO_BIG)
    walker = Walker(PATIENT)
    head = frame(0x82, declare=1 << 62)
    assert walker.feed(head, 0.0) == [head]
    assert walker.feed(bytes(1000), 30.0) == [bytes(1000)], "without a limit on its size it still has one on its time"
    assert walker.feed(bytes(1000), 30.1) == [Violation(Reason.MESSAGE_STALLED)]


def test_fr_16_too_big_in_fragments() -> None:
    start = frame(0x02, bytes(2048))
    more = frame(0x00, bytes(2048))
    data = start + more * 31
    fails(CLIENT, data + frame(0x00, b"x"), Reason.MESSAGE_TOO_BIG, after=data)


def test_fr_17_exactly_the_limit() -> None:
    one = frame(0x82, bytes(D6))
    many = frame(0x02, bytes(1024)) + frame(0x00, bytes(1024)) * 62 + frame(0x80, bytes(1024))
    text = frame(0x81, "€" * (D6 // 3) + "x")
    for data in (one, many, text):
        walker = Walker(CLIENT)
        assert passed(walker.feed(data, 0.0)) == data
        assert (walker.messages, walker.payload_bytes) == (1, D6)


def test_fr_18_one_byte_fragments() -> None:
    data = frame(0x02, "x") + frame(0x00, "x") * 1023
    fails(CLIENT, data + frame(0x00, "x") * 64512, Reason.FRAME_COUNT, after=data)
    assert walk(CLIENT, data[: -len(frame(0x00, "x"))] + frame(0x80, "x"))[-1] != Violation(Reason.FRAME_COUNT)


def test_fr_18_empty_fragments() -> None:
    data = frame(0x02) + frame(0x00) * 15
    fails(CLIENT, data + frame(0x80), Reason.FRAME_COUNT, after=data)
    whole = data + frame(0x80, "x")
    assert walk(CLIENT, whole) == [whole]


def test_fr_19_fragments_take_no_memory() -> None:
    walker = Walker(PATIENT)
    fragment = frame(0x00, "x")
    walker.feed(frame(0x02, "x"), 0.0)
    tracemalloc.start()
    try:
        for _ in range(1000):
            walker.feed(fragment, 0.0)
        assert tracemalloc.get_traced_memory()[1] < 2048
    finally:
        tracemalloc.stop()


def test_fr_20_a_message_held_open_by_pings() -> None:
    walker = Walker(CLIENT)
    walker.feed(frame(0x01, "begun"), 100.0)
    assert walker.message_started == 100.0
    ping = frame(0x89)
    for second in range(101, 131):
        assert walker.feed(ping, float(second)) == [ping]
    assert walker.feed(ping, 130.5) == [Violation(Reason.MESSAGE_STALLED)]


def test_fr_24_rsv1_where_it_means_nothing() -> None:
    fails(CLIENT, frame(0xC1, "x"), ERROR)
    fails(DEFLATE, frame(0x41, "x") + frame(0xC0, "x"), ERROR, after=frame(0x41, "x"))
    fails(DEFLATE, frame(0x41, "x") + frame(0x40, "x"), ERROR, after=frame(0x41, "x"))
    for control in (0xC8, 0xC9, 0xCA):
        fails(DEFLATE, frame(control), ERROR)
    for other in (0xA1, 0x91, 0xE1, 0xD1):
        fails(DEFLATE, frame(other, "x"), ERROR)
    good = frame(0xC1, "x") + frame(0x42, "x") + frame(0x80, "x") + frame(0x81, "plain")
    assert bytewise(DEFLATE, good) == [good]


def test_fr_24_control_messages_and_compression_exclude_each_other() -> None:
    both = FrameRules(masked=True, deflate=True, control_messages=Recognise.COLLECT)
    fails(both, frame(0xC1, "x"), ERROR)


@pytest.mark.parametrize("first", [0x89, 0x8A])
@pytest.mark.parametrize("size", [0, 125])
def test_fr_25_fr_26_floods_of_pings_and_pongs(first: int, size: int) -> None:
    one = frame(first, bytes(size))
    fails(CLIENT, one * 100, Reason.CONTROL_RATE, after=one * 10)


def test_fr_25_five_a_second_for_ever() -> None:
    walker = Walker(CLIENT)
    ping = frame(0x89)
    assert all(walker.feed(ping, tick * 0.2) == [ping] for tick in range(1000))


def test_fr_32_empty_messages_are_messages() -> None:
    rules = FrameRules(masked=True, message_rate=Rate(10, 1.0, 50))
    walker = Walker(rules)
    empty = frame(0x81)
    pieces = [piece for _ in range(10_000) for piece in walker.feed(empty, 7.0)]
    assert passed(pieces) == empty * 50
    assert (walker.messages, walker.refused) == (50, 9950)
    refused = [piece for piece in pieces if isinstance(piece, Refused)]
    assert {piece.reason for piece in refused} == {Reason.MESSAGE_RATE}
    assert all(0.09 < piece.retry_after <= 0.1001 for piece in refused)


def test_fr_34_nothing_after_a_bad_frame_is_processed() -> None:
    pay = frame(0x81, '{"do":"pay"}')
    for bad in (frame(0xC1, "x"), frame(0x83), frame(0x81, "x", key=None), frame(0x80, "x"), frame(0x89, bytes(126))):
        walker = Walker(CLIENT)
        assert walker.feed(GOOD + bad + pay, 0.0) == [GOOD, Violation(ERROR)]
        assert walker.feed(pay, 0.0) == []
        assert walker.ended


def test_fr_37_a_masked_frame_from_the_backend() -> None:
    good = frame(0x81, "good", key=None)
    fails(BACKEND, good + frame(0x81, "Hello"), ERROR, after=good)


def test_fr_38_close_reason_too_long() -> None:
    fails(CLIENT, frame(0x88, b"\x03\xe8" + b"x" * 124), ERROR)
    ours = encode_close(1000, "x" * 500, mask=KEY)
    assert walk(CLIENT, ours) == [ours, PeerClosed(1000, "x" * 123)]


def test_fr_40_many_small_frames_in_few_chunks() -> None:
    """Ten thousand frames of 0 to 10 bytes are one piece while they pass, and one each once they are refused."""
    frames = b"".join(frame(0x82, bytes(index % 11)) for index in range(10_000))
    walker = Walker(FrameRules(masked=True))
    pieces = walker.feed(frames, 0.0)
    assert len(pieces) == 1
    assert pieces[0] is frames
    limited = Walker(FrameRules(masked=True, message_rate=Rate(10, 1.0, 50)))
    pieces = limited.feed(frames, 0.0)
    assert (limited.messages, limited.refused, len(pieces)) == (50, 9950, 9951)


def test_masks_are_the_clients_own() -> None:
    """FRM-25: what is forwarded keeps its key, whatever that is."""
    data = b"".join(frame(0x82, masked(b"payload", key=key), key=key) for key in (ZERO_KEY, KEY, b"\xff" * 4))
    assert walk(CLIENT, data) == [data]
