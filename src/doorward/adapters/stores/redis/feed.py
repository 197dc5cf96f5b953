"""The revocation feed: what is revoked or banned is in one stream that every node reads, in order, within milliseconds.

The stream is never the record, only the quickest word of it: whatever it may have lost (trimmed, flushed, restarted,
failed over, cut by somebody) shows as `News.doubt`, and then the durable log is read. What is not durable yet lies in a
hash beside it until it is. All of it is signed (notices.py); what is not, is dropped, counted and told.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from doorward.adapters.stores.redis.call import Argument
from doorward.adapters.stores.redis.notices import Notice, NoticeError, Notices
from doorward.adapters.stores.redis.script import Script, script
from doorward.ports import Entropy, StoreError
from doorward.service.chance import fraction
from doorward.values.revocation import Acknowledgement, Revocation

STREAM: Final = "doorward:{f}:feed"
KEPT: Final = "doorward:{f}:not-durable"
LENGTH: Final = 10_000
"""Entries that the stream keeps, about. Who was away longer reads the durable log."""
AT_ONCE: Final = 500
"""Entries that one look takes. Where there are more the durable log is the shorter way."""
ANSWERS_KEPT: Final = 600
BLOCK: Final = 5.0
PATIENCE: Final = 2.0
AGAIN_AFTER: Final = 0.05
AGAIN_AT_MOST: Final = 1.0

_FIELD: Final = b"n"
_START: Final = (0, 0)

PUBLISH: Final = script("feed_publish", after="feed")
KEEP: Final = script("feed_keep", after="feed")
SETTLE: Final = script("feed_settle", after="feed")
ANSWER: Final = script("feed_answer")

Wake = Callable[[], None]
Refused = Callable[[str, int], None]
"""Told why entries were dropped, and how many."""


class Reader(Protocol):
    """RedisReader, as far as the feed needs it."""

    async def call(self, *command: Argument, within: float) -> Any:
        """Raises StoreError."""

    async def close(self) -> None: ...


class Link(Protocol):
    """RedisLink, as far as the feed needs it."""

    async def call(self, *command: Argument) -> Any:
        """Raises StoreError."""

    def run(self, script: Script, *arguments: Argument, keys: tuple[str, ...]) -> Awaitable[Any]:
        """Raises StoreError."""

    def life(self, key: str) -> str:
        """Raises StoreError."""

    def reader(self) -> Reader: ...


@dataclass(frozen=True, slots=True)
class News:
    """What a look at the stream has found. `doubt`: it may not be all; the durable log must be read.

    An `empty` stream is always in doubt, since it may have been flushed between any two looks: whoever finds it so
    publishes something, by which every later look tells whether it is still the same stream.
    """

    notices: Sequence[Notice] = ()
    doubt: bool = False
    empty: bool = False


class RedisFeed:
    """`key` signs; `refused` hears of what was dropped. One look at a time: its callers see to that."""

    def __init__(self, link: Link, *, key: bytes, entropy: Entropy, refused: Refused) -> None:
        self._link = link
        self._entropy = entropy
        self._notices = Notices(key)
        self._refused = refused
        self._seen: _Entries | None = None  # the newest entry of the last look, or none
        self._life = ""
        self._known_junk: set[bytes] = set()

    # writing

    async def publish(self, notice: Notice) -> None:
        """Tell every node. Raises StoreError."""
        await self._link.run(PUBLISH, LENGTH, self._written(notice), keys=(STREAM,))

    async def keep(self, revocation: Revocation) -> None:
        """Tell every node of one that is not durable yet, and keep it until it is. Raises StoreError."""
        await self._link.run(KEEP, LENGTH, self._written(revocation), revocation.id, keys=(STREAM, KEPT))

    async def settle(self, revocation: Revocation) -> None:
        """One that was kept is durable now: tell its place, and keep it no longer. Raises StoreError."""
        await self._link.run(SETTLE, LENGTH, self._written(revocation), revocation.id, keys=(STREAM, KEPT))

    def _written(self, notice: Notice) -> bytes:
        try:
            return self._notices.of(notice)
        except NoticeError as error:
            raise StoreError(f"it can't be published: {error}") from error

    # reading

    async def look(self) -> News:
        """The fence: what has come since the last look, as of now. Raises StoreError, and then nothing was seen.

        What is no stream any more is as good as an empty one: whoever publishes begins it anew.
        """
        try:
            newest = _entries(await self._link.call("XREVRANGE", STREAM, "+", "-", "COUNT", 1))
        except StoreError:
            if not await self._is_strange(STREAM, b"stream"):
                raise
            newest = []
        life, seen = self._link.life(STREAM), self._seen
        doubt = life != self._life
        if newest and newest == seen:
            news = News(doubt=doubt)
        elif not newest or not seen or newest[0][0] <= seen[0][0]:
            # our first look, or not the stream that it was
            self._seen = newest
            news = News(notices=self._opened(entry for _, entry in newest), doubt=True, empty=not newest)
        else:
            news = await self._since(seen, newest, doubt=doubt)
        self._life = life
        return news

    async def _since(self, seen: "_Entries", newest: "_Entries", *, doubt: bool) -> News:
        """All after `seen`, which itself must still be there: else what lay between may be gone with it."""
        (((first, second), _),) = seen
        found = _entries(await self._link.call("XRANGE", STREAM, f"{first}-{second}", "+", "COUNT", AT_ONCE + 1))
        joins, many = found[:1] == seen, len(found) > AT_ONCE
        self._seen = max(newest, found[-1:]) if many else found[-1:] or newest
        return News(
            notices=self._opened(entry for _, entry in found[joins:]),
            doubt=doubt or many or not joins,
        )

    async def kept(self) -> Sequence[Revocation]:
        """Those that were not durable when they were made, and are not known to be yet. Raises StoreError.

        Where somebody put another type of value in their place they are lost here: who knows them keeps them again.
        """
        try:
            texts = (await self._link.call("HGETALL", KEPT))[1::2]
        except StoreError:
            if not await self._is_strange(KEPT, b"hash"):
                raise
            await self._link.call("DEL", KEPT)
            texts = []
        notices = self._opened(text for text in texts if text not in self._known_junk)
        self._known_junk = set(texts) - {self._notices.of(notice) for notice in notices}
        return [notice for notice in notices if isinstance(notice, Revocation) and not notice.sequence]

    async def _is_strange(self, key: str, kind: bytes) -> bool:
        """Has somebody made it another type of value? Raises StoreError."""
        return await self._link.call("TYPE", key) not in (kind, b"none")

    def _opened(self, entries: Iterable[bytes]) -> Sequence[Notice]:
        notices: list[Notice] = []
        refused: dict[str, int] = {}
        for entry in entries:
            try:
                notices.append(self._notices.read(entry))
            except NoticeError as error:
                refused[str(error)] = refused.get(str(error), 0) + 1
        for why, count in refused.items():
            self._refused(why, count)
        return notices

    async def listen(self, wake: Wake) -> None:
        """Wake whenever something may have come, until cancelled."""
        reader = self._link.reader()
        pause = AGAIN_AFTER
        try:
            while True:
                try:
                    await self._wait_for_more(reader, wake)
                    pause = AGAIN_AFTER
                except StoreError:
                    # the link tells of it to whoever asks: here only the quickest word is missing
                    wake()
                    await asyncio.sleep(pause * (0.5 + fraction(self._entropy) / 2))
                    pause = min(pause * 2, AGAIN_AT_MOST)
        finally:
            await reader.close()

    async def _wait_for_more(self, reader: Reader, wake: Wake) -> None:
        """Until one wait was for nothing. What no look has taken yet would end a wait at once: it is waited from behind
        it."""
        at = _START
        while True:
            at = max(at, self._seen[0][0] if self._seen else _START)
            where = f"{at[0]}-{at[1]}"
            answer = await reader.call(
                "XREAD", "COUNT", 1, "BLOCK", int(BLOCK * 1000), "STREAMS", STREAM, where, within=BLOCK + PATIENCE
            )
            if not answer:
                return
            wake()
            at = max(at, _entries(answer[0][1])[-1][0])

    # answers

    async def acknowledge(self, answer: Acknowledgement) -> None:
        """Raises StoreError."""
        try:
            text = self._notices.of_answer(answer)
        except NoticeError as error:
            raise StoreError(f"it can't be acknowledged: {error}") from error
        field = f"{answer.worker}:{answer.node}"
        await self._link.run(ANSWER, field, text, ANSWERS_KEPT, keys=(_answers(answer.revocation),))

    async def acknowledgements(self, id: str) -> Sequence[Acknowledgement]:
        """Raises StoreError."""
        key = _answers(id)
        pairs = await self._link.call("HGETALL", key)
        answers = []
        for text in pairs[1::2]:
            try:
                answer = self._notices.read_answer(text)
            except NoticeError as error:
                self._refused(f"{error} (an acknowledgement)", 1)
            else:
                if answer.revocation == id:
                    answers.append(answer)
        return answers

    async def forget(self, ids: Sequence[str]) -> None:
        """What was answered to these is of no interest any more. Raises StoreError."""
        for key in map(_answers, ids):
            await self._link.call("DEL", key)


def _answers(id: str) -> str:
    """Each revocation's answers lie where a cluster has room for them."""
    return f"doorward:a:{id}"


_Entries = list[tuple[tuple[int, int], bytes]]


def _entries(answer: Any) -> _Entries:
    """Each entry's id, and its one field's bytes; b"" for one that has other fields, which nobody of us wrote.

    Raises StoreError for what is no list of entries.
    """
    entries: _Entries = []
    try:
        for id, fields in answer or ():
            first, _, second = id.decode().partition("-")
            value = fields[1] if fields and len(fields) == 2 and fields[0] == _FIELD else b""
            entries.append(((int(first), int(second)), value))
    except (AttributeError, TypeError, ValueError) as error:
        raise StoreError("the stream of revocations was not understood") from error
    return entries
