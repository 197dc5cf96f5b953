"""The way to Redis or Valkey: whoever asks is answered within a second, or told at once that it is away.

Away begins with the first failure or the first command that is not answered in time, and ends when a probe has
connected anew, found a server that is fit, and every hook has put back what it must; only then callers are served.
Nothing waits in a queue meanwhile, and nothing is sent twice that could have been done.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import Any, Final, Protocol

from doorward.adapters.stores.redis.address import RedisAddress
from doorward.adapters.stores.redis.call import Argument, Call, key_of, packed, packed_script
from doorward.adapters.stores.redis.line import Line
from doorward.adapters.stores.redis.lines import Lines
from doorward.adapters.stores.redis.opening import FORGOTTEN, check_policy, is_of_rights, read_sections
from doorward.adapters.stores.redis.reader import RedisReader
from doorward.adapters.stores.redis.script import Script
from doorward.adapters.stores.redis.slot_map import Node, slot_of
from doorward.ports import Entropy, StoreError
from doorward.service.guarding import Fault, guarded, log_fault
from doorward.service.noting import Note, unfailing

DEADLINE: Final = 1.0
COMMANDS_WITHIN: Final = 3.0
"""Seconds: an operator waits, and nobody at the door."""
MOST_WAITING: Final = 65_536
FIRST_PROBE: Final = 0.05
SLOWEST_PROBE: Final = 1.0
PROBE_TAKES: Final = 2.0
ASKED_EVERY: Final = 5.0
_HELD_UP: Final = 0.1  # our own loop was, so the answers may lie unread

_log = logging.getLogger(__name__)


class Asker(Protocol):
    """Whoever can ask: the link for everybody, or what a hook is given before everybody is served."""

    async def call(self, *command: Argument) -> Any:
        """One command, its keys of one hash tag, and the bare answer (bytes, int, list, None). Raises StoreError."""

    def run(self, script: Script, *arguments: Argument, keys: tuple[str, ...]) -> "asyncio.Future[Any]":
        """One script. Its keys share a hash tag. Await the bare answer, or cancel. Raises StoreError."""

    def life(self, key: str) -> str:
        """Which life of which server keeps `key`: no other has this name, nor the same one after a restart, or after a
        replica took over. Raises StoreError."""


Hook = Callable[[Asker], Awaitable[None]]


class _State(Enum):
    CLOSED = auto()
    AWAY = auto()
    COMING = auto()  # connected, and the hooks are at work
    HERE = auto()


class RedisLink:
    """`deadline` is in seconds, for each command; every `asked_every` seconds each server is asked whether it evicts.
    `note` is told when it goes away and when it is back, `fault` of our own bugs."""

    def __init__(
        self,
        address: RedisAddress,
        *,
        entropy: Entropy,
        deadline: float = DEADLINE,
        asked_every: float = ASKED_EVERY,
        most_waiting: int = MOST_WAITING,
        note: Note = _log.warning,
        fault: Fault = log_fault,
    ) -> None:
        self._address = address
        self._entropy = entropy
        self._deadline = deadline
        self._asked_every = asked_every
        self._most_waiting = most_waiting
        self._note = unfailing(note)
        self._fault = fault
        self._state = _State.CLOSED
        self._lines: Lines | None = None
        self._why = "it is not connected"
        self._hooks: list[Hook] = []
        self._waiting: deque[Call] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self._watched_until = 0.0
        self._prober: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._seeds: list[Node] = [(address.host, address.port)]
        self._early: Asker = _Early(self)
        self._epoch = 0

    @property
    def here(self) -> bool:
        """Whether callers are served now."""
        return self._state is _State.HERE

    def on_back(self, hook: Hook) -> None:
        """Each time the way is there again, before anybody else is served, `hook` puts back what may be gone. While it
        raises StoreError the link stays away."""
        self._hooks.append(hook)

    async def open(self) -> None:
        """Connect and check. Raises StoreError, whose text says what to set; then it may be tried again."""
        if self._state is not _State.CLOSED:
            return
        self._loop = asyncio.get_running_loop()
        try:
            self._lines = await self._connected()
        except StoreError as error:
            self._why = str(error)
            raise StoreError(f"{self._address.shown}: {error}") from None
        self._state = _State.HERE
        self._asking = self._loop.create_task(
            guarded("redis policy", self._ask_again, fault=self._fault), name="redis policy"
        )

    async def close(self) -> None:
        """Whoever still waits gets StoreError."""
        self._state, self._why = _State.CLOSED, "it is closed"
        tasks = [task for task in (self._prober, self._asking) if task is not None]
        self._prober = self._asking = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        lines, self._lines = self._lines, None
        self._fail_all()
        if lines is not None:
            await lines.close()
        await asyncio.gather(*self._ending, return_exceptions=True)
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    @property
    def epoch(self) -> int:
        """Grows each time that we come back: the server may be another one then, or know less than before."""
        return self._epoch

    async def call(self, *command: Argument) -> Any:
        """One command, its keys of one hash tag, and the bare answer (bytes, int, list, None). Raises StoreError."""
        if self._state is not _State.HERE:
            raise self._away()
        return await self._send(packed(*command), key_of(command), None)

    def run(self, script: Script, *arguments: Argument, keys: tuple[str, ...]) -> "asyncio.Future[Any]":
        """One script. Its keys share a hash tag. Await the bare answer, or cancel. Raises StoreError."""
        if self._state is not _State.HERE:
            raise self._away()
        return self._send(packed_script(script, keys, arguments), keys[0], script)

    def life(self, key: str) -> str:
        """Which life of which server keeps `key` (Asker). Raises StoreError."""
        if self._state is not _State.HERE:
            raise self._away()
        return self._life(key)

    def post(self, script: Script, *arguments: Argument, keys: tuple[str, ...]) -> None:
        """Run it for nobody: a failure is the log's. Raises nothing."""
        try:
            self.run(script, *arguments, keys=keys).add_done_callback(_report)
        except StoreError as error:
            _log.debug("not done: %s", error)

    async def check(self) -> None:
        """Raise StoreError unless a write would succeed now."""
        await self.call("SET", _CHECK, "1", "PX", 10_000)

    def reader(self) -> RedisReader:
        """A connection apart, for commands that wait at the server."""
        return RedisReader(self._address_of)

    # the way there

    def _send(
        self, command: bytes, key: str | bytes, script: Script | None, *, by: Line | None = None
    ) -> "asyncio.Future[Any]":
        if self._lines is None:
            raise self._away()
        if len(self._waiting) >= self._most_waiting:
            self._trim()
        if len(self._waiting) >= self._most_waiting:
            raise StoreError(f"{self._most_waiting} calls wait for {self._address.shown} already")
        until = self._loop.time() + self._deadline
        future = self._loop.create_future()
        slot = slot_of(key) if self._address.cluster else 0
        call = Call(command, future, until=until, slot=slot, script=script)
        if by is None:
            self._lines.send(call)
        else:
            by.send(call)
        self._waiting.append(call)
        if self._watch is None:
            self._watch_until(until)
        elif len(self._waiting) % 64 == 0:
            self._trim()
        return future

    def _life(self, key: str) -> str:
        if self._lines is None:
            raise self._away()
        return self._lines.life(slot_of(key) if self._address.cluster else 0)

    def _address_of(self, key: str | bytes) -> RedisAddress:
        if self._state is not _State.HERE or self._lines is None:
            raise self._away()
        return self._lines.address(slot_of(key) if self._address.cluster else 0)

    def _away(self) -> StoreError:
        return StoreError(f"{self._address.shown} is away: {self._why}")

    def _watch_until(self, at: float) -> None:
        self._watched_until = at
        self._watch = self._loop.call_at(at, self._look)

    def _look(self) -> None:
        """Is the eldest that still waits too late?"""
        self._watch = None
        self._trim()
        now = self._loop.time()
        if now - self._watched_until > _HELD_UP:
            # It was us who stood still; what was answered meanwhile is only read now.
            self._watch_until(now + self._deadline / 4)
            return
        while self._waiting and self._waiting[0].until <= now:
            late = self._waiting.popleft()
            if late.future.done():
                continue
            if late.sent:
                self._waiting.appendleft(late)
                self._lost(f"no answer within {self._deadline:g} s")
                return
            late.future.set_exception(StoreError(f"{self._address.shown}: not done within {self._deadline:g} s"))
        self._trim()
        if self._waiting:
            self._watch_until(self._waiting[0].until)

    def _trim(self) -> None:
        waiting = self._waiting
        while waiting and waiting[0].future.done():
            waiting.popleft()

    # away, and back

    def _lost(self, why: str) -> None:
        """From now on callers are told at once; a probe looks for the way back."""
        lines, self._lines = self._lines, None
        if lines is not None:
            self._end(lines)
        if self._state is _State.HERE:
            self._prober = self._loop.create_task(
                guarded("redis probe", self._probe, fault=self._fault), name="redis probe"
            )
            self._note(f"{self._address.shown} is away: {why}")
        if self._state is not _State.CLOSED:
            self._state = _State.AWAY
        self._why = why
        self._fail_all()

    def _fail_all(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        for call in waiting:
            if not call.future.done():
                call.future.set_exception(self._away())

    def _end(self, lines: Lines) -> None:
        task = self._loop.create_task(lines.close(), name="redis ends")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _probe(self) -> None:
        since, pause, was_told = self._loop.time(), FIRST_PROBE, False
        while self._state is not _State.HERE:
            chance = int.from_bytes(self._entropy.bytes(2)) / 65536
            await asyncio.sleep(pause * (0.5 + chance / 2))
            pause = min(pause * 2, SLOWEST_PROBE)
            try:
                await self._come_back()
            except StoreError as error:
                why = str(error)
                if is_of_rights(why):
                    why += FORGOTTEN
                    if not was_told:
                        self._note(f"{self._address.shown} is away still: {why}")
                    was_told = True
                self._lost(why)
            except Exception as error:  # noqa: BLE001 - a bug of ours in a hook: told, and the probe goes on
                self._lost(f"{type(error).__name__} in a hook")
                self._fault("redis hook", error)
        self._note(f"{self._address.shown} is back after {self._loop.time() - since:.1f} s")

    async def _come_back(self) -> None:
        self._lines = await self._connected()
        self._state = _State.COMING
        for hook in self._hooks:
            await hook(self._early)
        # The line may have gone in the very turn in which the last hook ended.
        if self._lines is None:
            raise StoreError(self._why)
        self._epoch += 1
        self._state = _State.HERE

    async def _connected(self) -> Lines:
        lines = Lines(self._address, lost=lambda why: self._lost_of(lines, why))
        within = max(PROBE_TAKES, self._deadline)
        try:
            async with asyncio.timeout(within):
                await lines.open(self._seeds)
        except TimeoutError:
            await lines.close()
            raise StoreError(f"no connection within {within:g} s") from None
        except BaseException:
            await lines.close()
            raise
        own = (self._address.host, self._address.port)
        self._seeds = [own, *(node for node in lines.nodes if node != own)]
        return lines

    async def _ask_again(self) -> None:
        """What a server evicts can be set while we are connected: then it is as good as away."""
        while True:
            await asyncio.sleep(self._asked_every)
            lines = self._lines
            if self._state is not _State.HERE or lines is None:
                continue
            try:
                asked = [self._send(packed("INFO", "memory"), "", None, by=line) for line in lines.each]
            except StoreError:  # too many wait: they show whether it is there
                continue
            for answer in await asyncio.gather(*asked, return_exceptions=True):
                if not isinstance(answer, bytes):  # it has gone away meanwhile, and is asked when it is back
                    continue
                try:
                    check_policy(read_sections(answer))
                except StoreError as error:
                    self._lost_of(lines, str(error))

    def _lost_of(self, lines: Lines, why: str) -> None:
        if lines is self._lines:
            self._lost(why)


class _Early:
    """What a hook asks with, before everybody is served."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    async def call(self, *command: Argument) -> Any:
        return await self._link._send(packed(*command), key_of(command), None)

    def run(self, script: Script, *arguments: Argument, keys: tuple[str, ...]) -> "asyncio.Future[Any]":
        return self._link._send(packed_script(script, keys, arguments), keys[0], script)

    def life(self, key: str) -> str:
        return self._link._life(key)


_CHECK: Final = "doorward:{c}:check"


def _report(future: "asyncio.Future[Any]") -> None:
    if not future.cancelled() and (error := future.exception()) is not None:
        _log.debug("not done: %s", error)
