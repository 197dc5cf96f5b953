"""Chance that can be foretold: the same seed gives the same bytes, and no two calls give the same."""

import hashlib


class FakeEntropy:
    """Fulfils ports.Entropy, for tests only: whoever knows the seed knows every code to come."""

    __slots__ = ("_calls", "_seed")

    def __init__(self, seed: str = "doorward") -> None:
        self._seed = seed.encode()
        self._calls = 0

    def bytes(self, count: int) -> bytes:
        self._calls += 1
        return hashlib.shake_256(b"%s %d" % (self._seed, self._calls)).digest(count)
