"""Every answer is made of constants: an error names its ending and nothing of the request, the code or the machine.

Errors are application/problem+json (RFC 9457) with the ending's name as `reason` (PRODUCT section 5).
"""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from starlette.responses import Response

from doorward.core.endings import ENDINGS, whole_seconds
from doorward.values.decision import Deny

STRICT_CSP: Final = "default-src 'none'; frame-ancestors 'none'"
HSTS: Final = "max-age=31536000"
JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
KEYS: Final = "application/jwk-set+json"  # RFC 7517 section 8.5

_ALWAYS: Final = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    # one exchange per connection: no upgrade slips by on a kept-alive one
    "connection": "close",
}
# where the reason knows no better (RFC 9110 section 10.2.3)
_RETRY: Final = {429: 1.0, 503: 5.0}


def respond(status: int, body: bytes = b"", *, media_type: str | None = None, csp: str = STRICT_CSP) -> Response:
    """A whole answer under the headers that every answer of ours carries."""
    return Response(body, status, media_type=media_type, headers={**_ALWAYS, "content-security-policy": csp})


def json_answer(status: int, members: Mapping[str, object], *, media_type: str = JSON) -> Response:
    return respond(status, json.dumps(members, separators=(",", ":")).encode("ascii"), media_type=media_type)


def problem(deny: Deny, *, allow: str = "", status: int | None = None) -> Response:
    """What a refusal looks like from outside. `allow` goes with 405. `status` in place of the ending's own."""
    ending = ENDINGS[deny.reason]
    # an ending that only a live connection has would be a fault of ours here, and still a refusal
    own = ending.status or 500
    status = status or own
    members: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "reason": ending.name,
    }
    wait = deny.retry_after if deny.retry_after is not None else _RETRY.get(own)
    if wait is not None:
        members["retry_after"] = whole_seconds(wait)
    refused = json_answer(status, members, media_type=PROBLEM)
    if wait is not None:
        refused.headers["retry-after"] = str(whole_seconds(wait))
    if status == 401:
        refused.headers["www-authenticate"] = "Bearer"  # RFC 6750 section 3: no error code where nothing was shown
    if status == 405:
        refused.headers["allow"] = allow
    return refused
