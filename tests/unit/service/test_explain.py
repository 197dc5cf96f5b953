"""explain walks the same steps, spends nothing, and says what to do."""

import pytest

from doorward.core.handshakes import parse_head
from doorward.ports import StoreError
from doorward.service.explain import DryAnswers, Explanation, Verdict, explain
from doorward.service.live import Live
from doorward.values.decision import Reason, Step
from doorward.values.handshake import Handshake
from tests.unit.service.test_admit import ticket_of
from tests.unit.service.world import WIRE, World, handshake, rules, token


async def explained(world: World, shown: Handshake) -> Explanation:
    dry = DryAnswers(world.answers, world.store, world.clock, shared=False)
    return await explain(shown, WIRE, world.watch.rules, dry, world.clock)


async def test_a_good_handshake_passes_all_thirteen_and_says_what_was_not_looked_at() -> None:
    world = World()
    found = await explained(world, handshake(bearer=token()))
    assert found.allowed
    assert [step.verdict for step in found.steps] == [Verdict.PASSED] * 13
    unknown = {step.step for step in found.steps if step.unknown}
    assert unknown == {Step.ADDRESS, Step.PERMIT, Step.SLOT, Step.BACKEND}
    assert found.backend == world.watch.rules.routes[0].backend
    assert len(world.connections) == 0
    assert not world.audited()


async def test_it_spends_no_ticket() -> None:
    world = World()
    code = await ticket_of(world)
    shown = handshake(f"/chat/a?ticket={code}")
    for _ in range(2):
        assert (await explained(world, shown)).allowed
    assert isinstance(await world.enter(shown), Live)


@pytest.mark.parametrize(
    ("shown", "step", "reason", "hint"),
    [
        (handshake(Host="other.example", bearer=token()), Step.UPGRADE, Reason.HOST_FOREIGN, "server.hosts"),
        (handshake("/nowhere", bearer=token()), Step.ROUTE, Reason.ROUTE_UNKNOWN, "[[routes]]"),
        (handshake(bearer=token(), Origin="https://x.example"), Step.ORIGIN, Reason.ORIGIN_UNLISTED, "origins.allow"),
        (handshake(), Step.READ, Reason.CREDENTIAL_MISSING, "Authorization"),
        (handshake(bearer=token(aud="other")), Step.PROVE, Reason.TOKEN_AUDIENCE, "audience"),
    ],
)
async def test_the_step_that_stops_it_and_what_to_do(shown, step, reason, hint) -> None:
    found = await explained(World(), shown)
    assert not found.allowed
    assert found.reason == reason
    assert hint in found.note
    verdicts = {one.step: one.verdict for one in found.steps}
    assert verdicts[step] is Verdict.STOPPED
    assert all(verdict is Verdict.PASSED for at, verdict in verdicts.items() if at < step)
    assert all(verdict is Verdict.NOT_REACHED for at, verdict in verdicts.items() if at > step)


async def test_a_head_that_can_not_be_read_stops_at_the_first() -> None:
    world = World(rules())
    denied = parse_head(b"GET / HTTP/1.1\r\nbad header\r\n\r\n")
    dry = DryAnswers(world.answers, world.store, world.clock, shared=False)
    found = await explain(denied, WIRE, world.watch.rules, dry, world.clock)
    assert found.steps[0].verdict is Verdict.STOPPED
    assert found.status == 400


async def test_a_store_that_does_not_answer_is_named_with_what_it_says() -> None:
    world = World()
    world.store.tickets = world.store.rates = Gone()  # type: ignore[assignment]
    world.store.check = Gone().check  # type: ignore[method-assign]
    found = await explained(world, handshake(f"/chat/a?ticket={'a' * 43}"))
    assert found.reason == Reason.STORE_UNAVAILABLE
    assert found.note == "redis://127.0.0.1 is away: refused"


async def test_a_store_that_answers_by_now_leaves_the_hint() -> None:
    world = World()
    world.store.tickets = Gone()  # type: ignore[assignment]
    found = await explained(world, handshake(f"/chat/a?ticket={'a' * 43}"))
    assert found.reason == Reason.STORE_UNAVAILABLE
    assert "store.url" in found.note
    assert "store.cluster_url" in found.note


class Gone:
    """A store that is away."""

    async def look(self, digest: bytes) -> None:
        await self.check()

    async def check(self) -> None:
        raise StoreError("redis://127.0.0.1 is away: refused")
