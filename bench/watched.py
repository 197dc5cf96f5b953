"""Doorward with a watch on its event loop: `python watched.py FILE run -c doorward.toml`. For the bench alone.

Every millisecond the loop is asked for a turn. A turn that came late is a line of FILE: when it came (seconds of
CLOCK_MONOTONIC), seconds since the turn before, and the CPU seconds that the loop's thread used meanwhile (far fewer
where the machine was busy with others). SIGUSR1 collects what Python might at any moment, and is a line too: the young
garbage; all of it is collected only with few connections, or after very many (doorward.adapters.gateway.garbage).
"""

import asyncio
import gc
import signal
import sys
import time
from pathlib import Path
from typing import Final, TextIO

import uvloop

BEAT: Final = 0.001
LATE: Final = 0.002


def watch(loop: asyncio.AbstractEventLoop, file: TextIO) -> None:
    """Ask `loop` for a turn every BEAT, and note the late ones."""
    last, used = time.monotonic(), time.thread_time()

    def beat() -> None:
        nonlocal last, used
        now, cpu = time.monotonic(), time.thread_time()
        if now - last > LATE:
            file.write(f"{now:.6f} {now - last:.6f} {cpu - used:.6f}\n")
        last, used = now, cpu
        loop.call_later(BEAT, beat)

    loop.call_soon(beat)


def main() -> None:
    with Path(sys.argv[1]).open("w", buffering=1) as file:
        run(file)


def run(file: TextIO) -> None:
    """`doorward` with the arguments after FILE."""
    make = uvloop.new_event_loop

    def watched() -> asyncio.AbstractEventLoop:
        loop = make()
        watch(loop, file)
        return loop

    setattr(uvloop, "new_event_loop", watched)  # noqa: B010 - its type is narrower than what is needed of it
    signal.signal(signal.SIGUSR1, lambda *_: gc.collect(1))
    sys.argv = ["doorward", *sys.argv[2:]]
    from doorward.cli import main as doorward

    doorward()


if __name__ == "__main__":
    main()
