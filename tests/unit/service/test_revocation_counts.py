"""A revocation in the audit says by `count` how many connections it hit, the command's own record how many in all."""

import json

import pytest

from doorward.service import operate
from doorward.values.audit import EventKind
from doorward.values.revocation import Effect
from tests.unit.service.world import World, subject


@pytest.mark.parametrize("effect", [Effect.CLOSE, Effect.ROLES])
@pytest.mark.parametrize("inside", [0, 1, 3])
async def test_a_worker_says_how_many_it_hit(inside: int, effect: Effect) -> None:
    world = World()
    await world.follower.start()
    for _ in range(inside):
        await world.inside()
    await world.revoke(subject(), effect)
    await world.withdrawals.catch_up()
    await world.follower.act_now()
    assert [event.count for event in world.audited() if event.kind is EventKind.REVOCATION] == [inside]


async def test_the_command_says_how_many_were_hit_on_all_nodes() -> None:
    world = World()
    result = await world.revoke_by_command()
    await operate.record_revocation(
        world.store, world.clock, target=subject(), effect=Effect.CLOSE, cause="left", by="op", result=result
    )
    ((_, line),) = await world.store.audit.query(after=0, limit=10, kind=EventKind.REVOCATION)
    assert (json.loads(line)["node"], json.loads(line)["count"]) == ("command", 0)
