"""Slots in Redis: both limits and the replacement in one script, each slot leased to the process that holds it.

A process keeps a copy of what it holds, for Redis may lose it: when its lease is not there any more, or the link was
away, it puts everything back before it asks for more. Where everything was lost nobody is given a slot until all have
had the time to do so; where all were held up, nobody counts as dead for a while.
"""

import asyncio
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from doorward.adapters.stores.redis.batches import batches
from doorward.adapters.stores.redis.link import Asker, RedisLink
from doorward.adapters.stores.redis.script import script
from doorward.adapters.stores.redis.short import short
from doorward.ports import Entropy, StoreError
from doorward.values.decision import Reason
from doorward.values.question import Slot, SlotsFull, TakeSlot
from doorward.values.rules import WhenFull

# A place that kill -9 left behind is free again within 10 s (the port); beats come every 2 s, so four may be lost.
LEASE: Final = 9.0

_TAKE: Final = script("slot_take", after="slots")
_HOLD: Final = script("slot_hold", after="slots")
_FREE: Final = script("slot_free", after="slots")
_BEAT: Final = script("slot_beat", after="slots")
_BEGIN: Final = script("slot_begin", after="slots")
_BASE: Final = "doorward:{s}:"
_LIVE: Final = _BASE + "live"
_LAST: Final = _BASE + "last"
_AT_ONCE: Final = 500
_NAMED_BY: Final = 12  # bytes of an identity or address


class _Held(NamedTuple):
    identity: str
    address: str
    place: bytes


class RedisSlots:
    """`process` is a name that no other living process has; `entropy` tells its lives apart.

    `server_time`: the server's clock counts, and not what the calls say. Tests turn it off to move time.
    """

    def __init__(self, link: RedisLink, *, process: str, entropy: Entropy, server_time: bool = True) -> None:
        self._link = link
        self._server_time = server_time
        self._process = short("process", process, size=8) + entropy.bytes(8).hex()
        self._own = f"{_BASE}p:{self._process}"
        self._now: float = 0.0
        self._held: dict[str, _Held] = {}
        self._taking: set[str] = set()
        # Given back, or perhaps taken for nobody, and not known to be free: freed with the next beat at the latest.
        self._owed: set[str] = set()
        self._mending: asyncio.Task[None] | None = None
        self._begun = False
        link.on_back(self._come_back)

    async def start(self, *, now: float) -> None:
        """Begin a life: what an earlier process of this name held is free. Raises StoreError."""
        await self._begin(repr(LEASE), now)
        self._begun = True

    async def stop(self) -> None:
        """End it in order: nothing is held any more. Raises StoreError."""
        self._begun = False
        self._held.clear()
        await self._begin("", self._now)

    async def take(self, question: TakeSlot, *, now: float) -> Slot | SlotsFull:
        connection = question.connection
        self._owed.discard(connection)
        self._taking.add(connection)
        try:
            return await self._take(question, now)
        except (asyncio.CancelledError, StoreError):
            # It may be taken all the same, or will be, for a caller who is gone.
            self._owed.add(connection)
            self._link.post(_FREE, self._process, connection, keys=(_LIVE, self._own))
            raise
        finally:
            self._taking.discard(connection)

    async def release(self, *connections: str) -> None:
        for connection in connections:
            self._held.pop(connection, None)
        self._owed.update(connections)
        await self._free(self._link, connections)

    async def beat(self, *, now: float) -> None:
        await self._free(self._link, tuple(self._owed))
        count = await self._link.run(_BEAT, self._process, repr(LEASE), self._at(now), keys=(_LIVE, self._own))
        if count < 0:
            await self._mend()
        elif count > len(self._held) + len(self._taking):
            await self._tidy(self._link)

    async def _take(self, question: TakeSlot, now: float) -> Slot | SlotsFull:
        identity = short(*question.identity, size=_NAMED_BY)
        address = short(question.address, size=_NAMED_BY)
        for again in (False, True):
            answer = await self._link.run(
                _TAKE,
                self._process,
                question.connection,
                identity,
                address,
                question.per_identity,
                question.per_address,
                b"1" if question.when_full is WhenFull.REPLACE_OLDEST else b"0",
                self._at(now),
                keys=(_LIVE, _LAST, self._own, f"{_BASE}i:{identity}", f"{_BASE}a:{address}"),
            )
            match answer:
                case [b"gone"] if not again:
                    await self._mend()
                case [b"identity"]:
                    return SlotsFull(Reason.SLOTS_IDENTITY)
                case [b"address"]:
                    return SlotsFull(Reason.SLOTS_ADDRESS)
                case [b"settle"]:
                    raise StoreError("Redis had lost the slots: they are being put back")
                case [bytes(place), *replaced] if place.isdigit():
                    self._held[question.connection] = _Held(identity, address, place)
                    return Slot(replaced=tuple(other.decode() for other in replaced))
                case _:
                    break
        raise StoreError("no slot can be had: Redis keeps losing what is held")

    async def _free(self, link: Asker, connections: Iterable[str]) -> None:
        for batch in batches(connections, _AT_ONCE):
            await link.run(_FREE, self._process, *batch, keys=(_LIVE, self._own))
            self._owed.difference_update(batch)

    async def _begin(self, lease: str, now: float) -> None:
        while await self._link.run(_BEGIN, self._process, lease, self._at(now), keys=(_LIVE, self._own)):
            pass

    # what may be lost

    async def _mend(self) -> None:
        """Put everything back, once for all that wait for it. Raises StoreError."""
        if self._mending is None:
            self._mending = asyncio.create_task(self._put_back(self._link), name="redis slots")
            self._mending.add_done_callback(self._mended)
        await asyncio.shield(self._mending)

    def _mended(self, task: "asyncio.Task[None]") -> None:
        self._mending = None
        if not task.cancelled():
            task.exception()  # whoever waits for it has it; nobody may

    async def _come_back(self, link: Asker) -> None:
        if self._begun:
            await self._put_back(link)

    async def _put_back(self, link: Asker) -> None:
        held = list(self._held.items())
        for batch in batches(held, _AT_ONCE) if held else [[]]:
            rows = [part for connection, row in batch for part in (connection, *row)]
            now = self._at(self._now)
            await link.run(_HOLD, self._process, repr(LEASE), now, *rows, keys=(_LIVE, _LAST, self._own))
        await self._tidy(link)

    async def _tidy(self, link: Asker) -> None:
        """Free what Redis has of ours and we have not: it was released while it was put back, or came from before."""
        known: list[Any] = await link.call("HKEYS", self._own)
        names = (name.decode() for name in known)
        await self._free(link, [name for name in names if name not in self._held and name not in self._taking])

    def _at(self, now: float) -> str:
        self._now = now
        return "" if self._server_time else repr(now)
