"""Many silent connections from a process of their own, since one process may not open enough files for all of them.

`python -m bench.crowd ORDER`, where ORDER is a JSON file with `port`, `path`, `count`, `first`, `now` (epoch seconds)
and `secret`. When all are open, ORDER.opened says how long it took; on SIGTERM, ORDER.left how many were still open.
"""

import asyncio
import gc
import json
import resource
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

import uvloop

from bench.load import Socket, Url, leave_all, open_all, opening
from bench.tokens import mint

_AT_HOME: Final = 200
"""How many come from one loopback address: nobody has ten thousand connections, and so nobody's have to be counted."""


async def stay(order: Path) -> None:
    """Open all, wait for SIGTERM, leave."""
    wanted = json.loads(order.read_text())
    url, secret = Url(wanted["port"], wanted["path"]), wanted["secret"].encode()
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    openings = [
        opening(url, token=mint(secret, subject=f"user-{serial}", serial=serial, now=wanted["now"]))
        for serial in range(wanted["first"], wanted["first"] + wanted["count"])
    ]
    began = time.monotonic()
    sockets: list[Socket] = []
    for number, start in enumerate(range(0, len(openings), _AT_HOME)):
        home = replace(url, source=f"127.0.{1 + number // 250}.{1 + number % 250}")
        sockets += await open_all(home, openings[start : start + _AT_HOME])
    _write(order.with_suffix(".opened"), {"began": began, "ended": time.monotonic()})
    await told.wait()
    _write(order.with_suffix(".left"), {"alive": sum(not socket.closed.done() for socket in sockets)})
    await leave_all(sockets)


def _write(path: Path, said: dict[str, float]) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(said))
    part.rename(path)


if __name__ == "__main__":
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gc.disable()
    uvloop.run(stay(Path(sys.argv[1])))
