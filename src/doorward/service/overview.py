"""One look at everything: every worker that has said that it lives and not that it leaves, and what this node counted.

What comes from other nodes comes through the store; who has not said a word for longer than two heartbeats is named as
stale, for an hour, and never left out in silence.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final

from doorward.ports import Clock, PresentNode, Store
from doorward.service.present import Present
from doorward.service.tending import BEAT_EVERY
from doorward.service.withdrawals import Withdrawals

STALE_AFTER: Final = 2 * BEAT_EVERY + 1.0
SLICE: Final = 1024

_PLACE: Final = attrgetter("node", "worker")

HANDSHAKES: Final = "doorward_handshakes_total"
CLOSES: Final = "doorward_closes_total"
RENEWALS: Final = "doorward_renewals_total"

Counts = Callable[..., Mapping[str, Mapping[tuple[str, ...], float]]]
"""Of metrics' names: the node's counts, all workers added up, by name and then by the values of the labels."""


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """A worker as its last heartbeat tells. `age` is that heartbeat's, in seconds; `behind`: revocations of the log
    that it had not read by then."""

    present: PresentNode
    age: float
    behind: int

    @property
    def stale(self) -> bool:
        return self.age > STALE_AFTER


@dataclass(frozen=True, slots=True)
class Counted:
    """What this node has counted since it was started."""

    allowed: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    closes: Mapping[str, int] = field(default_factory=dict)
    renewals: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Overview:
    """`newest` is the place of the last revocation in the log; `routes` counts connections on all nodes. `ahead`:
    seconds by which this machine's wall clock is ahead of the time that the nodes go by."""

    at: float
    node: str
    ready: bool
    newest: int
    workers: tuple[WorkerSeen, ...]
    routes: Mapping[str, int]
    counted: Counted
    ahead: float = 0.0


class Survey:
    """`counts` gives what this node has counted, `ready` whether its stores would take a write
    now."""

    def __init__(
        self,
        *,
        store: Store,
        present: Present,
        withdrawals: Withdrawals,
        clock: Clock,
        node: str,
        counts: Counts,
        ready: Callable[[], Awaitable[bool]],
        ahead: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._store = store
        self._present = present
        self._withdrawals = withdrawals
        self._clock = clock
        self._node = node
        self._counts = counts
        self._ready = ready
        self._ahead = ahead

    async def overview(self) -> Overview:
        """Raises StoreError where nobody could be seen; OSError where this node's counts can't be read."""
        await self._withdrawals.catch_up()
        newest = self._withdrawals.cursor
        now = self._clock.now()
        presence = self._store.presence
        lost = {_PLACE(one): one for one in await presence.unheard(now=now)}
        known = lost | {_PLACE(one): one for one in await presence.nodes(now=now)}
        workers = [known[place] for place in sorted(known)]
        routes: dict[str, int] = {}
        for count, row in enumerate(await self._present.connections(), start=1):
            routes[row.route] = routes.get(row.route, 0) + 1
            if count % SLICE == 0:
                await asyncio.sleep(0)
        return Overview(
            at=now,
            node=self._node,
            ready=await self._ready(),
            newest=newest,
            workers=tuple(WorkerSeen(one, max(0.0, now - one.beat_at), max(0, newest - one.cursor)) for one in workers),
            routes=routes,
            counted=self._counted(),
            ahead=self._ahead(),
        )

    def _counted(self) -> Counted:
        counts = self._counts(HANDSHAKES, CLOSES, RENEWALS)
        allowed, refused = 0, dict[str, int]()
        for (_, outcome, reason), value in counts[HANDSHAKES].items():
            if outcome == "allowed":
                allowed += int(value)
            else:
                refused[reason] = refused.get(reason, 0) + int(value)
        return Counted(
            allowed=allowed,
            refused=refused,
            closes={reason: int(value) for (reason,), value in counts[CLOSES].items()},
            renewals={outcome: int(value) for (outcome,), value in counts[RENEWALS].items()},
        )
