"""Every attack of a table against one server, many at a time, each from an address of its own, by which the audit
tells them apart; and what became of each."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tests.integration.frameworks.door import Door
from tests.integration.frameworks.serving import Served, served
from tests.integration.gateway.standing_in import until
from tests.integration.running import WITHIN
from tests.security.hostile.heads import HEADS, UPGRADES

AT_ONCE = 32
PLAIN = b"plain http"
PATIENCE = 0.5
"""Seconds after which who has heard nothing will hear nothing: uvicorn leaves bodies unanswered for good."""

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

    async def say(self, octets: bytes, address: str, *, patience: float) -> tuple[bytes, bool]:
        """What came back until the end, or until nothing more came; and whether that was the end."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.it.port, local_addr=(address, 0))
        said, ended = b"", False
        try:
            writer.write(octets)
            with contextlib.suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(WITHIN):
                    await writer.drain()
                    while True:
                        # what has begun to answer will soon be done
                        more = await asyncio.wait_for(reader.read(65536), patience if not said else patience / 4)
                        if not more:
                            ended = True
                            break
                        said += more
        except ConnectionError:
            ended = True
        finally:
            writer.transport.abort()
        return said, ended

    async def assail(self, attacks: Sequence[Attack], *, patience: float = PATIENCE) -> list[Result]:
        """All of them; then what the audit says of each."""
        first, self.number = self.number, self.number + len(attacks)
        turns = asyncio.Semaphore(AT_ONCE)

        async def one(place: int, attack: Attack) -> tuple[bytes, bool]:
            token = self.door.token(f"mallory-{first + place}")
            self.canaries.append(token)
            async with turns:
                sent = attack.octets.replace(b"Bearer @", b"Bearer " + token.encode())
                return await self.say(sent, source(first + place), patience=patience)

        heard = await asyncio.gather(*(one(place, attack) for place, attack in enumerate(attacks)))
        await self.settled()
        refused = {event["address"]: event["reason"] for event in self.door.events(kind="handshake", outcome="refused")}
        return [
            self._result(attack, said, refused.get(source(first + place), ""), f"mallory-{first + place} ")
            for place, (attack, (said, _)) in enumerate(zip(attacks, heard, strict=True))
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
