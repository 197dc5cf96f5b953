"""A process of its own that spends tickets as a node does: on standard input lines of digests, a JSON list each.

All of a line are asked for at once. It is answered by a line, for each of them [what it was: won, spent or unknown,
from when, until when it was asked for], by the clock that all processes of a machine share.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

from doorward.config.load import load
from doorward.config.making import opened
from doorward.ports import Store
from doorward.values.ticket import SpentTicket, Ticket


async def spend(store: Store, digest: str, *, now: float) -> tuple[str, float, float]:
    begun = time.monotonic()
    found = await store.tickets.spend(bytes.fromhex(digest), now=now)
    return _what(found), begun, time.monotonic()


def _what(found: Ticket | SpentTicket | None) -> str:
    match found:
        case Ticket():
            return "won"
        case SpentTicket():
            return "spent"
        case None:
            return "unknown"


async def main(path: str) -> None:
    config = load(Path(path), environment={})
    if isinstance(config, list):
        raise SystemExit(str(config))
    reader = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with opened(config, report=print) as tools:
        print("open", flush=True)
        while line := await reader.readline():
            now = tools.clock.now()
            answers = await asyncio.gather(*(spend(tools.store, one, now=now) for one in json.loads(line)))
            print(json.dumps(answers), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
