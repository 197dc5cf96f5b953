"""One connection that sends a few bytes every millisecond, waits for them, and writes down how long that took.

`python -m bench.heartbeat PORT OPENING_FILE OUT`, until SIGTERM; OUT then holds a JSON list of [when, seconds], by
CLOCK_MONOTONIC. It and its backend run before all others on their core: what it sees is the gateway's delay.
"""

import json
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from websockets.speedups import apply_mask

BEAT: Final = 0.001
PATIENCE: Final = 10.0

_CLOSE: Final = 8
_PING: Final = 9
_ASK: Final = b"heartbeat"
_MASK: Final = b"\x01\x02\x03\x04"
_FRAME: Final = bytes((0x82, 0x80 | len(_ASK))) + _MASK + apply_mask(_ASK, _MASK)


class OverError(Exception):
    """SIGTERM came, or the connection ended."""


def stop(*_: object) -> None:
    raise OverError


def frames(buffer: bytearray) -> Iterator[tuple[int, bytes]]:
    """(opcode, payload) of every whole frame at the start of `buffer`, which they leave. All are under 64 KiB."""
    while len(buffer) >= 2:
        length, start = buffer[1] & 127, 2
        if length == 126:
            length, start = int.from_bytes(buffer[2:4], "big"), 4
        if len(buffer) < start + length:
            return
        frame = buffer[0] & 15, bytes(buffer[start : start + length])
        del buffer[: start + length]
        yield frame


def beat(connection: socket.socket, rest: bytes, out: list[tuple[float, float]]) -> None:
    """Ask and wait, for ever. Raises OverError."""
    buffer = bytearray(rest)
    while True:
        began = time.monotonic()
        connection.sendall(_FRAME)
        answered = False
        while not answered:
            got = connection.recv(4096)
            if not got:
                raise OverError
            buffer += got
            for opcode, payload in frames(buffer):
                if opcode == _CLOSE:
                    raise OverError
                if opcode == _PING:
                    connection.sendall(bytes((0x8A, 0x80 | len(payload))) + _MASK + apply_mask(payload, _MASK))
                answered = answered or payload == _ASK
        took = time.monotonic() - began
        out.append((began, took))
        time.sleep(max(0.0, BEAT - took))


def main() -> None:
    port, opening, result = int(sys.argv[1]), Path(sys.argv[2]).read_bytes(), Path(sys.argv[3])
    out: list[tuple[float, float]] = []
    signal.signal(signal.SIGTERM, stop)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(opening)
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(4096)
            if not head.startswith(b"HTTP/1.1 101 "):
                sys.exit(f"answered with {head.split(b' ', 2)[1].decode(errors='replace')}, not 101")
            result.with_suffix(".ready").touch()
            beat(connection, head.partition(b"\r\n\r\n")[2], out)
    except OverError:
        pass
    result.write_text(json.dumps(out))


if __name__ == "__main__":
    main()
