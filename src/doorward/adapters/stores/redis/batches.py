"""Many rows go in several commands: neither Redis nor our loop stands still over thousands."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def batches(rows: Iterable[T], size: int) -> Iterator[list[T]]:
    """All of them, in order, `size` at a time."""
    rest = iter(rows)
    while batch := list(islice(rest, size)):
        yield batch
