"""Two nodes over one store with a time of its own, their wall clocks 2 s off each way: one time base, no door opened.

Real SystemClocks over one simulated true time, the service floor of both, one store that both share.
"""

import json
from dataclasses import replace
from typing import Any

import pytest

from doorward.adapters.stores.memory import MemoryStore
from doorward.adapters.stores.terms import ALIVE_WITHIN
from doorward.adapters.system import SystemClock
from doorward.core.lifecycle import State
from doorward.core.timekeeping import OWN_SKEW
from doorward.ports import TokenSigner
from doorward.service import operate
from doorward.service.live import Live
from doorward.service.tending import Tending
from doorward.service.timekeeping import Timekeeper, set_by
from doorward.testing import START, FakeEntropy
from doorward.values.ban import Ban
from doorward.values.decision import Deny, Reason
from doorward.values.question import Slot, SlotsFull
from doorward.values.revocation import Effect
from doorward.values.rules import ClusterLimits, IssuerRules
from doorward.values.secret import Secret
from tests.unit.service.test_tending import Chores
from tests.unit.service.world import GOOD, ISSUER, Recorder, World, handshake, rules, segment, subject

OFF = 2.0


class Shared(MemoryStore):
    """What all nodes ask: its time is the true one, and `wrong` more after a failover to a worse machine."""

    def __init__(self) -> None:
        super().__init__()
        self.true = START
        self.wrong = 0.0

    async def time(self) -> float:  # type: ignore[override]
        return self.true + self.wrong


class Machine:
    """A node with a wall clock of its own."""

    def __init__(self, store: Shared, name: str, *, off: float, **limits: Any) -> None:
        self.store = store
        self.off = off
        self.clock = SystemClock(wall=lambda: store.true + self.off, ticks=lambda: store.true - START + abs(off))
        terms = replace(ClusterLimits(), **limits)
        own = IssuerRules(ISSUER, ("chat",), frozenset({"HS256"}), skew=OWN_SKEW, own=True)
        judged = rules(issuers={ISSUER: own}, limits=terms)
        self.world = World(judged, clock=self.clock, store=store, node=name)  # type: ignore[arg-type]
        # FakeEntropy begins alike everywhere; ids of two nodes are not
        self.world.door._entropy = self.world.desk._entropy = FakeEntropy(seed=name)
        self.keeper = Timekeeper(
            store=store, clock=self.clock, emit=self.world.events.emit, note=self.world.notes.append
        )
        self.tending = Tending(
            watch=self.world.watch,
            door=self.world.door,
            follower=self.world.follower,
            withdrawals=self.world.withdrawals,
            store=store,
            entropy=self.world.entropy,
            chores=Chores(),
            timekeeper=self.keeper,
            node=name,
            worker=0,
            more={},
            close_without_store=lambda: False,
            handshake_rate=lambda: 200.0,
        )

    def issue(self, name: str = "alice", *, ttl: float = 60.0) -> str:
        grant = operate.Grant(name, ttl=ttl)
        return operate.issue_token(
            Signer(), grant, issuer=ISSUER, audience="chat", clock=self.clock, entropy=self.world.entropy
        )

    async def enter(self, bearer: str) -> Live | Deny:
        return await self.world.enter(handshake(bearer=bearer))

    async def live(self, bearer: str) -> tuple[Live, Recorder]:
        return await self.world.inside(handshake(bearer=bearer))

    async def revoke(self) -> operate.Revoked:
        return await operate.revoke(
            self.store,
            self.clock,
            id=self.world.entropy.bytes(8).hex(),
            target=subject(),
            effect=Effect.CLOSE,
            cause="test",
            by="test",
            counts_for=3600.0,
            within=0.0,
        )


class Signer(TokenSigner):
    """As the canned verifier wants it."""

    def sign(self, *, typ: str, claims: dict[str, object]) -> str:
        parts = (json.dumps({"alg": "HS256", "typ": typ}).encode(), json.dumps(claims).encode(), GOOD)
        return ".".join(map(segment, parts))


async def nodes(**limits: Any) -> tuple[Shared, Machine, Machine]:
    """(the store, a node whose wall clock is 2 s fast, one whose is 2 s slow)"""
    store = Shared()
    fast, slow = Machine(store, "fast", off=OFF, **limits), Machine(store, "slow", off=-OFF, **limits)
    for machine in (fast, slow):
        await machine.keeper.start()
        await machine.tending.beat()
    return store, fast, slow


async def test_they_go_by_one_time() -> None:
    store, fast, slow = await nodes()
    assert fast.clock.now() == slow.clock.now() == store.true
    fast.off, slow.off = -3600.0, 3600.0  # whatever happens to the wall clocks then
    store.true += 1
    assert fast.clock.now() == slow.clock.now() == store.true


async def test_what_was_issued_on_the_fast_node_before_a_revocation_on_the_slow_one_is_refused() -> None:
    store, fast, slow = await nodes()
    before = fast.issue()
    store.true += 0.05
    await slow.revoke()
    await fast.world.withdrawals.catch_up()
    for machine in (fast, slow):
        refused = await machine.enter(before)
        assert isinstance(refused, Deny)
        assert refused.reason is Reason.REVOKED_BEFORE
    await fast.world.follower.start()
    store.true += OWN_SKEW + 0.01
    after = slow.issue()
    assert isinstance(await fast.enter(after), Live), "who signs in again after it is let in"


async def test_the_other_way_round_as_well() -> None:
    store, fast, slow = await nodes()
    before = slow.issue()
    store.true += 0.001
    await fast.revoke()
    refused = await slow.enter(before)
    assert isinstance(refused, Deny)
    assert refused.reason is Reason.REVOKED_BEFORE


async def test_a_command_goes_by_the_stores_time_too() -> None:
    """`doorward revoke` on a machine that is 2 s slow (config/making.opened sets the clock so)."""
    store, fast, _ = await nodes()
    before = fast.issue()
    command = SystemClock(wall=lambda: store.true - OFF, ticks=lambda: store.true - START)
    await set_by(store, command)
    await operate.revoke(
        store,
        command,
        id="1",
        target=subject(),
        effect=Effect.CLOSE,
        cause="test",
        by="test",
        counts_for=60,
        within=0.0,
    )
    refused = await fast.enter(before)
    assert isinstance(refused, Deny)
    assert refused.reason is Reason.REVOKED_BEFORE


async def test_a_token_expires_on_both_at_the_same_instant() -> None:
    store, fast, slow = await nodes()
    bearer = fast.issue(ttl=60.0)
    lives = [await machine.live(bearer) for machine in (fast, slow)]
    store.true += 59.5
    for machine, (live, _) in zip((fast, slow), lives, strict=True):
        live.tick(machine.clock.now())
        assert live.state is not State.CLOSED
        assert isinstance(await machine.enter(bearer), Live)
    store.true += 0.5
    for machine, (live, _) in zip((fast, slow), lives, strict=True):
        live.tick(machine.clock.now())
        assert live.ended is Reason.EXPIRED
        refused = await machine.enter(bearer)
        assert isinstance(refused, Deny)
        assert refused.reason is Reason.TOKEN_EXPIRED


async def test_a_ticket_of_the_slow_node_ends_on_the_fast_one_when_it_says() -> None:
    store, fast, slow = await nodes()
    codes: list[Secret] = []
    for _ in range(2):
        grant = operate.Grant("alice", ttl=10.0)
        code, _ = await operate.issue_ticket(
            store, grant, slow.world.watch.rules, issuer=ISSUER, path=None, clock=slow.clock, entropy=slow.world.entropy
        )
        codes.append(code)
    store.true += 9.9
    assert isinstance(await fast.world.enter(handshake(path=f"/chat/a?ticket={codes[0].expose()}")), Live)
    store.true += 0.1
    late = await fast.world.enter(handshake(path=f"/chat/a?ticket={codes[1].expose()}"))
    assert isinstance(late, Deny)
    assert late.reason is Reason.TICKET_EXPIRED


async def test_a_ban_ends_on_both_at_the_same_instant() -> None:
    store, fast, slow = await nodes()
    bearer = fast.issue()
    await store.bans.add(_ban(slow.clock.now()))
    for seconds, banned in ((9.9, True), (0.1, False)):
        store.true += seconds
        for machine in (fast, slow):
            entered = await machine.enter(bearer)
            assert isinstance(entered, Deny) is banned
            assert not banned or entered.reason is Reason.IDENTITY_BANNED  # type: ignore[union-attr]


def _ban(now: float) -> Ban:
    return Ban(None, "alice", None, None, cause="test", made_at=now, expires_at=now + 10.0)


async def test_both_are_there_for_each_other_until_one_is_silent_for_long() -> None:
    store, fast, slow = await nodes()
    store.true += ALIVE_WITHIN
    assert {node.node for node in await store.presence.nodes(now=fast.clock.now())} == {"fast", "slow"}
    await fast.tending.beat()
    store.true += 0.1
    assert [node.node for node in await store.presence.nodes(now=slow.clock.now())] == ["fast"]


async def test_slots_and_rates_are_taken_at_one_time() -> None:
    """The stores are given `now`: nothing is leased into a future that is the other node's past."""
    store, fast, slow = await nodes(connections_per_subject=1)
    asked: list[float] = []
    take = store.slots.take

    async def noted(question, *, now: float) -> Slot | SlotsFull:
        asked.append(now)
        return await take(question, now=now)

    store.slots.take = noted  # type: ignore[method-assign]
    assert isinstance(await fast.enter(fast.issue("bob")), Live)
    full = await slow.enter(slow.issue("bob"))
    assert isinstance(full, Deny)
    assert full.reason is Reason.SLOTS_IDENTITY
    assert asked == [store.true, store.true]


@pytest.mark.parametrize("jump", [5.0, -5.0])
async def test_a_failover_to_a_machine_that_is_off_opens_no_door_either(jump: float) -> None:
    """Some nodes go by the new time already, others not yet: a command that starts now is one of the former."""
    store, fast, slow = await nodes()
    store.wrong = jump
    await set_by(store, slow.clock)  # slow has just been started anew
    await fast.tending.beat()
    before = fast.issue()
    store.true += 0.5
    await slow.revoke()
    refused = await fast.enter(before)
    assert isinstance(refused, Deny)
    assert refused.reason is Reason.REVOKED_BEFORE
    for _ in range(4):
        await fast.tending._beat_or_note()
        store.true += 2.0
    assert fast.clock.now() == pytest.approx(slow.clock.now()), "within some beats all agree again"
    store.true += 5.0
    assert isinstance(await fast.enter(slow.issue()), Live)


@pytest.mark.parametrize("jump", [5.0, -5.0, -3600.0])
async def test_no_lease_lasts_longer_because_the_clock_was_set_back(jump: float) -> None:
    store, fast, _ = await nodes()
    live, hands = await fast.live(fast.issue(ttl=120.0))
    fast.world.connections._done = int(fast.clock.now() * 4)
    store.wrong = jump
    lived = 0.0
    while live.state is not State.CLOSING and lived < 200:
        store.true += 0.25
        lived += 0.25
        live.pong()
        if lived % 2 == 0:
            await fast.tending._beat_or_note()
        await fast.world.connections.tick()
    assert live.ended is Reason.EXPIRED
    assert lived <= 120.25 if jump < 0 else lived <= 120.25 - jump
    assert ("close", 4001, "doorward:expired", False) in hands.done
