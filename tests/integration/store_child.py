"""Revokes, puts and spends until it is killed, and says so on standard output once the store has acknowledged it."""

import asyncio
import os
import sys
from itertools import count

from doorward.adapters.stores.sqlite import SqliteStore
from doorward.values.ticket import Ticket
from tests.stores.clock import NOW, StillClock
from tests.stores.made import digest, principal, revocation, ticket


def say(*words: object) -> None:
    """In one write, past any buffer of ours: what was said was said, whenever the kill comes."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


async def revoke(store: SqliteStore, name: str) -> None:
    for n in count():
        subject = f"{name}.{n}"
        say("revoked", await store.revocations.append(revocation(subject)), subject)


async def spend(store: SqliteStore, name: str) -> None:
    for n in count():
        code = f"{name}.{n}"
        await store.tickets.put(ticket(code, principal(session=code)), most=10)
        say("put", code)
        if isinstance(await store.tickets.spend(digest(code), now=NOW), Ticket):
            say("spent", code)


async def main() -> None:
    path, number = sys.argv[1:]
    store = SqliteStore(path, clock=StillClock(), process=f"child:{number}", shared=True)
    await store.open()
    await asyncio.gather(
        *(revoke(store, f"r{number}.{n}") for n in range(2)), *(spend(store, f"t{number}.{n}") for n in range(6))
    )


if __name__ == "__main__":
    asyncio.run(main())
