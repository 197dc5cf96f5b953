"""Every call that a store knows, for tests of what happens when it is away."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count
from typing import Any

from doorward.adapters.stores.postgres.store import PostgresStore
from doorward.ports import Store, StoreError
from tests.stores.clock import NOW, StillClock
from tests.stores.made import (
    acknowledgement,
    ban,
    digest,
    event,
    key,
    node,
    present,
    revocation,
    slot,
    ticket,
)
from tests.stores.test_rates import RATE

CODES = count()
CALLS: dict[str, Callable[[Store], Awaitable[Any]]] = {
    "put": lambda store: store.tickets.put(ticket(next(CODES)), most=10),
    "spend": lambda store: store.tickets.spend(digest("there"), now=NOW),
    "look": lambda store: store.tickets.look(digest("there")),
    "rate": lambda store: store.rates.take(name="n", key="k", rate=RATE, cost=1, now=NOW),
    "slot": lambda store: store.slots.take(slot("c1"), now=NOW),
    "release": lambda store: store.slots.release("c1"),
    "slot beat": lambda store: store.slots.beat(now=NOW),
    "revoke": lambda store: store.revocations.append(revocation(id="r1")),
    "read": lambda store: store.revocations.read(after=0),
    "acknowledge": lambda store: store.revocations.acknowledge(acknowledgement("r1")),
    "acknowledgements": lambda store: store.revocations.acknowledgements("r1"),
    "forget": lambda store: store.revocations.forget(now=NOW),
    "ban": lambda store: store.bans.add(ban()),
    "unban": lambda store: store.bans.remove(77),
    "version": lambda store: store.bans.version(),
    "bans": lambda store: store.bans.all(now=NOW),
    "keys": lambda store: store.keys.keys(),
    "key": lambda store: store.keys.add(key("k1"), retire_others_at=None),
    "key version": lambda store: store.keys.version(),
    "beat": lambda store: store.presence.beat(node()),
    "leave": lambda store: store.presence.leave(node="gw-9", worker=0),
    "nodes": lambda store: store.presence.nodes(now=NOW),
    "unheard": lambda store: store.presence.unheard(now=NOW),
    "note": lambda store: store.presence.note(opened=[present("c1")], closed=[]),
    "connections": lambda store: store.presence.connections(now=NOW),
    "audit": lambda store: store.audit.append([(event(), "line")]),
    "query": lambda store: store.audit.query(after=0, limit=1),
    "latest": lambda store: store.audit.latest(limit=1),
    "newest": lambda store: store.audit.newest(),
    "check": lambda store: store.check(),
    "time": lambda store: store.time(),
}


def at(url: str, process: str = "a:0") -> PostgresStore:
    return PostgresStore(url, clock=StillClock(), process=process, own_time=True)


async def outcomes(store: Store) -> dict[str, str]:
    """What each call comes to, all begun at once: "done", "StoreError", or the bug that it shows."""
    answers = await asyncio.gather(*(call(store) for call in CALLS.values()), return_exceptions=True)
    return {name: _told(answer) for name, answer in zip(CALLS, answers, strict=True)}


def _told(answer: object) -> str:
    if isinstance(answer, StoreError):
        return "StoreError"
    return repr(answer) if isinstance(answer, BaseException) else "done"


async def healed(store: Store) -> None:
    """Until it answers again."""
    async with asyncio.timeout(60):
        while True:
            with suppress(StoreError):
                await store.check()
                return
            await asyncio.sleep(0.01)


async def until(seen: Callable[[], object]) -> None:
    """What can only be looked at, not awaited."""
    async with asyncio.timeout(60):
        while not seen():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
