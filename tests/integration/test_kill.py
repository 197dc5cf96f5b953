"""kill -9 at any moment: a ticket that opened a connection is spent, a revocation that was acknowledged holds, and no
place stays taken."""

import asyncio
from random import Random

import pytest

from doorward.adapters.stores.sqlite import SqliteStore
from doorward.adapters.system import SystemClock
from doorward.values.revocation import Effect, Revocation, Target, TargetKind
from tests.integration.running import Client, Gateway, running
from tests.unit.adapters.audit.following import follow

ROUNDS = 50
TICKETS = 20
MOST = 10  # live ones that one subject may have
SUBJECTS = 30
PLACES = 3


class Round:
    """Everything that a gateway does at once, and what its clients know of it for certain."""

    def __init__(self, gateway: Gateway, store: SqliteStore, number: int) -> None:
        self.gateway = gateway
        self.store = store
        self.number = number
        self.spent: list[str] = []
        self.revoked: list[str] = []
        self.renewals = 0
        self._moved = asyncio.Event()

    async def has_come_to(self, *, spent: int, revoked: int) -> None:
        """Until it has done that much, however fast this machine is."""
        while len(self.spent) < spent or len(self.revoked) < revoked:
            self._moved.clear()
            await self._moved.wait()

    async def prepare(self) -> None:
        """What shall go on while it is killed is bought and opened before."""
        tokens = [self.gateway.token(f"buyer{self.number}-{turn // MOST}", 600) for turn in range(TICKETS)]
        self.tickets = [(await self.gateway.buy(token))["ticket"] for token in tokens]
        self.tokens = {name: self.gateway.token(name, 600) for name in (f"r{self.number}-{n}" for n in range(SUBJECTS))}
        self.client, ready = await self.gateway.enter(f"renewer{self.number}")
        self.connection = ready["connection"]

    async def run(self) -> None:
        await asyncio.gather(self._spend(), self._renew(), self._revoke())

    async def _spend(self) -> None:
        for ticket in self.tickets:
            client = await self.gateway.try_connect(f"/chat?ticket={ticket}")
            if isinstance(client, Client):
                self.spent.append(ticket)
                self._moved.set()

    async def _renew(self) -> None:
        """By turns over the socket, which has a rate of its own, and from outside."""
        while self.renewals < 200:
            token = self.gateway.token(f"renewer{self.number}", 600)
            if self.renewals % 25 == 0:
                await self.client.auth(token)
            else:
                answer = await self.gateway.post("/auth/renew", {"connection": self.connection, "token": token})
                assert answer.status_code == 200
            await self.client.hear("ready")
            self.renewals += 1

    async def _revoke(self) -> None:
        clock = SystemClock()
        for name, token in self.tokens.items():
            await self.gateway.try_connect(token=token)
            now = clock.now()
            target = Target(TargetKind.IDENTITY, name)
            await self.store.revocations.append(Revocation(target, now, Effect.CLOSE, "test", now + 3600))
            self.revoked.append(name)
            self._moved.set()


@pytest.mark.timeout(240)
async def test_nothing_that_was_said_is_unsaid(tmp_path) -> None:
    chance = Random(20261122)  # the moments differ all the same: they hang on how far the gateway has come
    store = SqliteStore(tmp_path / "doorward.db", clock=SystemClock(), process="test", shared=False)
    rounds: list[Round] = []
    routes = [{"path": "/chat"}, {"path": "/places", "limits": {"connections_per_subject": PLACES}}]
    async with running(tmp_path, routes=routes) as gateway:
        await store.open()
        try:
            for number in range(ROUNDS):
                if number:
                    if number % 10 == 5:
                        tear(gateway)
                    await gateway.start()
                    await holds(gateway, rounds[-1])
                rounds.append(Round(gateway, store, number))
                await killed_amid(rounds[-1], chance)
        finally:
            await store.close()
        await gateway.start()
        for one in rounds:
            await holds(gateway, one)
        spent, revoked = (
            sum(len(names) for names in kind) for kind in zip(*((r.spent, r.revoked) for r in rounds), strict=True)
        )
        print(f"\n{spent} tickets spent, {revoked} subjects revoked, {sum(r.renewals for r in rounds)} renewals")
        assert spent > ROUNDS
        assert ROUNDS < revoked < ROUNDS * SUBJECTS
        assert spent < ROUNDS * TICKETS, "cut short"
        await gateway.stop()
    followed = follow(gateway.audit_file().read_bytes())
    assert followed.faults == []
    assert len(followed.stretches) >= ROUNDS + 1
    torn = [event for event in followed.events if event["kind"] == "gap"]
    assert len(torn) >= ROUNDS // 10
    assert all("a line was torn" in event["detail"] for event in torn)
    sequences = [event["sequence"] for event in followed.events]
    assert len(set(sequences)) == len(sequences), "no number twice, over all the lives"
    assert [event for event in followed.events if event["kind"] == "fault"] == []


def tear(gateway: Gateway) -> None:
    """What a kill in the midst of a write would leave: it comes too seldom by itself."""
    with gateway.audit_file().open("ab") as file:
        file.write(b'{"kind":"handshake","outcome":"allo')


async def killed_amid(one: Round, chance: Random) -> None:
    await one.prepare()
    places = [await one.gateway.connect("/places", token=one.gateway.token("places")) for _ in range(PLACES)]
    assert await one.gateway.status("/places", token=one.gateway.token("places")) == 429
    traffic = asyncio.create_task(one.run())
    come = asyncio.create_task(one.has_come_to(spent=chance.randint(0, 8), revoked=chance.randint(0, 8)))
    await asyncio.wait([traffic, come], return_when=asyncio.FIRST_COMPLETED)
    come.cancel()
    await asyncio.sleep(chance.uniform(0.0, 0.02))  # into whatever is next
    await one.gateway.kill()
    await asyncio.gather(traffic, return_exceptions=True)
    assert [(await client.closed())[0] for client in places] == [1006] * PLACES


async def holds(gateway: Gateway, one: Round) -> None:
    """What its clients were sure of is so after the restart."""
    again = [f"/chat?ticket={ticket}" for ticket in one.spent]
    assert [await gateway.status(path) for path in again] == [403] * len(again)
    tokens = [one.tokens[name] for name in one.revoked]
    assert [await gateway.status(token=token) for token in tokens] == [403] * len(tokens)
