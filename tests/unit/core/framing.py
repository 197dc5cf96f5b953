"""What the tests of the walker share: frames written by hand, and pieces with neighbouring bytes joined."""

from collections.abc import Iterable
from itertools import cycle
from operator import xor

from doorward.core.frames import Walker
from doorward.values.decision import Reason
from doorward.values.message import FrameRules, Piece, Violation

KEY = b"\x12\x34\x56\x78"
ZERO_KEY = bytes(4)


def frame(first: int, payload: bytes | str = b"", *, key: bytes | None = KEY, declare: int | None = None) -> bytes:
    """A frame whose first byte is as given, legal or not; `declare` is a length that the payload may not have."""
    raw = payload.encode() if isinstance(payload, str) else payload
    size = len(raw) if declare is None else declare
    bit = 0 if key is None else 0x80
    if size < 126:
        head = bytes((first, bit | size))
    elif size < 65536:
        head = bytes((first, bit | 126)) + size.to_bytes(2)
    else:
        head = bytes((first, bit | 127)) + size.to_bytes(8)
    return head + raw if key is None else head + key + masked(raw, key=key)


def masked(payload: bytes, *, key: bytes) -> bytes:
    """One byte at a time, as RFC 6455 section 5.3 says it: nothing of the core's own arithmetic."""
    return bytes(map(xor, payload, cycle(key)))


def joined(pieces: Iterable[Piece]) -> list[Piece]:
    """The same pieces with neighbouring bytes in one: what a receiver can tell apart."""
    result: list[Piece] = []
    for piece in pieces:
        last = result[-1] if result else None
        if isinstance(piece, bytes) and isinstance(last, bytes):
            result[-1] = last + piece
        else:
            result.append(piece)
    return result


def passed(pieces: Iterable[Piece]) -> bytes:
    return b"".join(piece for piece in pieces if isinstance(piece, bytes))


def walk(rules: FrameRules, *chunks: bytes, now: float = 0.0) -> list[Piece]:
    """Everything that a fresh walker hands out for these chunks."""
    walker = Walker(rules)
    return joined(piece for chunk in chunks for piece in walker.feed(chunk, now))


def bytewise(rules: FrameRules, data: bytes, now: float = 0.0) -> list[Piece]:
    return walk(rules, *(data[at : at + 1] for at in range(len(data))), now=now)


def fails(rules: FrameRules, data: bytes, reason: Reason, *, after: bytes = b"") -> None:
    """Assert that `after` passes, and that then comes the violation, in one chunk and byte by byte."""
    expected = [*([after] if after else []), Violation(reason)]
    assert walk(rules, data) == expected
    assert bytewise(rules, data) == expected
