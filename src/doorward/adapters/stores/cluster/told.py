"""Who hears of what the store of several nodes meets, apart from its callers."""

from collections.abc import Callable
from dataclasses import dataclass

from doorward.service.guarding import Fault
from doorward.values.revocation import Revocation


@dataclass(frozen=True, slots=True)
class Told:
    """`note` hears lines for our own log, `refused` why entries of the feed were dropped and how many, at most once a
    second each, `made_durable` what this process has made durable at last, `fault` our own bugs. `note` raises nothing.
    """

    note: Callable[[str], None]
    refused: Callable[[str, int], None]
    made_durable: Callable[[Revocation], None]
    fault: Fault
