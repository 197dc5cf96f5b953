"""Every answer of the admin listener: the same headers on all, and an error of constants that repeats no secret.

Errors are application/problem+json (RFC 9457) with the name of an ending as `reason` (PRODUCT section 5).
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final

from pydantic import BaseModel
from starlette.responses import Response

from doorward.adapters.admin.models import Problem, Wrong
from doorward.core.endings import ENDINGS, whole_seconds
from doorward.values.decision import Deny

HEADERS: Final = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    # one exchange per connection: no upgrade slips by on a kept-alive one
    "connection": "close",
}
JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
REALM: Final = 'Bearer realm="doorward admin"'
# where the reason knows no better (RFC 9110 section 10.2.3)
_RETRY: Final = {429: 1.0, 503: 5.0}
# Endings have statuses of their own at the door; a credential that will not do is 401 here (RFC 6750 section 3.1).
_ENDING_OF: Final = {
    400: "malformed",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "malformed",
    421: "malformed",
    422: "malformed",
    429: "rate_limited",
    500: "internal",
    503: "unavailable",
}


def answer(status: int, model: BaseModel, *, location: str = "") -> Response:
    more = {"location": location} if location else {}
    return Response(model.model_dump_json().encode(), status, headers={**HEADERS, **more}, media_type=JSON)


def plain(status: int, body: bytes, *, media_type: str) -> Response:
    """A body that is made already."""
    return Response(body, status, headers={**HEADERS, "content-type": media_type})


def problem(
    status: int,
    *,
    reason: str = "",
    detail: str = "",
    errors: Sequence[Wrong] = (),
    wait: float | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """`wait`: seconds after which trying again helps."""
    wait = wait if wait is not None else _RETRY.get(status)
    told = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        reason=reason or _ENDING_OF[status],
        detail=detail or None,
        errors=list(errors) or None,
        retry_after=None if wait is None else whole_seconds(wait),
    )
    body = told.model_dump_json(exclude_none=True).encode()
    refused = Response(body, status, headers={**HEADERS, **(headers or {})}, media_type=PROBLEM)
    if told.retry_after is not None:
        refused.headers["retry-after"] = str(told.retry_after)
    return refused


def not_allowed(allow: Sequence[str]) -> Response:
    return problem(405, headers={"allow": ", ".join(allow)})


def denied(deny: Deny) -> Response:
    """What a refusal of the core or of the service looks like here."""
    ending = ENDINGS[deny.reason]
    if ending.name == "unauthenticated":  # RFC 6750 section 3: no error code where nothing was shown
        return problem(401, headers={"www-authenticate": REALM})
    if ending.name == "refused":
        return problem(401, reason="refused", headers={"www-authenticate": f'{REALM}, error="invalid_token"'})
    status = ending.status or 500
    return problem(status, reason=ending.name, wait=deny.retry_after)


def forbidden() -> Response:
    """A viewer's token can't write (RFC 6750 section 3.1)."""
    challenge = f'{REALM}, error="insufficient_scope", scope="operator"'
    return problem(403, detail="an operator's token is wanted", headers={"www-authenticate": challenge})


def stale(max_age: float) -> Response:
    """RFC 9470 section 3: the token is good, and was issued too long ago for this."""
    challenge = f'{REALM}, error="insufficient_user_authentication", max_age={whole_seconds(max_age)}'
    detail = "a token issued lately is wanted: doorward token issue --admin operator"
    return problem(401, detail=detail, headers={"www-authenticate": challenge})
