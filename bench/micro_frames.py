"""What the walker itself costs a chunk, without a socket: `PYTHONPATH=src:. .venv/bin/python -m bench.micro_frames`.

The least of many short runs, in nanoseconds: what the code costs when nothing disturbs it.
"""

import timeit

from doorward.core.frame_headers import BINARY, TEXT, encode_frame, encode_ping
from doorward.core.frames import Walker
from doorward.values.message import FrameRules, Piece, Recognise
from doorward.values.rules import Rate

KEY = b"\x12\x34\x56\x78"
FROM_CLIENT = FrameRules(
    masked=True,
    message_rate=Rate(count=1_000_000, period=1.0, burst=1_000_000),
    control_messages=Recognise.COLLECT,
    json_ping=True,
    own_ping_marker=b"dw:",
)
FROM_BACKEND = FrameRules(
    masked=False, message_size=None, control_rate=None, message_time=1e9, control_messages=Recognise.DROP
)
JSON = b'{"type":"publish","room":"lobby","text":"'.ljust(126, b".") + b'"}'


def measure(walker: Walker, *chunks: bytes) -> float:
    """Nanoseconds to feed these chunks in turn, the last of which leaves the walker where it was."""
    calls = 1000
    clock = iter(range(1 << 62))

    def once() -> None:
        now = float(next(clock))
        for chunk in chunks:
            walker.feed(chunk, now)

    once()
    return min(timeit.repeat(once, number=calls, repeat=60)) / calls * 1e9


def long_payload() -> Walker:
    """A walker inside a payload that does not end in this run."""
    walker = Walker(FROM_BACKEND)
    walker.feed(b"\x82\x7f" + (1 << 50).to_bytes(8), 0.0)
    return walker


def main() -> None:
    small = encode_frame(BINARY, bytes(128), mask=KEY)
    answer = encode_frame(TEXT, JSON, mask=None)
    large = encode_frame(BINARY, bytes(16384), mask=KEY)
    rows = [
        ("harness alone", measure_nothing()),
        ("128 B masked frame", measure(Walker(FROM_CLIENT), small)),
        ("128 B masked JSON text", measure(Walker(FROM_CLIENT), encode_frame(TEXT, JSON, mask=KEY))),
        ("128 B frame from the backend", measure(Walker(FROM_BACKEND), answer)),
        ("16 KiB masked frame", measure(Walker(FROM_CLIENT), large)),
        ("64 KiB in the middle of a payload", measure(long_payload(), bytes(65536))),
        ("16 frames of 128 B in one chunk", measure(Walker(FROM_CLIENT), small * 16)),
        ("a frame in two chunks", measure(Walker(FROM_CLIENT), small[:70], small[70:])),
        ("a ping", measure(Walker(FROM_CLIENT), encode_ping(b"12345678", mask=KEY))),
    ]
    for name, nanoseconds in rows:
        print(f"{name:36}{nanoseconds:8.0f} ns")


def measure_nothing() -> float:
    class Nothing(Walker):
        def feed(self, data: bytes, now: float) -> list[Piece]:
            return []

    return measure(Nothing(FROM_CLIENT), b"")


if __name__ == "__main__":
    main()
