"""Step 7: at most one explicit credential, in a place that the route allows; two are refused, never combined.

Where there is none, the ambient one that the route lists (a cookie) is read; a browser attaches that by itself, so an
ambient one that the route does not list is no fault, only removed.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote_plus

from doorward.core.handshakes import offered_protocols
from doorward.values.credential import Credential, Kind, Place
from doorward.values.decision import Deny, Reason, Step
from doorward.values.handshake import Handshake
from doorward.values.rules import Route
from doorward.values.secret import Secret

SESSION_COOKIE: Final = "__Host-doorward"
OURS: Final = "doorward."
CONTROL: Final = "doorward.v1"
PLAIN: Final = "doorward.plain"
_TOKEN: Final = "doorward.token."  # noqa: S105
_TICKET: Final = "doorward.ticket."
_CSRF: Final = "doorward.csrf."
_IN_QUERY: Final = {"token": Kind.TOKEN, "access_token": Kind.TOKEN, "ticket": Kind.TICKET}
OURS_IN_QUERY: Final = frozenset({*_IN_QUERY, "csrf"})
_BEARER: Final = re.compile(r"[A-Za-z0-9\-._~+/]+=*")  # RFC 6750 section 2.1
_TICKET_CODE: Final = re.compile(r"[A-Za-z0-9_\-]{43}")  # 256 bits (TKT-01)


def read(handshake: Handshake, route: Route) -> Credential | Deny:
    """The one credential that counts. Deny 401 when none is shown, 400 for two, misplaced or unreadable ones."""
    found: list[Credential] = []
    for item in _explicit(handshake):
        if isinstance(item, Deny):
            return item
        found.append(item)
    if len(found) > 1:
        return _deny(Reason.CREDENTIAL_REPEATED)
    if found:
        return _placed(found[0], route)
    if Kind.SESSION in route.credentials and Place.COOKIE in route.places:
        cookie = _session_cookie(handshake)
        if cookie is not None:
            return cookie
    return _deny(Reason.CREDENTIAL_MISSING)


def _placed(credential: Credential, route: Route) -> Credential | Deny:
    if credential.place is Place.QUERY:
        if credential.kind is Kind.TOKEN and Place.QUERY not in route.places:
            return _deny(Reason.TOKEN_IN_URL)
    elif credential.place not in route.places:
        return _deny(Reason.CREDENTIAL_MISPLACED)
    if credential.kind not in route.credentials:
        return _deny(Reason.CREDENTIAL_MISPLACED)
    return credential


def _explicit(handshake: Handshake) -> Iterator[Credential | Deny]:
    authorization = handshake.one("authorization")
    if authorization is not None:
        yield _from_header(authorization)
    for offer in offered_protocols(handshake) or ():
        if offer.startswith(OURS):
            item = _from_offer(offer)
            if item is not None:
                yield item
    for name, value in query_pairs(handshake.query):
        kind = _IN_QUERY.get(name)
        if kind is Kind.TICKET:
            yield _ticket(value, Place.QUERY)
        elif kind is not None:
            yield Credential(kind, Place.QUERY, Secret(value))


def _from_header(value: str) -> Credential | Deny:
    """Bearer (RFC 6750) or Basic (RFC 7617); one space, one credential."""
    scheme, _, rest = value.partition(" ")
    match scheme.lower():
        case "bearer":
            if not rest:
                return _deny(Reason.CREDENTIAL_MALFORMED)
            if "," in rest:
                return _deny(Reason.CREDENTIAL_REPEATED)
            # what is no b64token is a token all the same: shown, and refused by step 8 like any other bad one
            return Credential(Kind.TOKEN, Place.HEADER, Secret(rest if _BEARER.fullmatch(rest) else ""))
        case "basic":
            return Credential(Kind.PASSWORD, Place.HEADER, Secret(rest))
        case _:
            return _deny(Reason.CREDENTIAL_MISPLACED)


def _from_offer(offer: str) -> Credential | Deny | None:
    if offer in {CONTROL, PLAIN} or offer.startswith(_CSRF):
        return None
    if offer.startswith(_TICKET):
        return _ticket(offer[len(_TICKET) :], Place.SUBPROTOCOL)
    if offer.startswith(_TOKEN):
        text = offer[len(_TOKEN) :]
        try:
            token = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode("ascii")
        except (binascii.Error, UnicodeDecodeError, ValueError):
            token = ""
        return Credential(Kind.TOKEN, Place.SUBPROTOCOL, Secret(token))
    return _deny(Reason.PROTOCOLS_MALFORMED)


def _ticket(code: str, place: Place) -> Credential:
    """A code that no ticket can have becomes the empty one: refused like an unknown one."""
    return Credential(Kind.TICKET, place, Secret(code if _TICKET_CODE.fullmatch(code) else ""))


def _session_cookie(handshake: Handshake) -> Credential | Deny | None:
    values = [value for name, value in cookie_pairs(handshake) if name == SESSION_COOKIE]
    if not values:
        return None
    if len(values) > 1:
        return _deny(Reason.CREDENTIAL_REPEATED)
    return Credential(Kind.SESSION, Place.COOKIE, Secret(values[0]))


def csrf_of(handshake: Handshake) -> Secret | None:
    """Step 9's proof: subprotocol `doorward.csrf.<token>` or `?csrf=`; None when missing or shown twice."""
    shown = [offer[len(_CSRF) :] for offer in offered_protocols(handshake) or () if offer.startswith(_CSRF)]
    shown += [value for name, value in query_pairs(handshake.query) if name == "csrf"]
    return Secret(shown[0]) if len(shown) == 1 else None


def query_pairs(query: str) -> Iterator[tuple[str, str]]:
    """Names and values, decoded once, so that no spelling of a name hides it."""
    if not query:
        return
    for part in query.split("&"):
        name, _, value = part.partition("=")
        yield unquote_plus(name), unquote_plus(value)


def cookie_pairs(handshake: Handshake) -> Iterator[tuple[str, str]]:
    """Names exactly as sent (RFC 6265 section 5.4): case counts, quotes are part of the value."""
    for line in handshake.all("cookie"):
        for part in line.split(";"):
            name, _, value = part.strip(" \t").partition("=")
            yield name, value


def _deny(reason: Reason) -> Deny:
    return Deny(reason, Step.READ)
