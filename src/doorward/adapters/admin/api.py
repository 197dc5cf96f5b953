"""One request to the admin API: found in the table, its bearer proven, read strictly, done, audited, answered.

In this order, so that nobody learns what a body should look like before having shown who he is; and whatever is
changed, or was meant to be, leaves a record with its actor.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope

from doorward.adapters.admin import openapi, reading
from doorward.adapters.admin.acts import OPERATIONS
from doorward.adapters.admin.answers import JSON, answer, denied, forbidden, not_allowed, plain, problem, stale
from doorward.adapters.admin.models import Wrong
from doorward.adapters.admin.operations import KEY, Administration, Answered, Call, Failed, Operation, found
from doorward.core.administering import RECENT, page_fault
from doorward.core.scopes import handshake_of_scope, wire_of_scope
from doorward.ports import StoreError
from doorward.values.administrator import Administrator, AdminRole
from doorward.values.decision import Deny, Reason, Step
from doorward.values.handshake import Handshake
from doorward.values.peer import Peer, Wire

T = TypeVar("T")

_AWAY: Final = Deny(Reason.STORE_UNAVAILABLE, Step.HEAD)
_FORBIDDEN: Final = Deny(Reason.PERMISSION, Step.PERMIT, note="a viewer may not write")
_STALE: Final = Deny(Reason.PERMISSION, Step.PERMIT, note="a token issued within the last 15 minutes is wanted")
_MALFORMED: Final = Deny(Reason.BODY_MALFORMED, Step.HEAD)
_UNKNOWN: Final = Deny(Reason.ROUTE_UNKNOWN, Step.ROUTE)


class Administrators(Protocol):
    """service.administrators.Administrators."""

    def peer(self, wire: Wire, handshake: Handshake | None) -> Peer: ...

    async def admit(self, handshake: Handshake, peer: Peer) -> Administrator | Deny: ...

    def refused(
        self,
        handshake: Handshake,
        peer: Peer,
        deny: Deny,
        *,
        status: int,
        administrator: Administrator | None = None,
    ) -> None: ...

    def done(
        self, handshake: Handshake, peer: Peer, administrator: Administrator, *, status: int, what: str
    ) -> None: ...


class _Refused(Exception):  # noqa: N818 - an answer, on its way out of the reading of a request
    """The request can't be read. `deny` is for the audit, `answer` for the asker."""

    def __init__(self, deny: Deny, answer: Response) -> None:
        super().__init__(deny.reason.value)
        self.deny = deny
        self.answer = answer


@dataclass(frozen=True, slots=True)
class _Exchange:
    operation: Operation
    id: str
    handshake: Handshake
    peer: Peer
    administrator: Administrator


class Api:
    """`wire_of` says what the transport knows, `handshake_of` what was asked: the gateway's front knows both best."""

    def __init__(
        self,
        administration: Administration,
        administrators: Administrators,
        *,
        version: str,
        wire_of: Callable[[Scope], Wire] = wire_of_scope,
        handshake_of: Callable[[Scope], Handshake | Deny] = handshake_of_scope,
    ) -> None:
        self._administration = administration
        self._administrators = administrators
        self._version = version
        self._wire_of = wire_of
        self._handshake_of = handshake_of
        self._description = b""

    async def answer(self, scope: Scope, receive: Receive) -> Response | None:
        """The answer; None where nothing of ours is at this path. Raises reading.PeerLeft."""
        handshake = self._handshake_of(scope)
        if isinstance(handshake, Deny):
            return denied(handshake)
        described = handshake.path == openapi.PATH
        there, id = found(OPERATIONS, handshake.path)
        if not there and not described:
            return None
        allowed = ["GET"] if described else list(there)
        method = "GET" if handshake.method == "HEAD" else handshake.method
        if method not in allowed:
            return not_allowed([*allowed, "HEAD"] if "GET" in allowed else allowed)
        peer = self._administrators.peer(self._wire_of(scope), handshake)
        administrator = await self._administrators.admit(handshake, peer)
        if isinstance(administrator, Deny):
            refused = denied(administrator)
            self._administrators.refused(handshake, peer, administrator, status=refused.status_code)
            return refused
        if described:
            return plain(200, await self._described(), media_type=JSON)
        return await self._serve(_Exchange(there[method], id, handshake, peer, administrator), receive)

    async def _described(self) -> bytes:
        """Made when it is first asked for, in a thread: neither a start nor the loop waits for it."""
        if not self._description:
            self._description = await asyncio.to_thread(openapi.document, OPERATIONS, version=self._version)
        return self._description

    async def _serve(self, exchange: _Exchange, receive: Receive) -> Response:
        try:
            call = await self._read(exchange, receive)
            done = await exchange.operation.act(call)
        except _Refused as refused:
            return self._refuse(exchange, refused.deny, refused.answer)
        except StoreError:
            return self._refuse(exchange, _AWAY, denied(_AWAY))
        if isinstance(done, Failed):
            return self._failed(exchange, done)
        self._done(exchange, done)
        return answer(done.status, done.model, location=done.location)

    def _done(self, exchange: _Exchange, done: Answered | Failed) -> None:
        if done.did:
            self._administrators.done(
                exchange.handshake, exchange.peer, exchange.administrator, status=done.status, what=done.did
            )

    def _failed(self, exchange: _Exchange, failed: Failed) -> Response:
        match failed.status:
            case 401:
                return self._refuse(exchange, _STALE, stale(RECENT))
            case 404 if failed.did:
                self._done(exchange, failed)
                return problem(404, detail=failed.detail)
            case 404:
                return self._refuse(exchange, _UNKNOWN, problem(404, detail=failed.detail))
            case _:
                deny = replace(_MALFORMED, note=failed.detail)
                return self._refuse(exchange, deny, problem(failed.status, detail=failed.detail))

    def _refuse(self, exchange: _Exchange, deny: Deny, refused: Response) -> Response:
        """What came to nothing is audited where it would have changed something."""
        if exchange.operation.writes:
            self._administrators.refused(
                exchange.handshake,
                exchange.peer,
                deny,
                status=refused.status_code,
                administrator=exchange.administrator,
            )
        return refused

    async def _read(self, exchange: _Exchange, receive: Receive) -> Call:
        """Raises _Refused, reading.PeerLeft."""
        operation, handshake = exchange.operation, exchange.handshake
        if operation.writes:
            if exchange.administrator.role is not AdminRole.OPERATOR:
                raise _Refused(_FORBIDDEN, forbidden())
            fault = page_fault(handshake)
            if fault is not None:
                raise _Refused(fault, denied(fault))
        asked = _fit(reading.parameters(handshake.query, operation.parameters))
        id: Any = ""
        if operation.id is not None:
            shown = reading.number(exchange.id) if operation.id_is_number else exchange.id
            id = _fit(reading.fits(operation.id, shown, name="id"))
        key = _key(handshake) if operation.keyed else ""
        return Call(
            administration=self._administration,
            administrator=exchange.administrator,
            parameters=asked,
            body=await _body(operation, handshake, receive),
            id=id,
            key=key,
            version=self._version,
        )


def _key(handshake: Handshake) -> str:
    """The Idempotency-Key (draft-ietf-httpapi-idempotency-key-header: a quoted string; bare ones are common)."""
    shown = handshake.all("idempotency-key")
    if not shown:
        return ""
    if len(shown) > 1:
        raise _malformed([Wrong(name="Idempotency-Key", text="stands twice")])
    key: str = _fit(reading.fits(KEY, shown[0], name="Idempotency-Key"))
    return key.strip('"')


async def _body(operation: Operation, handshake: Handshake, receive: Receive) -> Any:
    body = await reading.read_body(handshake, receive)
    if isinstance(body, Deny):
        raise _Refused(body, denied(body))
    if operation.body is None:
        if body:
            raise _malformed([Wrong(name="", text="no body is taken here")])
        return None
    if not body and not operation.body_required:
        return None
    return _fit(reading.members(body, operation.body))


def _fit(read: T | list[Wrong]) -> T:
    if isinstance(read, list):
        raise _malformed(read)
    return read


def _malformed(errors: list[Wrong]) -> _Refused:
    return _Refused(_MALFORMED, problem(400, errors=errors))
