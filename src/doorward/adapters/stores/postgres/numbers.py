"""What changes with every change, in one small question that all who ask in the same moment share.

A question may be joined until it is sent, never after: so its answer is younger than each of those who asked.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from doorward.adapters.stores.postgres.connecting import Row
from doorward.adapters.stores.postgres.link import Link
from doorward.ports import StoreError

_LOOK: Final = "SELECT name, value FROM doorward_numbers WHERE name IN ('bans', 'keys', 'revocations')"


@dataclass(frozen=True, slots=True)
class Numbers:
    """Versions of bans and keys, and the newest revocation's sequence."""

    bans: int
    keys: int
    revocations: int


class Counters:
    def __init__(self, link: Link) -> None:
        self._link = link
        self._joinable: asyncio.Future[list[Row]] | None = None

    async def look(self) -> Numbers:
        """As of now. Raises StoreError."""
        if self._joinable is None:
            self._joinable = self._link.ask(_LOOK, again=True, begun=self._sent)
            self._joinable.add_done_callback(self._answered)
        # One of those who ask may go: the others still wait for the answer.
        found: dict[str, int] = dict(await asyncio.shield(self._joinable))
        try:
            return Numbers(bans=found["bans"], keys=found["keys"], revocations=found["revocations"])
        except KeyError as error:
            raise StoreError(f"the number of {error} is missing in doorward_numbers") from error

    def _sent(self) -> None:
        self._joinable = None

    def _answered(self, question: asyncio.Future[list[Row]]) -> None:
        if self._joinable is question:
            self._joinable = None
        if not question.cancelled():
            question.exception()  # each who waits gets it; where all have gone, nobody needs it
