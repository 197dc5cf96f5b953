"""A renewal from outside may come to any worker; the one that holds the connection judges it, by the one way there is.

What a neighbour says of a connection that it does not hold, and of somebody else's credential, is one and the same
answer: whoever asked can't tell them apart, and neither can the peer.
"""

import json
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from doorward.ports import Neighbours
from doorward.service.watch import Watch
from doorward.values.credential import Credential, Kind, Place
from doorward.values.decision import Deny, Reason, Step
from doorward.values.secret import Secret

_UNKNOWN: Final = Deny(Reason.CONNECTION_UNKNOWN, Step.PROVE)
_SILENT: Final = Deny(Reason.STORE_UNAVAILABLE, Step.PROVE, note="a worker of this node did not answer")


@dataclass(frozen=True, slots=True)
class Renewed:
    """Instants in epoch seconds."""

    expires_at: float | None
    renew_by: float | None


class Outside:
    """`neighbours`: the other workers of this node; None where there are none."""

    def __init__(self, watch: Watch, neighbours: Neighbours | None) -> None:
        self._watch = watch
        self._neighbours = neighbours

    async def renew(self, connection: str, credential: Credential) -> Renewed | Deny:
        """Here, else wherever the connection is. Unavailable when a neighbour that could have it says nothing."""
        judged = await self._here(connection, credential)
        if judged != _UNKNOWN or self._neighbours is None:
            return judged
        silent = False
        async with aclosing(self._neighbours.ask(_question(connection, credential))) as answers:
            async for said in answers:
                answer = None if said is None else _judgement(said)
                if answer is None:
                    silent = True
                elif answer != _UNKNOWN:
                    return answer
        return _SILENT if silent else _UNKNOWN

    async def answer(self, question: bytes) -> bytes:
        """Judge for a neighbour that was asked."""
        told = json.loads(question)
        credential = Credential(Kind(told["kind"]), Place.BODY, Secret(told["secret"]))
        judged = await self._here(told["connection"], credential)
        if isinstance(judged, Deny):
            return _written(reason=judged.reason.value, retry_after=judged.retry_after)
        return _written(expires_at=judged.expires_at, renew_by=judged.renew_by)

    async def _here(self, connection: str, credential: Credential) -> Renewed | Deny:
        live = await self._watch.renew_outside(connection, credential)
        return live if isinstance(live, Deny) else Renewed(live.principal.expires_at, live.lease.renew_at)


def _question(connection: str, credential: Credential) -> bytes:
    return _written(connection=connection, kind=credential.kind.value, secret=credential.secret.expose())


def _judgement(said: bytes) -> Renewed | Deny | None:
    """What a neighbour decided; None where it says nothing that we understand, as one of another version might."""
    try:
        told = json.loads(said)
        if "reason" in told:
            return Deny(Reason(told["reason"]), Step.PROVE, retry_after=told["retry_after"])
        return Renewed(told["expires_at"], told["renew_by"])
    except (ValueError, KeyError, TypeError):
        return None


def _written(**members: str | float | None) -> bytes:
    return json.dumps(members, separators=(",", ":")).encode()
