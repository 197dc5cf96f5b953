"""An issuer's published keys are fetched seldom, by one call at a time, and never because a stranger asks often.

The cache is the issuer's own, so that an id never finds another's key. While the keys are known no handshake waits,
but for the first one after the keys grew old unnoticed: a key that the issuer withdrew ends with the cache's time.
Sources: SECURITY OAU-03 to -06 and D19.
"""

import asyncio
from pathlib import Path
from typing import Final

from doorward.adapters.crypto.algorithms import VerifyingKey
from doorward.adapters.crypto.key_sets import MAX_DOCUMENT, FixedKeys, KeysError, KeySet, Report, read_key_set
from doorward.adapters.crypto.outbound import Outbound, OutboundError
from doorward.ports import Clock, VerifierError
from doorward.values.token import Signature

FRESH: Final = 600.0
REFRESH_AT: Final = 480.0
COOLDOWN: Final = 30.0
STALE: Final = 86400.0
TIMEOUT: Final = 5.0


def keys_from_file(path: Path, *, algorithms: frozenset[str], report: Report) -> FixedKeys:
    """A JWKS file, read once: the next reload of the configuration reads it again. Raises KeysError."""
    try:
        with path.open("rb") as file:
            document = file.read(MAX_DOCUMENT + 1)
    except OSError as fault:
        raise KeysError(f"the key set's file can't be read: {fault.strerror}") from fault
    return FixedKeys(read_key_set(document, algorithms=algorithms, report=report))


class PublishedKeys:
    """A source that fetches a JWKS by URL. Ages by the clock: 8 min renewed beside the traffic, 10 min before it,
    30 s between any two calls, failed ones too; 24 h at most while the issuer's server is away."""

    def __init__(
        self, *, url: str, algorithms: frozenset[str], outbound: Outbound, clock: Clock, report: Report
    ) -> None:
        self._url = url
        self._algorithms = algorithms
        self._outbound = outbound
        self._clock = clock
        self._report = report
        self._keys: KeySet | None = None
        self._fetched_at = 0.0
        self._tried_at: float | None = None
        self._failure = ""
        self._flight: asyncio.Task[None] | None = None
        self._era = 0

    async def key(self, *, key_id: str | None, algorithm: str) -> VerifyingKey | Signature:
        keys = self._usable()
        age = self._age()
        found = keys.find(key_id=key_id, algorithm=algorithm) if keys else Signature.KEY_UNKNOWN
        if found is Signature.KEY_UNKNOWN or (age >= FRESH and not self._failure):
            flight = self._refresh()
            if flight is not None:
                # Shielded: the others wait for the same call, whatever becomes of this handshake.
                await asyncio.shield(flight)
            keys = self._usable()
            found = keys.find(key_id=key_id, algorithm=algorithm) if keys else Signature.KEY_UNKNOWN
            if found is Signature.KEY_UNKNOWN and (self._failure or keys is None):
                raise VerifierError(f"the keys at {self._url} could not be had: {self._failure}")
        elif age >= REFRESH_AT:
            self._refresh()
        return found

    async def warm(self) -> None:
        """Fetch now, so that the first handshake does not wait. A failure is reported, and tried again later."""
        flight = self._refresh()
        if flight is not None:
            await asyncio.shield(flight)

    def forget(self) -> None:
        """Trust none of the keys any longer, until they have been fetched again (SECURITY OAU-06)."""
        self._era += 1  # what a call under way brings home is from before
        self._keys = None
        self._tried_at = None

    async def close(self) -> None:
        """End the call that is under way."""
        flight, self._flight = self._flight, None
        if flight is not None and not flight.done():
            flight.cancel()
            await asyncio.gather(flight, return_exceptions=True)

    def _usable(self) -> KeySet | None:
        return self._keys if self._age() < STALE else None

    def _age(self) -> float:
        """Of our keys, in seconds. After a step back of the clock nobody knows: time to look again."""
        age = self._clock.now() - self._fetched_at
        return age if age >= 0.0 else FRESH

    def _refresh(self) -> asyncio.Task[None] | None:
        """The call under way, or a new one; None while the cooldown of the last one lasts."""
        if self._flight is not None and not self._flight.done():
            return self._flight
        if self._tried_at is not None and 0.0 <= self._clock.now() - self._tried_at < COOLDOWN:
            return None
        self._flight = asyncio.create_task(self._fetch(), name=f"keys of {self._url}")
        return self._flight

    async def _fetch(self) -> None:
        """Never raises: what went wrong is kept for those who wait, and reported."""
        era = self._era
        try:
            answer = await self._outbound.call(self._url, most=MAX_DOCUMENT, within=TIMEOUT)
            if answer.status != 200 or not _is_json(answer.content_type):
                raise KeysError(f"answered {answer.status} with {answer.content_type or 'no type'}, not 200 with JSON")
            # Only a set with a usable key replaces the last one: an empty answer does not erase good keys.
            keys = read_key_set(answer.body, algorithms=self._algorithms, report=self._note)
        except (OutboundError, KeysError) as fault:
            self._finish(era, failure=str(fault))
        except Exception as fault:  # noqa: BLE001 - the call's outcome is awaited by many; a bug is a failure to all
            self._finish(era, failure=f"{type(fault).__name__} in our own call")
        else:
            if era == self._era:
                self._keys = keys
                self._fetched_at = self._clock.now()
            self._finish(era, failure="")

    def _finish(self, era: int, *, failure: str) -> None:
        if failure:
            self._note(failure)
        if era == self._era:
            self._failure = failure
            self._tried_at = self._clock.now()

    def _note(self, text: str) -> None:
        self._report(f"{self._url}: {text}")


def _is_json(content_type: str) -> bool:
    return content_type == "application/json" or content_type.endswith("+json")
