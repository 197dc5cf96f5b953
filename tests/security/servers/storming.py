"""Every attack of a table against one server, many at a time, each from an address of its own, by which the audit
tells them apart; and what became of each."""

import asyncio
import contextlib
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tests.doors import raw
from tests.integration.frameworks.door import Door
from tests.integration.frameworks.serving import Served, served
from tests.integration.gateway.standing_in import until
from tests.integration.running import WITHIN
from tests.security.hostile.heads import HEADS, UPGRADES

AT_ONCE = 32
PLAIN = b"plain http"
SILENT_FOR = 0.5
"""Seconds for which who is known to hear nothing hears nothing: uvicorn leaves bodies unanswered for good."""
NO_MORE_FOR = 0.1
"""Seconds for which nothing more comes after an answer."""

ROUTES: list[dict[str, Any]] = [
    {"path": "/ws/{room}", "limits": {"messages": "off"}},
    {"path": "/admin/{room}", "permission": "admin:all"},
    {"path": "/raw/{rest*}"},
    {"path": "/strict/{room}", "without_origin": "refuse"},
]


class Outcome(StrEnum):
    """Who refused it, or that nobody did."""

    DOORWARD = "doorward"  # the middleware: there is an audit record of a refusal
    SERVER = "server"  # by itself, and nobody behind it heard of it
    SILENCE = "silence"  # the server neither answers nor ends it
    HTTP = "http"  # the server takes it for plain HTTP, and the application's own HTTP answers: no socket opens
    IN = "in"  # a WebSocket of the application


@dataclass(frozen=True, slots=True)
class Attack:
    """`name` begins with its id in SECURITY part B; `octets` with `Bearer @` where a good token goes."""

    name: str
    octets: bytes


@dataclass(frozen=True, slots=True)
class Result:
    attack: Attack
    outcome: Outcome
    said: bytes
    reason: str = ""


Enough = Callable[[bytes], bool]


def never(said: bytes) -> bool:
    return False


def is_answered(attack: Attack, enough: Enough) -> Enough:
    """Is it a whole answer by now? Of a WebSocket, `enough` says so."""

    def done(said: bytes) -> bool:
        if said.startswith(b"HTTP/1.1 101 "):
            return enough(said)
        if said[:7] != b"HTTP/1."[: len(said)]:
            return True  # HTTP/2
        return raw.is_whole(said) or (attack.octets.startswith(b"HEAD ") and b"\r\n\r\n" in said)

    return done


def attacks_of(rows: Sequence[tuple[str, tuple[bytes, ...], int, str]]) -> list[Attack]:
    return [Attack(name, octets) for name, variants, _, _ in rows for octets in variants]


HANDSHAKES = attacks_of([*HEADS, *UPGRADES])


def source(number: int) -> str:
    return f"127.{10 + number // 40000}.{number // 200 % 200}.{number % 200 + 1}"


@dataclass
class Assailed:
    """A server with the middleware in front of the app, and its door."""

    name: str
    it: Served
    door: Door
    canaries: list[str]
    number: int = 0

    async def say(self, octets: bytes, address: str, enough: Enough, *, within: float) -> bytes:
        """What came back until it was enough, or the end, and a little after that; or `within` seconds long."""
        transport, ear = await asyncio.get_running_loop().create_connection(
            raw.Ear, "127.0.0.1", self.it.port, local_addr=(address, 0)
        )
        try:
            transport.write(octets)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within):
                    await ear.until(enough)
                async with asyncio.timeout(NO_MORE_FOR):
                    await ear.until(never)
        finally:
            transport.abort()
        return ear.heard

    async def assail(
        self, attacks: Sequence[Attack], *, silent: Container[int] = (), enough: Enough | None = None
    ) -> list[Result]:
        """All of them; then what the audit says of each. Those at the places that are `silent` are known to hear
        nothing; the others are waited for, until each has its answer whole, or what is `enough` of a WebSocket."""
        first, self.number = self.number, self.number + len(attacks)
        turns = asyncio.Semaphore(AT_ONCE)

        async def one(place: int, attack: Attack) -> bytes:
            token = self.door.token(f"mallory-{first + place}")
            self.canaries.append(token)
            done = is_answered(attack, enough or (lambda said: f"mallory-{first + place} ".encode() in said))
            async with turns:
                sent = attack.octets.replace(b"Bearer @", b"Bearer " + token.encode())
                within = SILENT_FOR if place in silent else WITHIN
                return await self.say(sent, source(first + place), done, within=within)

        heard = await asyncio.gather(*(one(place, attack) for place, attack in enumerate(attacks)))
        await self.settled()
        refused = {event["address"]: event["reason"] for event in self.door.events(kind="handshake", outcome="refused")}
        return [
            self._result(attack, said, refused.get(source(first + place), ""), f"mallory-{first + place} ")
            for place, (attack, said) in enumerate(zip(attacks, heard, strict=True))
        ]

    def _result(self, attack: Attack, said: bytes, reason: str, subject: str) -> Result:
        if said.startswith(b"HTTP/1.1 101 ") and subject.encode() in said:
            return Result(attack, Outcome.IN, said)
        assert subject.encode() not in said, (attack, said)
        if reason:
            outcome = Outcome.DOORWARD
        elif said.endswith(PLAIN) or (said.startswith(b"HTTP/1.1 200") and PLAIN in said):
            outcome = Outcome.HTTP
        else:
            outcome = Outcome.SERVER if said else Outcome.SILENCE
        return Result(attack, outcome, said, reason)

    async def settled(self) -> None:
        """A good client is served, and is in the audit: so is all that came before it."""
        self.number += 1
        subject = f"good-{self.number}"
        client = await self.it.connect("/ws/good", token=self.door.token(subject))
        assert str(await client.next()).startswith(f"{subject} ")
        await client.close()
        await until(lambda: self.door.events(subject=subject, kind="close"))


@contextlib.asynccontextmanager
async def assailed(server: str, folder: Any, **tables: Any) -> Any:
    door = Door(folder, server={"hosts": ["gw.test", "127.0.0.1"]}, routes=ROUTES, **tables)
    async with served(server, "tests.security.servers.attacked:app", environment=door.environment, path="/") as it:
        yield Assailed(server, it, door, [])
