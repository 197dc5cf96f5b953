"""A durable log that lost its end gives numbers away again: who knew it before lets nobody in by what it has now."""

import pytest

from doorward.ports import LogBehindError
from tests.stores.clock import NOW
from tests.unit.adapters.stores.nodes import Node, Place, one


async def lost(place: Place, *, kept: int, of: int) -> tuple[Node, Node]:
    """Two nodes know `of` revocations, and the durable log is that of a replica which had `kept` of them."""
    a, b = place.node(), place.node()
    for node in (a, b):
        await node.asks()
    for number in range(1, of + 1):
        await a.log.append(one(f"r{number}"))
    for node in (a, b):
        await node.asks()
    place.durable.fails_over(kept=kept)
    return a, b


async def closes_its_door(node: Node) -> None:
    for _ in range(2):
        with pytest.raises(LogBehindError, match="Start this node again"):
            await node.asks()


async def test_the_poll_finds_that_the_last_is_missing(place: Place) -> None:
    _, b = await lost(place, kept=1, of=2)
    await b.following.poll()
    await closes_its_door(b)
    assert "restored, or failed over" in b.notes[-1]


async def test_one_that_gets_a_number_which_was_given_before_is_acted_on_and_closes_the_door(place: Place) -> None:
    _, b = await lost(place, kept=1, of=2)
    assert await place.node().log.append(one("new")) == 2
    await closes_its_door(b)
    assert b.known == ["r1", "r2", "new"]


async def test_another_under_the_last_number_is_seen_although_no_number_is_missing(place: Place) -> None:
    _, b = await lost(place, kept=1, of=2)
    await place.durable.revocations.append(one("new"))
    await b.following.poll()
    await closes_its_door(b)


async def test_a_node_that_starts_anew_goes_by_the_log_as_it_is(place: Place) -> None:
    await lost(place, kept=1, of=2)
    late = place.node()
    await late.asks()
    assert (late.known, late.withdrawals.cursor) == (["r1"], 1)


async def test_one_that_ends_soon_may_have_been_forgotten(place: Place) -> None:
    a, b = place.node(), place.node()
    await a.log.append(one("r1"))
    await a.log.append(one("r2", expires_at=NOW + 59))
    await b.asks()
    await place.durable.revocations.forget(now=NOW + 60)
    await b.following.poll()
    assert await b.asks() == ["r1", "r2"]


async def test_one_that_got_the_number_of_a_lost_one_is_learnt_though_another_followed_it(place: Place) -> None:
    """As `doorward revoke` made it, and then a node's own admin API another, before any node has read the log."""
    a, b = await lost(place, kept=2, of=3)
    command = place.node()
    assert await command.log.append(one("mallory")) == 3
    assert await a.log.append(one("trudy")) == 4
    for node in (a, b):
        await node.following.poll()
        await closes_its_door(node)
        assert {"mallory", "trudy"} <= set(node.known)


async def test_one_that_nobody_told_is_learnt_though_the_one_after_it_was_told(place: Place) -> None:
    a, b = await lost(place, kept=2, of=3)
    await place.durable.revocations.append(one("mallory"))
    command = place.node()
    assert await command.log.append(one("trudy")) == 4
    for node in (a, b):
        assert "trudy" in await node.follows()
        await node.following.poll()
        await closes_its_door(node)
        assert "mallory" in node.known


async def test_what_was_revoked_again_under_numbers_long_passed_is_acted_on(place: Place) -> None:
    _, b = await lost(place, kept=0, of=5)
    for turn in range(3):
        await place.durable.revocations.append(one(f"new{turn}"))
        await b.following.poll()
        await closes_its_door(b)
        assert b.known == [*(f"r{number}" for number in range(1, 6)), *(f"new{number}" for number in range(turn + 1))]


async def test_who_appends_under_a_number_that_it_knows_otherwise_tells_its_own(place: Place) -> None:
    a, b = await lost(place, kept=1, of=3)
    assert await a.log.append(one("mallory")) == 2
    await b.follows()
    assert "mallory" in b.known
    await closes_its_door(a)
    assert "mallory" in a.known


async def test_what_could_not_be_durable_becomes_so_though_the_log_was_set_back(place: Place) -> None:
    a, b = await lost(place, kept=1, of=3)
    place.durable.away = True
    await a.log.append(one("late"))
    place.durable.away = False
    await b.following.poll()
    await b.following.poll()
    assert await place.durable.kept() == ["r1", "late"]
    await closes_its_door(b)
    assert "late" in b.known


async def test_a_durable_log_that_sees_it_by_itself_is_acted_on(place: Place) -> None:
    _, b = await lost(place, kept=3, of=3)
    place.durable.behind = [one("r2"), one("mallory")]
    await b.following.poll()
    for _ in range(2):
        with pytest.raises(LogBehindError, match="it was set back"):
            await b.asks()
    assert b.known == ["r1", "r2", "r3", "mallory"]
    place.durable.behind += [one("trudy")]
    await b.following.poll()
    assert await b.follows() == ["r1", "r2", "r3", "mallory", "trudy"]
