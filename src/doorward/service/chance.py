"""Chance, so that many do not do the same at the same moment; of the entropy that each is given."""

from math import floor

from doorward.ports import Entropy


def fraction(entropy: Entropy) -> float:
    """Evenly from 0 to 1, and never 1."""
    return int.from_bytes(entropy.bytes(4)) / (1 << 32)


def seconds_within(most: float, entropy: Entropy) -> float:
    """Whole seconds, from 1: to try again after a random part of so many."""
    return 1.0 + floor(fraction(entropy) * most)
