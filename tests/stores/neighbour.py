"""Another process over the same SQLite file or PostgreSQL: does what its standard input says, and answers, in JSON.

`python -m tests.stores.neighbour PATH-OR-URL PROCESS`. Prints "ready" first. What stands in one line is begun at once.
"""

import asyncio
import json
import resource
import sys
from pathlib import Path
from typing import Any

from doorward.adapters.stores.sqlite import SqliteStore
from doorward.ports import Store, StoreError
from doorward.values.question import Slot
from doorward.values.rules import Rate
from doorward.values.ticket import Ticket
from tests.stores.clock import NOW, StillClock
from tests.stores.made import ban, digest, key, revocation, slot, ticket

ROOT = Path(__file__).parents[2]


async def do(store: Store, what: str, *, arguments: list[Any]) -> object:
    """One thing, and what came of it as a JSON value."""
    match what, arguments:
        case "put", [code]:
            await store.tickets.put(ticket(code), most=1000)
            return None
        case "spend", [code]:
            return isinstance(await store.tickets.spend(digest(code), now=NOW), Ticket)
        case "rate", [key_]:
            rate = Rate(count=1, period=60.0, burst=20)
            return await store.rates.take(name="n", key=key_, rate=rate, cost=1, now=NOW)
        case "slot", [connection, most]:
            question = slot(connection, per_identity=most, per_address=most)
            return isinstance(await store.slots.take(question, now=NOW), Slot)
        case "key", [key_id]:
            return await store.keys.add(key(key_id), retire_others_at=None)
        case "ban", []:
            return await store.bans.add(ban())
        case "revoke", [subject]:
            return await store.revocations.append(revocation(subject))
        case "file size", [most]:
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard if most is None else most, hard))
            return None
        case _:
            raise ValueError(what)


async def attempt(store: Store, what: str, *, arguments: list[Any]) -> object:
    try:
        return await do(store, what, arguments=arguments)
    except StoreError as error:
        return f"StoreError: {error}"


def store_at(place: str, process: str) -> Store:
    if place.startswith("postgresql://"):
        from doorward.adapters.stores.postgres.store import PostgresStore  # its driver takes longer than all the rest

        return PostgresStore(place, clock=StillClock(), process=process, own_time=True)
    return SqliteStore(place, clock=StillClock(), process=process, shared=True)


async def main() -> None:
    store = store_at(*sys.argv[1:])
    await store.open()
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        answers = await asyncio.gather(*(attempt(store, what, arguments=rest) for what, *rest in json.loads(line)))
        print(json.dumps(answers), flush=True)
    await store.close()


class Neighbour:
    """The test's side. `async with`: kill -9 at the end, if it has not ended before."""

    def __init__(self, place: Path | str, process: str) -> None:
        self._command = [sys.executable, "-m", "tests.stores.neighbour", str(place), process]

    async def __aenter__(self) -> "Neighbour":
        pipe = asyncio.subprocess.PIPE
        self._child = await asyncio.create_subprocess_exec(*self._command, stdin=pipe, stdout=pipe, cwd=ROOT)
        if await self._line() != b"ready\n":
            raise RuntimeError("the neighbour did not start")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._child.returncode is None:
            await self.kill()

    async def ask(self, *things: list[Any]) -> list[Any]:
        """Have it do these at once."""
        if self._child.stdin is None:
            raise RuntimeError("not started")
        self._child.stdin.write(json.dumps(things).encode() + b"\n")
        answers: list[Any] = json.loads(await self._line())
        return answers

    async def kill(self) -> None:
        """As kill -9 does."""
        self._child.kill()
        await self._child.wait()

    async def _line(self) -> bytes:
        if self._child.stdout is None:
            raise RuntimeError("not started")
        return await asyncio.wait_for(self._child.stdout.readline(), 20)


if __name__ == "__main__":
    asyncio.run(main())
