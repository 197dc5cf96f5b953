"""POST /auth/ticket and POST /auth/renew: one credential, one small body, one question to the desk.

A Deny that is returned was found here, and is the caller's to audit; what the desk denied comes back answered.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.responses import Response

from doorward.adapters.web.answers import json_answer, problem
from doorward.adapters.web.body import Receive, read_body, text_members
from doorward.adapters.web.desk import Desk
from doorward.core.handshakes import decode_path
from doorward.core.reading import read
from doorward.service.issue import Attended
from doorward.values.credential import Credential, Kind, Place
from doorward.values.decision import Deny, Reason, Step
from doorward.values.handshake import Handshake
from doorward.values.rules import PathPattern, Route
from doorward.values.secret import Secret

Endpoint = Callable[[Desk, Attended, Handshake, Receive], Awaitable[Response | Deny]]

# The same reading as at the door (step 7), with what these endpoints take: two credentials are refused here too, and
# one in the URL is told apart.
_AS_ROUTE: Final = Route(
    pattern=PathPattern(text="", segments=()),
    backend=None,
    credentials=frozenset({Kind.TOKEN}),
    places=frozenset({Place.HEADER}),
)
_PATH: Final = frozenset({"path"})
_RENEWAL: Final = frozenset({"connection", "token", "ticket"})
# as values/ids.py makes it of 16 bytes: it goes into the audit, and a ticket that is pasted here by mistake may not
_CONNECTION: Final = re.compile(r"[A-Za-z0-9_\-]{22}")


async def ticket(desk: Desk, attended: Attended, handshake: Handshake, receive: Receive) -> Response | Deny:
    """201 with a fresh ticket for the token in Authorization, bound to `path` if the body names one."""
    credential = read(handshake, _AS_ROUTE)
    if isinstance(credential, Deny):
        return credential
    members = await _members(handshake, receive, known=_PATH)
    if isinstance(members, Deny):
        return members
    path = _bound_path(members.get("path"))
    if isinstance(path, Deny):
        return path
    sold = await desk.ticket(attended, credential, path=path)
    if isinstance(sold, Deny):
        return problem(sold)
    answer = {"ticket": sold.code.expose(), "expires_in": _whole(sold.expires_in), "connection": sold.connection}
    return json_answer(201, answer)


async def renew(desk: Desk, attended: Attended, handshake: Handshake, receive: Receive) -> Response | Deny:
    """200 with the connection's new instants, for a fresh credential in the body and nowhere else."""
    elsewhere = read(handshake, _AS_ROUTE)
    if isinstance(elsewhere, Deny) and elsewhere.reason is not Reason.CREDENTIAL_MISSING:
        return elsewhere
    members = await _members(handshake, receive, known=_RENEWAL)
    if isinstance(members, Deny):
        return members
    connection = members.pop("connection", "")
    if not _CONNECTION.fullmatch(connection):
        return Deny(Reason.BODY_MALFORMED, Step.READ)
    if len(members) > 1 or (members and isinstance(elsewhere, Credential)):
        return Deny(Reason.CREDENTIAL_REPEATED, Step.READ)
    if isinstance(elsewhere, Credential):
        return Deny(Reason.CREDENTIAL_MISPLACED, Step.READ)
    if not members:
        return Deny(Reason.CREDENTIAL_MISSING, Step.READ)
    renewed = await desk.renew(attended, connection=connection, credential=_in_body(members))
    if isinstance(renewed, Deny):
        return problem(renewed)
    return json_answer(200, {"expires_at": _instant(renewed.expires_at), "renew_by": _instant(renewed.renew_by)})


ENDPOINTS: Final[dict[str, Endpoint]] = {"/ticket": ticket, "/renew": renew}


async def _members(handshake: Handshake, receive: Receive, *, known: frozenset[str]) -> dict[str, str] | Deny:
    body = await read_body(handshake, receive)
    return body if isinstance(body, Deny) else text_members(body, known=known)


def _bound_path(text: str | None) -> str | Deny | None:
    """The path as it stands in the socket's URL, decoded once as the handshake's will be."""
    if text is None:
        return None
    path = decode_path(text) if "?" not in text else None
    return path if isinstance(path, str) else Deny(Reason.BODY_MALFORMED, Step.READ, note="path")


def _in_body(members: dict[str, str]) -> Credential:
    name, text = next(iter(members.items()))
    # no credential has other characters: what has is refused like any unknown one, and no codec is asked about it
    return Credential(Kind(name), Place.BODY, Secret(text if text.isascii() else ""))


def _whole(seconds: float) -> int:
    """Whole seconds, rounded down but for the error of the subtraction that made them."""
    return int(seconds + 0.001)


def _instant(at: float | None) -> int | None:
    return None if at is None else int(at)
