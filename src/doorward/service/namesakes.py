"""Two that live under one name are told apart: one takes a number of its own, and both say that the name is not unique.

A store keeps a worker by its node and number, so that a later life takes the place of the one that died. Of two that
live, on two machines with one `server.node`, one's heartbeats and answers would stand for both.
"""

import os
from collections.abc import Iterable
from typing import Final

from doorward.ports import Entropy, PresentNode

APART: Final = 1 << 32
"""Numbers given to workers are below; the rest of a number, modulo this, is the one that was given."""
SAID_EVERY: Final = 60.0
MOVES_EVERY: Final = 60.0


class Namesakes:
    """Of one worker. `worker` is the number that its heartbeats and acknowledgements go by."""

    def __init__(self, *, node: str, worker: int, entropy: Entropy) -> None:
        self._node = node
        self._entropy = entropy
        self._pid = os.getpid()
        self._said_at: float | None = None
        self._moved_at: float | None = None
        self.worker = worker

    def meet(self, present: Iterable[PresentNode], *, started_at: float, now: float) -> bool:
        """Look at who is there, before a heartbeat of our own. True when it is to be said that somebody has our name:
        at most once a minute. Who drains has it too, for a while, and in order."""
        others = [one for one in present if self._is_other(one, started_at=started_at)]
        # an earlier life that died has not beaten since ours began
        living = [one for one in others if one.beat_at > started_at]
        if any(one.worker == self.worker for one in living) and self._is_due(self._moved_at, MOVES_EVERY, now=now):
            self._moved_at = now
            self.worker = self.worker % APART + (1 + int.from_bytes(self._entropy.bytes(2))) * APART
        if not any(one.ready for one in living) or not self._is_due(self._said_at, SAID_EVERY, now=now):
            return False
        self._said_at = now
        return True

    def _is_other(self, one: PresentNode, *, started_at: float) -> bool:
        if one.node != self._node or one.worker % APART != self.worker % APART:
            return False
        return (one.pid, one.started_at) != (self._pid, started_at)

    @staticmethod
    def _is_due(last: float | None, every: float, *, now: float) -> bool:
        return last is None or not 0.0 <= now - last < every
