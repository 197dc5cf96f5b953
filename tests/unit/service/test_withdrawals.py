"""The node's copy of the log: each revocation is learnt once, however many ask for it at the same time."""

import asyncio
from collections.abc import Sequence

from doorward.service.withdrawals import Withdrawals
from doorward.testing import FakeClock
from doorward.values.revocation import Effect, Revocation, Target, TargetKind


def revocation(sequence: int) -> Revocation:
    target = Target(TargetKind.IDENTITY, "alice")
    return Revocation(target, 0.0, Effect.CLOSE, "test", 100.0, sequence=sequence)


class SlowLog:
    """Answers only when it is told to, so that questions overlap; each answer is of the moment it was asked."""

    def __init__(self) -> None:
        self.records = [revocation(1), revocation(2)]
        self.go = asyncio.Event()

    async def read(self, *, after: int) -> Sequence[Revocation]:
        found = [record for record in self.records if record.sequence > after]
        await self.go.wait()
        return found


async def test_overlapping_questions_tell_of_each_revocation_once() -> None:
    """Else it would be done twice, and the second acknowledgement, of 0 connections, take the place of the first."""
    log = SlowLog()
    withdrawals = Withdrawals(log, None, FakeClock())  # type: ignore[arg-type]
    told: list[int] = []
    withdrawals.on_new = lambda new: told.extend(record.sequence for record in new)
    first = asyncio.create_task(withdrawals.catch_up())
    await asyncio.sleep(0)
    log.records.append(revocation(3))
    second = asyncio.create_task(withdrawals.catch_up())
    await asyncio.sleep(0)
    log.go.set()
    await asyncio.gather(first, second)
    assert told == [1, 2, 3]
    assert withdrawals.cursor == 3
    assert len(withdrawals) == 3
