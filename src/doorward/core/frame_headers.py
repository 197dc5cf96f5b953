"""The grammar of a single frame, read and written, without any memory of the frames before it (RFC 6455 section 5)."""

from typing import Final, NamedTuple

from doorward.values.decision import Reason
from doorward.values.message import PeerClosed

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

FIN: Final = 0x80
RSV1: Final = 0x40
OPCODE: Final = 0x0F
CONTROL: Final = 0x08  # the opcode's bit that control frames have and data frames have not (section 5.5)
MASKED: Final = 0x80

# A first byte is FIN, three reserved bits and the opcode. These nine are all that may come: reserved bits and reserved
# opcodes are missing, and so are control frames without FIN (sections 5.2, 5.4, 5.5).
FIRST_BYTES: Final = frozenset(b"\x00\x80\x01\x81\x02\x82\x88\x89\x8a")
# permessage-deflate adds RSV1, on the first frame of a data message only (RFC 7692 section 6).
FIRST_BYTES_DEFLATE: Final = FIRST_BYTES | frozenset(b"\x41\xc1\x42\xc2")

MAX_CONTROL: Final = 125  # bytes of payload in a control frame (section 5.5)
_MAX_REASON: Final = MAX_CONTROL - 2


class Header(NamedTuple):
    """A proven header, as offsets into the bytes that it was read from.

    The payload's `length` is as declared. It, and the masking key in the four bytes before it, may be still to come.
    """

    start: int
    opcode: int
    fin: bool
    compressed: bool
    payload: int
    end: int
    length: int


def read_header(data: bytes, at: int, *, first_bytes: frozenset[int], masked: bool) -> Header | Reason | None:
    """The header at `at`. None: more bytes are needed. A Reason: given as soon as the bytes that are there prove it."""
    there = len(data) - at
    if not there:
        return None
    first = data[at]
    if first not in first_bytes:
        return Reason.PROTOCOL_ERROR
    if there < 2:
        return None
    length = data[at + 1] - (MASKED if masked else 0)
    if not 0 <= length <= 127:  # the mask bit is wrong for the direction (section 5.1)
        return Reason.PROTOCOL_ERROR
    payload = at + 2
    if length > 125:
        if first & CONTROL:
            return Reason.PROTOCOL_ERROR
        payload += 2 if length == 126 else 8
        if len(data) < payload:
            return None
        shortest = 126 if length == 126 else 65536
        length = int.from_bytes(data[at + 2 : payload])
        if length < shortest or length >> 63:  # not the minimal form, or the top bit set (section 5.2)
            return Reason.PROTOCOL_ERROR
    if masked:
        payload += 4
    return Header(at, first & OPCODE, first >= FIN, first & RSV1 != 0, payload, payload + length, length)


def unmask(data: bytes, start: int, end: int) -> bytes:
    """The bytes from `start`, where a payload begins, to `end`, without the mask that stands before it.

    For a few KiB at most: what is only passed on is never unmasked.
    """
    return _xor(data[start:end], key=data[start - 4 : start])


def _xor(payload: bytes, *, key: bytes) -> bytes:
    """RFC 6455 section 5.3. One XOR of two long integers is some 50 times quicker than one a byte."""
    size = len(payload)
    stream = (key * ((size + 3) // 4))[:size]
    return (int.from_bytes(payload) ^ int.from_bytes(stream)).to_bytes(size)


def may_close_with(code: int) -> bool:
    """Whether a close code may be on the wire (RFC 6455 section 7.4; 1012 to 1014 from the IANA registry).

    1004, 1005, 1006 and 1015 have a meaning that no frame may carry; 1016 to 2999 are reserved.
    """
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


def read_close(payload: bytes) -> PeerClosed | Reason:
    """What a Close says, by its unmasked payload (RFC 6455 section 5.5.1)."""
    if not payload:
        return PeerClosed(None, "")
    if len(payload) == 1 or not may_close_with(code := int.from_bytes(payload[:2])):
        return Reason.PROTOCOL_ERROR
    try:
        return PeerClosed(code, payload[2:].decode())
    except UnicodeDecodeError:
        return Reason.INVALID_TEXT


def encode_frame(opcode: int, payload: bytes, *, mask: bytes | None) -> bytes:
    """One unfragmented frame of minimal length.

    `mask`: four unpredictable bytes towards a backend, None towards a client (RFC 6455 sections 5.1, 5.3).
    ValueError: a mask of another size, or a control frame over 125 bytes.
    """
    size = len(payload)
    if opcode & CONTROL and size > MAX_CONTROL:
        raise ValueError(f"a control frame holds at most {MAX_CONTROL} bytes, not {size}")
    if mask is not None and len(mask) != 4:
        raise ValueError(f"a mask has 4 bytes, not {len(mask)}")
    bit = 0 if mask is None else MASKED
    first = FIN | opcode
    if size < 126:
        head = bytes((first, bit | size))
    elif size < 65536:
        head = bytes((first, bit | 126)) + size.to_bytes(2)
    else:
        head = bytes((first, bit | 127)) + size.to_bytes(8)
    return head + payload if mask is None else head + mask + _xor(payload, key=mask)


def encode_ping(payload: bytes = b"", *, mask: bytes | None) -> bytes:
    """A ping of at most 125 bytes; else ValueError."""
    return encode_frame(PING, payload, mask=mask)


def encode_pong(payload: bytes = b"", *, mask: bytes | None) -> bytes:
    """A pong of at most 125 bytes; else ValueError."""
    return encode_frame(PONG, payload, mask=mask)


def encode_close(code: int | None, reason: str = "", *, mask: bytes | None) -> bytes:
    """A Close. A reason over 123 bytes of UTF-8 is cut between two code points; None is a Close without code or reason.

    ValueError: a code that may not be on the wire, such as 1005, 1006 and 1015.
    """
    if code is None:
        return encode_frame(CLOSE, b"", mask=mask)
    if not may_close_with(code):
        raise ValueError(f"{code} is no close code for the wire")
    # a lone surrogate, which UTF-8 cannot hold, becomes "?"
    text = reason.encode(errors="replace")[:_MAX_REASON].decode(errors="ignore").encode()
    return encode_frame(CLOSE, code.to_bytes(2) + text, mask=mask)
