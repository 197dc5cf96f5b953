"""What the endpoints ask of the service and of whoever mounts them; they know nothing else."""

from collections.abc import Callable, Mapping
from typing import Protocol

from doorward.service.issue import Attended, IssuedTicket
from doorward.service.outside import Renewed
from doorward.values.admission import Admission
from doorward.values.credential import Credential
from doorward.values.decision import Deny
from doorward.values.handshake import Handshake
from doorward.values.peer import Wire


class Desk(Protocol):
    """service.issue.Desk. What it denies it has audited and charged; what an endpoint denies goes to `refuse`."""

    async def attend(self, handshake: Handshake, wire: Wire, *, writes: bool) -> Attended | Deny: ...

    async def ticket(self, attended: Attended, credential: Credential, *, path: str | None) -> IssuedTicket | Deny: ...

    async def renew(self, attended: Attended, *, connection: str, credential: Credential) -> Renewed | Deny: ...

    def refuse(
        self, deny: Deny, *, wire: Wire, handshake: Handshake | None = None, attended: Attended | None = None
    ) -> None: ...


class Doorstep(Protocol):
    """service.admit.Door, where proxies ask. What it denies it has audited and charged; what was denied before, goes to
    `refuse`."""

    async def verify(self, asked: Handshake, wire: Wire) -> Admission | Deny: ...

    def refuse(self, wire: Wire, deny: Deny, handshake: Handshake | None = None, *, verified: bool = False) -> None: ...


class Readiness(Protocol):
    async def ready(self) -> bool:
        """Would a handshake be taken now? Never raises."""


Jwks = Callable[[], Mapping[str, object]]
Fault = Callable[[str, BaseException], None]
