"""A page of another origin may read our answers only if its origin is on the list, letter for letter (ORG-11).

What is answered is a member of the list: nothing else that a client wrote is reflected, and `*` is never sent.
"""

from typing import Final

from starlette.responses import Response

from doorward.adapters.web.answers import respond
from doorward.core.origins import judge_origin
from doorward.values.decision import Deny, Reason, Step
from doorward.values.handshake import Handshake
from doorward.values.rules import WithoutOrigin

METHODS: Final = "POST"
HEADERS: Final = "authorization, content-type"
EXPOSED: Final = "retry-after, www-authenticate"
MAX_AGE: Final = "600"


def share(answer: Response, handshake: Handshake | None, origins: frozenset[str]) -> None:
    """Let a listed origin read this answer; say that the answer depends on the Origin, whoever asked."""
    answer.headers["vary"] = "Origin"
    origin = handshake.one("origin") if handshake is not None else None
    if origin is not None and origin in origins:
        answer.headers["access-control-allow-origin"] = origin
        answer.headers["access-control-allow-credentials"] = "true"
        answer.headers["access-control-expose-headers"] = EXPOSED


def preflight(handshake: Handshake, origins: frozenset[str]) -> Response | Deny:
    """The answer to a browser that asks before it sends (Fetch, section 4.8). Only a listed origin is told anything."""
    fault = judge_origin(handshake.one("origin"), origins, WithoutOrigin.REFUSE)
    if fault is not None:
        return fault
    if not handshake.all("access-control-request-method"):
        return Deny(Reason.METHOD, Step.UPGRADE)
    granted = respond(204)
    granted.headers["access-control-allow-methods"] = METHODS
    granted.headers["access-control-allow-headers"] = HEADERS
    granted.headers["access-control-max-age"] = MAX_AGE
    return granted
