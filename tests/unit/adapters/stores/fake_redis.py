"""A Redis in memory, as far as the feed knows one, ways to it that may be away, and a durable store that may be too."""

import asyncio
from collections.abc import Sequence
from typing import Any

from doorward.adapters.stores.memory import MemoryStore
from doorward.adapters.stores.redis.feed import ANSWER, KEEP, KEPT, PUBLISH, SETTLE, STREAM
from doorward.adapters.stores.redis.script import Script
from doorward.ports import LogBehindError, RefusedError, StoreError
from doorward.values.revocation import Revocation

Id = tuple[int, int]


class FakeRedis:
    """Its stream, its hashes, and which life it is in."""

    def __init__(self) -> None:
        self.stream: list[tuple[Id, list[bytes]]] = []
        self.hashes: dict[str, dict[str, bytes]] = {}
        self.strange: set[str] = set()  # keys of another type
        self.lives = 1
        self.links: list[FakeLink] = []
        self._last = 0
        self.more = asyncio.Event()

    def add(self, *fields: bytes, id: Id | None = None) -> Id:
        """Whatever it is: any client may."""
        self._last += 1
        id = id or (1_000 + self._last, 0)
        self.stream.append((id, list(fields)))
        self.more.set()
        return id

    def make_strange(self, key: str) -> None:
        """Somebody has SET it."""
        if key == STREAM:
            self.stream.clear()
        self.hashes.pop(key, None)
        self.strange.add(key)

    def flush(self) -> None:
        self.stream.clear()
        self.hashes.clear()

    def restart(self, *, keeps: int | None = None) -> None:
        """With the first `keeps` entries of the stream, or all of them."""
        del self.stream[len(self.stream) if keeps is None else keeps :]
        self.lives += 1

    def run(self, script: Script, *arguments: Any, keys: tuple[str, ...]) -> Any:
        if script is ANSWER:
            field, text, _ = arguments
            self.hashes.setdefault(keys[0], {})[field] = text
            return 1
        _, text, *id = arguments
        self.strange -= set(keys)  # whatever does not take it is begun anew
        if script is KEEP:
            self.hashes.setdefault(KEPT, {})[id[0]] = text
        elif script is SETTLE:
            self.hashes.get(KEPT, {}).pop(id[0], None)
        elif script is not PUBLISH:
            raise ValueError(script.name)
        assert keys[0] == STREAM
        return self.add(b"n", text)

    def call(self, *command: Any) -> Any:
        if command[1] in self.strange and command[0] not in ("TYPE", "DEL"):
            raise StoreError("WRONGTYPE")
        match command:
            case "TYPE", key:
                found = b"stream" if key == STREAM and self.stream else b"hash" if self.hashes.get(key) else b"none"
                return b"string" if key in self.strange else found
            case "XREVRANGE", _, "+", "-", "COUNT", count:
                return _told(list(reversed(self.stream))[:count])
            case "XRANGE", _, since, "+", "COUNT", count:
                return _told([one for one in self.stream if one[0] >= _id(since)][:count])
            case "HGETALL", key:
                return [part for field, text in self.hashes.get(key, {}).items() for part in (field.encode(), text)]
            case "DEL", key:
                self.strange.discard(key)
                return int(self.hashes.pop(key, None) is not None)
            case "SET", *_:
                return b"OK"
            case _:
                raise ValueError(command)


class FakeLink:
    """One process's way there. `away`: nothing goes through. `refuses`: scripts that fail."""

    def __init__(self, redis: FakeRedis) -> None:
        self.redis = redis
        self.away = False
        self.refuses: set[Script] = set()
        self.calls: list[str] = []
        self.closed = False

    async def open(self) -> None:
        self._check()

    async def close(self) -> None:
        self.closed = True

    async def check(self) -> None:
        self._check()

    async def call(self, *command: Any) -> Any:
        self._check()
        self.calls.append(command[0])
        await asyncio.sleep(0)
        self._check()
        return self.redis.call(*command)

    async def run(self, script: Script, *arguments: Any, keys: tuple[str, ...]) -> Any:
        self._check()
        if script in self.refuses:
            raise StoreError(f"{script.name} fails")
        self.calls.append(script.name)
        await asyncio.sleep(0)
        self._check()
        return self.redis.run(script, *arguments, keys=keys)

    def life(self, key: str) -> str:
        self._check()
        return f"life {self.redis.lives}"

    def reader(self) -> "FakeReader":
        return FakeReader(self)

    def _check(self) -> None:
        if self.away:
            raise StoreError("Redis is away")


class FakeReader:
    def __init__(self, link: FakeLink) -> None:
        self._link = link
        self.closed = False

    async def call(self, *command: Any, within: float) -> Any:
        at = _id(command[-1])
        redis = self._link.redis
        while True:
            if self._link.away:
                raise StoreError("Redis is away")
            found = [one for one in redis.stream if one[0] > at][:1]
            if found:
                return [[STREAM.encode(), _told(found)]]
            redis.more.clear()
            await redis.more.wait()

    async def close(self) -> None:
        self.closed = True


class Durable(MemoryStore):
    """A durable store in memory that may be away, or gone in the middle of it. `tells`: it says when it was touched."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.breaks_after = False
        self.takes_one_more = False  # and is away from then on
        self.flows = asyncio.Event()  # unset: whoever asks waits
        self.flows.set()
        self.tells = False
        self.refuses: set[str] = set()  # ids that it can't hold
        self.behind: list[Revocation] = []  # what it has since it was set back, as it says itself
        self.fails: set[str] = set()  # ids for which it fails each time
        self.calls = self.appends = self.reads = 0
        self._log: Any = self.revocations
        self.revocations = _Switched(self, self.revocations)
        self.bans = _Switched(self, self.bans)
        self.presence = _Switched(self, self.presence)
        self.audit = _Switched(self, self.audit)

    async def kept(self) -> list[str]:
        """The ids in its log, in order, whether it is away or not."""
        return [one.id for one in await self._log.read(after=0)]

    def fails_over(self, *, kept: int) -> None:
        """To a replica that had so many revocations only."""
        log = self._log
        log._log = {place: one for place, one in log._log.items() if place <= kept}
        log._places = {id: place for id, place in log._places.items() if place <= kept}
        log._newest = kept

    async def check(self) -> None:
        if self.away:
            raise StoreError("PostgreSQL is away")

    async def open(self) -> None:
        await self.check()


class _Switched:
    def __init__(self, durable: Durable, inner: Any) -> None:
        self._durable = durable
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name == "touched":
            return lambda: self._durable.tells and found()

        async def call(*arguments: Any, **named: Any) -> Any:
            await asyncio.sleep(0)
            self._durable.calls += 1
            await self._durable.check()
            await self._durable.flows.wait()
            self._durable.appends += name == "append"
            self._durable.reads += name == "read"
            if name == "read" and self._durable.behind:
                raise LogBehindError("it was set back", self._durable.behind)
            if name == "append" and arguments[0].id in self._durable.refuses:
                raise RefusedError("it can't be held")
            if name == "append" and arguments[0].id in self._durable.fails:
                raise StoreError("it fails")
            answer = await found(*arguments, **named)
            self._durable.away |= name == "append" and self._durable.takes_one_more
            if self._durable.breaks_after:
                raise StoreError("it was done, and its answer was lost")
            return answer

        return call


def _id(text: str) -> Id:
    first, _, second = text.partition("-")
    return int(first), int(second)


def _told(entries: Sequence[tuple[Id, list[bytes]]]) -> list[list[Any]]:
    return [[f"{id[0]}-{id[1]}".encode(), list(fields)] for id, fields in entries]
