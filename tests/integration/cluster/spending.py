"""A process of its own that spends tickets as a node does: digests on standard input, a line each; `go` spends them.

Each is answered by a line: won, spent or unknown.
"""

import asyncio
import sys
from pathlib import Path

from doorward.config.load import load
from doorward.config.making import opened
from doorward.ports import Store
from doorward.values.ticket import SpentTicket, Ticket

AT_ONCE = 20


async def spend(store: Store, digest: str, *, now: float) -> str:
    match await store.tickets.spend(bytes.fromhex(digest), now=now):
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
        waiting: list[str] = []
        while line := (await reader.readline()).decode().strip():
            if line != "go":
                waiting.append(line)
                continue
            for begin in range(0, len(waiting), AT_ONCE):
                now = tools.clock.now()
                some = waiting[begin : begin + AT_ONCE]
                print("\n".join(await asyncio.gather(*(spend(tools.store, one, now=now) for one in some))))
            waiting.clear()
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
