"""Step 6: an Origin is on the list exactly, or it is refused; the Host header proves nothing (ORG-01 to ORG-04)."""

import re
from typing import Final

from doorward.values.decision import Deny, Reason, Step
from doorward.values.rules import MAX_ORIGIN, WithoutOrigin

# RFC 6454 section 6.1, as browsers serialise it: lower case, no path, no userinfo, a port only when not the default
_ORIGIN: Final = re.compile(
    r"[a-z][a-z0-9+.\-]*://(?:[a-z0-9](?:[a-z0-9.\-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[1-9][0-9]{0,4})?"
)


def judge_origin(origin: str | None, allowed: frozenset[str], without_origin: WithoutOrigin) -> Deny | None:
    """None when the handshake may go on. A missing Origin goes on only where the route lets explicit credentials in
    without one; that ambient ones still need it is step 7's to know."""
    if origin is None:
        return None if without_origin is WithoutOrigin.ALLOW else _deny(Reason.ORIGIN_MISSING)
    if origin == "null":  # first: not even a list that names it lets it in (ORG-02)
        return _deny(Reason.ORIGIN_NULL)
    if origin in allowed:
        return None
    if len(origin) > MAX_ORIGIN or not _ORIGIN.fullmatch(origin):
        return _deny(Reason.ORIGIN_MALFORMED)
    return _deny(Reason.ORIGIN_UNLISTED)


def is_origin(text: str) -> bool:
    """Is it a serialised origin in the one form that can ever match? For the configuration's check."""
    return len(text) <= MAX_ORIGIN and _ORIGIN.fullmatch(text) is not None


def _deny(reason: Reason) -> Deny:
    return Deny(reason, Step.ORIGIN)
