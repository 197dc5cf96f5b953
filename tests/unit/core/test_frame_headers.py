"""The grammar of one frame: every first byte, every length form, every close code; what we write, others read."""

import pytest
from websockets.frames import Close, Frame, Opcode

from doorward.core.frame_headers import (
    BINARY,
    CLOSE,
    FIRST_BYTES,
    FIRST_BYTES_DEFLATE,
    PING,
    TEXT,
    Header,
    encode_close,
    encode_frame,
    encode_ping,
    encode_pong,
    may_close_with,
    read_close,
    read_header,
    unmask,
)
from doorward.values.decision import Reason
from doorward.values.message import PeerClosed
from tests.unit.core.framing import KEY, frame, masked

ERROR = Reason.PROTOCOL_ERROR


def read(data: bytes, *, masked: bool = True, deflate: bool = False, at: int = 0) -> Header | Reason | None:
    return read_header(data, at, first_bytes=FIRST_BYTES_DEFLATE if deflate else FIRST_BYTES, masked=masked)


def test_every_first_byte() -> None:
    """RFC 6455 section 5.2, by its own words: FIN, three reserved bits, four bits of opcode."""
    for first in range(256):
        fin, rsv, opcode = first >> 7, first >> 4 & 7, first & 15
        known = opcode in (0, 1, 2) or (opcode in (8, 9, 10) and fin)
        for deflate in (False, True):
            legal = known and (rsv == 0 or (deflate and rsv == 4 and opcode in (1, 2)))
            header = read(bytes((first, 0x80, 1, 2, 3, 4)), deflate=deflate)
            assert header == (Header(0, opcode, bool(fin), rsv == 4, 6, 6, 0) if legal else ERROR), hex(first)


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65535, 65536, 1 << 31, (1 << 63) - 1])
@pytest.mark.parametrize("key", [None, KEY])
def test_lengths_in_their_minimal_form(length: int, key: bytes | None) -> None:
    data = b"...." + frame(0x82, key=key, declare=length)
    payload = len(data)
    header = read(data, masked=key is not None, at=4)
    assert header == Header(4, BINARY, True, False, payload, payload + length, length)
    for cut in range(4, len(data) - (0 if key is None else 4)):
        assert read(data[:cut], masked=key is not None, at=4) is None


@pytest.mark.parametrize(
    "head",
    ["81fe0000", "81fe007d", "81ff0000000000000000", "81ff000000000000ffff", "81ff8000000000000000", "81ff" + "ff" * 8],
)
def test_lengths_in_another_form(head: str) -> None:
    assert read(bytes.fromhex(head)) is ERROR


def test_the_mask_bit_is_the_directions() -> None:
    assert read(b"\x81\x05", masked=True) is ERROR
    assert read(b"\x81\x85", masked=False) is ERROR
    assert read(b"\x81\xfe", masked=False) is ERROR


@pytest.mark.parametrize("first", [0x88, 0x89, 0x8A])
def test_control_frames_have_one_length_form(first: int) -> None:
    assert read(bytes((first, 0xFD))) == Header(0, first & 15, True, False, 6, 131, 125)
    assert read(bytes((first, 0xFE))) is ERROR
    assert read(bytes((first, 0xFF))) is ERROR


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 18, 125, 8192])
def test_unmask(size: int) -> None:
    payload = bytes(range(256)) * 32
    data = b"head" + KEY + masked(payload[:size], key=KEY) + b"tail"
    assert unmask(data, 8, 8 + size) == payload[:size]


def test_every_close_code() -> None:
    """RFC 6455 section 7.4 and the registry: 1004 to 1006 and 1015 are never on the wire, the rest is reserved."""
    legal = {1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)}
    assert {code for code in range(65536) if may_close_with(code)} == legal


def test_what_a_close_says() -> None:
    assert read_close(b"") == PeerClosed(None, "")
    assert read_close(b"\x03") is ERROR
    assert read_close(b"\x03\xe8") == PeerClosed(1000, "")
    assert read_close(b"\x0f\xa1" + "expiré".encode()) == PeerClosed(4001, "expiré")
    assert read_close(b"\x03\xee") is ERROR
    assert read_close(b"\x03\xe8\xff") is Reason.INVALID_TEXT
    assert read_close(b"\x03\xe8\xed\xa0\x80") is Reason.INVALID_TEXT
    assert read_close(b"\x03\xeebad code and bad text \xff") is ERROR


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 70000])
def test_what_we_write_is_what_another_library_writes(size: int) -> None:
    payload = b"doorward" * 9000
    expected = Frame(Opcode.TEXT, payload[:size]).serialize(mask=False)
    assert encode_frame(TEXT, payload[:size], mask=None) == expected
    header = read(written := encode_frame(TEXT, payload[:size], mask=KEY))
    assert isinstance(header, Header)
    assert (header.length, header.end) == (size, len(written))
    assert masked(written[header.payload :], key=KEY) == payload[:size]
    assert written[header.payload - 4 : header.payload] == KEY


def test_pings_and_pongs() -> None:
    assert encode_ping(b"Hello", mask=None) == b"\x89\x05Hello"
    assert encode_ping(mask=KEY) == b"\x89\x80" + KEY
    assert encode_pong(b"Hello", mask=bytes(4)) == b"\x8a\x85\0\0\0\0Hello"
    with pytest.raises(ValueError, match="125"):
        encode_ping(bytes(126), mask=None)
    with pytest.raises(ValueError, match="4 bytes"):
        encode_frame(PING, b"", mask=b"123")


def test_a_close_of_ours() -> None:
    written = encode_close(4001, "doorward:expired", mask=None)
    assert written == Frame(Opcode.CLOSE, Close(4001, "doorward:expired").serialize()).serialize(mask=False)
    assert encode_close(None, "unsaid", mask=None) == b"\x88\x00"
    assert encode_close(1000, mask=KEY) == b"\x88\x82" + KEY + masked(b"\x03\xe8", key=KEY)


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65536])
def test_a_code_that_no_frame_may_carry_is_never_sent(code: int) -> None:
    with pytest.raises(ValueError, match=str(code)):
        encode_close(code, mask=None)


@pytest.mark.parametrize(
    ("reason", "sent"),
    [
        ("x" * 500, b"x" * 123),
        ("é" * 62, ("é" * 61).encode()),
        ("x" + "é" * 61, b"x" + ("é" * 61).encode()),
        ("€" * 50, ("€" * 41).encode()),
        ("\N{GRINNING FACE}" * 31, ("\N{GRINNING FACE}" * 30).encode()),
        ("lone \ud800 surrogate", b"lone ? surrogate"),
    ],
)
def test_a_long_reason_is_cut_between_two_code_points(reason: str, sent: bytes) -> None:
    """FR-38, the half that we write."""
    written = encode_close(1011, reason, mask=None)
    assert written == bytes((0x80 | CLOSE, 2 + len(sent))) + b"\x03\xf3" + sent
    assert read_close(written[2:]) == PeerClosed(1011, sent.decode())
