"""What an operator does through the store: the nodes have their time to answer, however long the log itself took."""

from collections.abc import Sequence
from typing import Any

from doorward.ports import PresentNode
from doorward.service import operate
from doorward.testing import START
from doorward.values.revocation import Acknowledgement, Revocation
from tests.unit.service.world import World


class Slow:
    """A log that takes nearly all the time that an operator has, and a node that answers at the second look."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._looks = 0

    async def append(self, revocation: Revocation) -> int:
        self._world.clock.advance(operate.ANSWER_WITHIN)
        return 1

    async def acknowledgements(self, id: str) -> Sequence[Acknowledgement]:
        self._looks += 1
        if self._looks == 1:
            return []
        now = self._world.clock.now()
        return [Acknowledgement(sequence=1, revocation=id, node="gw-1", worker=0, closed=1, asked=0, at=now, took=0.0)]


async def test_a_log_that_is_slow_takes_nobodys_time_to_answer() -> None:
    world = World()
    await world.store.presence.beat(PresentNode("gw-1", 0, 1, START, world.clock.now(), 0, 0))
    slow: Any = Slow(world)
    world.store.revocations = slow
    result = await world.revoke_by_command()
    assert (result.closed, result.silent, result.is_proven) == (1, (), True)
