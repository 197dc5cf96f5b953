"""Revocations act on what they hit and nothing else, are acknowledged, and block the way back."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from doorward.ports import PresentNode, RefusedError, StoreError
from doorward.service import operate
from doorward.service.live import Live
from doorward.testing import START
from doorward.values.audit import EventKind
from doorward.values.decision import Deny, Reason
from doorward.values.revocation import Acknowledgement, Effect, Target, TargetKind
from tests.unit.service.world import ISSUER, World, credential, handshake, route, rules, subject, token


async def followed(world: World) -> None:
    await world.withdrawals.catch_up()
    await world.follower.act_now()


TARGETS = [
    (subject("alice"), True),
    (Target(TargetKind.IDENTITY, "alice", issuer=ISSUER), True),
    (Target(TargetKind.IDENTITY, "alice", issuer="https://other.example/"), False),
    (Target(TargetKind.IDENTITY, "alice", tenant="acme"), False),
    (subject("bob"), False),
    (Target(TargetKind.SESSION, "s1"), True),
    (Target(TargetKind.SESSION, "s2"), False),
    (Target(TargetKind.TOKEN, "j1"), True),
    (Target(TargetKind.TOKEN, "j2"), False),
    (Target(TargetKind.ISSUER, ISSUER), True),
    (Target(TargetKind.ISSUER, "https://other.example/"), False),
    (Target(TargetKind.TENANT, "acme"), False),
]


@pytest.mark.parametrize(("target", "hit"), TARGETS)
async def test_a_revocation_closes_what_it_names_and_blocks_the_way_back(target, hit) -> None:
    world = World()
    await world.follower.start()
    shown = handshake(bearer=token(sid="s1", jti="j1"))
    live, hands = await world.inside(shown)
    id = await world.revoke(target)
    await followed(world)
    assert (live.ended is Reason.REVOKED) is hit
    assert hands.done == ([("close", 4002, "doorward:revoked", True)] if hit else [])
    (answer,) = await world.store.revocations.acknowledgements(id)
    assert answer.closed == int(hit)
    again = await world.enter(shown)
    assert isinstance(again, Deny if hit else Live)


async def test_something_issued_after_the_instant_comes_in() -> None:
    world = World()
    await world.follower.start()
    await world.revoke(subject())
    await followed(world)
    assert isinstance(await world.enter(), Deny)
    world.clock.advance(5)
    assert isinstance(await world.enter(handshake(bearer=token(iat=int(world.clock.now())))), Live)


async def test_an_operator_closes_one_connection_with_4403() -> None:
    world = World()
    await world.follower.start()
    live, hands = await world.inside()
    await world.revoke(Target(TargetKind.CONNECTION, live.connection))
    await followed(world)
    assert hands.done == [("close", 4403, "doorward:closed_by_operator", False)]
    assert isinstance(await world.enter(), Live)


async def test_queued_output_is_dropped_by_cutting() -> None:
    world = World()
    await world.follower.start()
    live, hands = await world.inside()
    hands.queued = True
    await world.revoke(subject())
    await followed(world)
    assert world.connections.get(live.connection) is None
    assert [event.reason for event in world.audited() if event.kind is EventKind.CLOSE] == ["revoked"]


async def test_roles_narrow_live_connections_at_once() -> None:
    judged = rules(routes=(route(permission="chat:join"),), roles={"member": ("chat:join",), "guest": ("chat:read",)})
    world = World(judged)
    await world.follower.start()
    shown = handshake(bearer=token(roles=["member"]), protocols="doorward.v1")
    live, hands = await world.inside(shown)
    await world.revoke(subject(), Effect.ROLES, roles=("member", "guest"))
    await followed(world)
    assert live.principal.permissions == {"chat:join", "chat:read"}
    assert '"type":"doorward.ready"' in hands.said[-1]
    await world.revoke(subject(), Effect.ROLES, roles=("guest",))
    await followed(world)
    assert live.ended is Reason.PERMISSION
    refused = await world.enter(shown)
    assert isinstance(refused, Deny)
    assert refused.reason is Reason.PERMISSION


async def test_effect_renew_asks_and_takes_only_something_newer() -> None:
    world = World()
    await world.follower.start()
    live, hands = await world.inside(handshake(bearer=token(), protocols="doorward.v1"))
    world.clock.advance(10)
    await world.revoke(subject(), Effect.RENEW)
    await followed(world)
    assert hands.said[-1].startswith('{"type":"doorward.renew"')
    live.control(f'{{"type":"doorward.auth","token":"{token()}"}}'.encode())
    await world.settle()
    assert hands.said[-1] == '{"type":"doorward.refused","reason":"refused"}'
    world.clock.advance(1)
    newer = token(iat=int(world.clock.now()))
    live.control(f'{{"type":"doorward.auth","token":"{newer}"}}'.encode())
    await world.settle()
    assert '"type":"doorward.ready"' in hands.said[-1]
    assert live.ended is None


async def test_who_cannot_renew_is_ended_by_effect_renew() -> None:
    world = World()
    await world.follower.start()
    live, hands = await world.inside()
    await world.revoke(subject(), Effect.RENEW)
    await followed(world)
    assert hands.done == [("close", 4001, "doorward:expired", False)]
    assert live.ended is Reason.EXPIRED


async def test_the_command_waits_for_every_worker_and_names_the_silent() -> None:
    world = World()
    result = await world.revoke_by_command()
    assert (result.closed, result.nodes, result.silent) == (0, 0, ())
    assert operate.summary(result) == "closed 0 connections on 0 of 0 nodes in 0 ms"


async def revoked(world: World) -> operate.Revoked:
    return await world.revoke_by_command(within=0.0)


async def test_who_is_not_heard_of_is_not_waited_for_and_is_named() -> None:
    """It may live, cut off from the stores, and hold what was revoked (the attacker's: exit 0, "1 of 1 node")."""
    world = World()
    await world.store.presence.beat(PresentNode("gw-2", 1, 1, START, START, 0, 0))
    await world.store.presence.beat(PresentNode("gw-2", 2, 1, START, START + 30, 0, 0))
    world.clock.advance(42)
    result = await revoked(world)
    assert (result.nodes, result.silent, result.is_proven) == (1, (), False)
    assert result.unheard == (operate.Unheard("gw-2", 42.0),)
    assert operate.summary(result) == "closed 0 connections on 0 of 1 node in 0 ms; gw-2 not heard of for 42 s"
    world.clock.advance(3600)
    result = await revoked(world)
    assert (result.nodes, result.unheard, result.is_proven) == (0, (), True)


async def test_the_answer_of_who_was_not_heard_of_counts() -> None:
    """It reaches one store again, or its clock stood still."""
    world = World()
    await world.store.presence.beat(PresentNode("gw-2", 1, 1, START, START, 0, 0))
    world.clock.advance(42)
    await revoked(world)
    await world.store.revocations.acknowledge(Acknowledgement("one", 1, "gw-2", 1, 2, 0, START + 42, 0.1))
    result = await revoked(world)
    assert (result.closed, result.nodes, result.unheard, result.is_proven) == (2, 1, (), True)


async def test_a_node_that_answered_counts_whatever_is_left_of_one_of_its_name() -> None:
    world = World()
    await world.store.presence.beat(PresentNode("gw-2", 1, 1, START, START, 0, 0))
    world.clock.advance(42)
    now = world.clock.now()
    for node, worker in (("gw-1", 1), ("gw-2", 2), ("gw-3", 1), ("gw-3", 2)):
        await world.store.presence.beat(PresentNode(node, worker, 1, START, now, 0, 0))
    await revoked(world)
    for node, worker in (("gw-1", 1), ("gw-2", 2), ("gw-3", 1)):
        await world.store.revocations.acknowledge(Acknowledgement("one", 1, node, worker, 1, 0, now, 0.1))
    result = await revoked(world)
    assert (result.answered, result.nodes, result.silent) == (2, 3, ("gw-3",))
    assert result.unheard == (operate.Unheard("gw-2", 42.0),)
    assert operate.summary(result).startswith("closed 3 connections on 2 of 3 nodes in ")


async def test_only_who_is_not_heard_of_can_be_forgotten() -> None:
    world = World()
    await world.store.presence.beat(PresentNode("gw-2", 1, 1, START, START, 0, 0))
    assert await operate.forget_node(world.store, world.clock, node="gw-2") == 0
    world.clock.advance(42)
    await world.store.presence.beat(PresentNode("gw-2", 2, 1, START, world.clock.now(), 0, 0))
    assert await operate.forget_node(world.store, world.clock, node="gw-1") == 0
    assert await operate.forget_node(world.store, world.clock, node="gw-2") == 1
    assert await world.store.presence.unheard(now=world.clock.now()) == []
    assert len(await world.store.presence.nodes(now=world.clock.now())) == 1


class Deaf:
    """A log that takes what it is given, and then answers nobody."""

    def __init__(self, log) -> None:
        self._log = log

    async def append(self, revocation) -> int:
        await self._log.append(revocation)
        return 0

    async def acknowledgements(self, id: str):
        raise StoreError("away")


async def test_what_is_done_is_told_as_done_though_nobody_can_be_asked_any_more() -> None:
    world = World()
    await world.store.presence.beat(PresentNode("gw-1", 0, 1, START, world.clock.now(), 0, 0))
    world.store.revocations = Deaf(world.store.revocations)  # type: ignore[assignment]
    result = await world.revoke_by_command(within=0.0)
    assert (result.durable, result.sequence, result.silent) == (False, 0, ("gw-1",))
    assert operate.summary(result) == (
        "closed 0 connections on 0 of 1 node in 0 ms; no answer from gw-1; "
        "not durable: the store of record is away, the nodes keep trying"
    )


async def test_the_command_leaves_a_record_of_its_own() -> None:
    world = World()
    result = operate.Revoked(
        id="one", sequence=7, durable=True, closed=3, asked=0, nodes=2, answered=2, silent=(), took=0.038, identities=()
    )
    await operate.record_revocation(
        world.store,
        world.clock,
        target=subject(),
        effect=Effect.CLOSE,
        cause="left",
        by="op",
        result=result,
    )
    ((_, line),) = await world.store.audit.query(after=0, limit=10, kind=EventKind.REVOCATION)
    said = json.loads(line)
    assert (said["node"], said["subject"], said["reason"]) == ("command", "alice", "identity_close")
    assert said["detail"] == "log 7: left; closed 3 connections on 2 of 2 nodes in 38 ms; by op"


NOBODY = operate.Revoked(
    id="one", sequence=1, durable=True, closed=0, asked=0, nodes=2, answered=2, silent=(), took=0.01, identities=()
)


@pytest.mark.parametrize(
    ("target", "effect", "told"),
    [
        (
            subject("nosuch"),
            Effect.CLOSE,
            "nobody named 'nosuch' is connected now; tokens issued until now are refused all the same",
        ),
        (
            subject("nosuch"),
            Effect.ROLES,
            "nobody named 'nosuch' is connected now; tokens issued until now are given these roles all the same",
        ),
        (
            Target(TargetKind.TENANT, "acme"),
            Effect.RENEW,
            "nobody of this tenant is connected now; tokens issued until now are refused all the same",
        ),
        (
            Target(TargetKind.SESSION, "s1"),
            Effect.CLOSE,
            "nobody is connected by this session now; it is refused all the same",
        ),
    ],
)
def test_who_meets_nobody_is_told_that_it_counts_all_the_same(target, effect, told) -> None:
    assert operate.met_nobody(NOBODY, target=target, effect=effect) == told


@pytest.mark.parametrize(
    "met",
    [
        {"closed": 1},
        {"asked": 1},
        {"identities": ("i|alice|",)},
        {"unheard": (operate.Unheard("gw-2", 42.0),)},
        {"silent": ("gw-2",)},  # who did not answer may have had some
        {"nodes": 0},  # the command says more of that
    ],
)
def test_of_nobody_is_spoken_only_where_that_is_known(met) -> None:
    assert operate.met_nobody(replace(NOBODY, **met), target=subject("nosuch"), effect=Effect.CLOSE) == ""


async def test_renewal_from_outside_needs_the_same_identity_and_is_no_oracle() -> None:
    world = World()
    live, _ = await world.inside(handshake(bearer=token(), protocols="doorward.v1"))
    world.clock.advance(60)
    unknown = await world.watch.renew_outside("nobody", credential(token()))
    other = await world.watch.renew_outside(live.connection, credential(token(sub="bob")))
    assert unknown == other == Deny(Reason.CONNECTION_UNKNOWN, unknown.step)  # type: ignore[union-attr]
    renewed = await world.watch.renew_outside(live.connection, credential(token(exp=int(world.clock.now()) + 900)))
    assert renewed is live
    assert live.principal.expires_at == int(world.clock.now()) + 900


async def test_a_worker_that_comes_back_acknowledges_what_it_missed() -> None:
    world = World()
    old = await world.revoke(subject("long ago"))
    world.clock.advance(60)
    missed = await world.revoke(subject())
    await world.follower.start()
    await world.follower.act_now()
    assert [answer.closed for answer in await world.store.revocations.acknowledgements(missed)] == [0]
    assert await world.store.revocations.acknowledgements(old) == []


@pytest.mark.parametrize(
    ("target", "named"),
    [
        (Target(TargetKind.IDENTITY, "alice", tenant="acme"), {"subject": "alice", "tenant": "acme"}),
        (Target(TargetKind.SESSION, "s-1"), {"session": "s-1"}),
        (Target(TargetKind.CONNECTION, "c-1"), {"connection": "c-1"}),
        (Target(TargetKind.TENANT, "acme", issuer="https://i"), {"tenant": "acme", "issuer": "https://i"}),
        (Target(TargetKind.ISSUER, "https://i"), {"issuer": "https://i"}),
        (Target(TargetKind.TOKEN, "j-1"), {"detail": "log 1: test; closed 0, asked 0; token j-1"}),
    ],
    ids=lambda value: value.kind if isinstance(value, Target) else "",
)
async def test_the_audit_says_whom_it_named(target: Target, named: dict[str, str]) -> None:
    world = World()
    await world.follower.start()
    await world.revoke(target)
    await world.withdrawals.catch_up()
    await world.follower.act_now()
    event = next(event for event in world.audited() if event.kind is EventKind.REVOCATION)
    assert {name: getattr(event, name) for name in named} == named


async def test_a_mass_of_connections_leaves_the_loop_to_others_in_between() -> None:
    """Each that is closed is written to and answers, so few may be done in one turn."""
    world = World()
    await world.follower.start()
    hands = [(await world.inside(handshake(bearer=token(sub=f"user-{number}"))))[1] for number in range(70)]
    closed: set[int] = set()
    loop = asyncio.get_running_loop()

    def turn() -> None:
        closed.add(sum(bool(each.done) for each in hands))
        if len(closed) < 70:
            loop.call_soon(turn)

    await world.revoke(Target(TargetKind.ISSUER, ISSUER))
    await world.withdrawals.catch_up()
    loop.call_soon(turn)
    await world.follower.act_now()
    assert {16, 32, 48, 64} <= closed
    closed.update(range(-70, 0))  # no more turns


@pytest.mark.parametrize(
    "more", [{"cause": "\udcff"}, {"by": "a\0b"}, {"target": subject("\udcff")}, {"roles": ("fine", "x" * 3000)}]
)
async def test_what_no_store_can_hold_is_refused_and_nobody_is_told(more: dict[str, Any]) -> None:
    world = World()
    asked: dict[str, Any] = {"id": "r1", "target": subject("bob"), "cause": "test", "by": "test"} | more
    with pytest.raises(RefusedError):
        await operate.revoke(world.store, world.clock, effect=Effect.CLOSE, counts_for=60.0, **asked)
    assert list(await world.store.revocations.read(after=0)) == []
