"""A token proves an identity only if its issuer is ours to trust, and every claim that counts says so exactly.

choose_issuer comes before the signature and can only refuse; judge_token comes after it and is the only place that
makes a Principal of a token. Sources: RFC 8725, RFC 9068 section 4, SECURITY JWT-04 and JWT-10 to -14.
"""

from collections.abc import Mapping
from math import isfinite
from typing import Final, TypeGuard

from doorward.core.permissions import effective
from doorward.core.tokens import canonical_algorithm
from doorward.values.credential import Kind
from doorward.values.decision import Deny, Reason, Step
from doorward.values.principal import Identity, Principal
from doorward.values.rules import IssuerRules, Rules
from doorward.values.token import SignedToken

MAX_TEXT: Final = 255
MAX_NAMES: Final = 256

ACCESS_TOKEN: Final = "at+jwt"  # noqa: S105 - a media type

# What only other kinds of token carry: a SET or logout token, an ID token, a DPoP proof.
OTHER_KINDS: Final = frozenset({"events", "nonce", "at_hash", "c_hash", "htm", "htu"})
# Where issuers that leave `typ` at JWT say what they made: Keycloak, Cognito, and libraries' own refresh tokens.
SAYS_KIND: Final = ("typ", "token_use", "token_type", "type")
NOT_ACCESS: Final = frozenset({"id", "refresh", "offline", "logout", "id_token", "refresh_token", "logout_token"})


def choose_issuer(token: SignedToken, rules: Rules) -> IssuerRules | Deny:
    """Whose rules judge this token: exactly the issuer it names, by an algorithm and of a kind that it may have.

    Own tokens say at+jwt (RFC 9068 section 2.1); others may also say JWT or nothing, and never anything else.
    """
    issuer = rules.issuers.get(token.issuer)
    if issuer is None:
        return _deny(Reason.TOKEN_ISSUER, f"{token.issuer[:MAX_TEXT]!r} is not a configured issuer")
    if token.algorithm not in map(canonical_algorithm, issuer.algorithms):
        return _deny(Reason.TOKEN_ALGORITHM, "not an algorithm of this issuer")
    typ = None if token.typ is None else token.typ.lower().removeprefix("application/")
    if typ != ACCESS_TOKEN and (issuer.own or typ not in {None, "jwt"}):
        return _deny(Reason.TOKEN_TYPE, "typ is not an access token's")
    if not OTHER_KINDS.isdisjoint(token.claims):
        name = next(name for name in token.claims if name in OTHER_KINDS)
        return _deny(Reason.TOKEN_TYPE, f"{name} belongs to another kind of token")
    for name in SAYS_KIND:
        said = token.claims.get(name)
        if isinstance(said, str) and said.lower() in NOT_ACCESS:
            return _deny(Reason.TOKEN_TYPE, f"{name} says that it is no access token")
    return issuer


def judge_token(token: SignedToken, issuer: IssuerRules, rules: Rules, *, now: float) -> Principal | Deny:
    """Make the Principal of a token whose signature is known to be good; `now` in epoch seconds.

    exp is exact. nbf and iat have the issuer's leeway. Wildcards in a token's permissions are dropped: only [roles]
    writes them.
    """
    claims = token.claims
    times = judge_times(claims, issuer, now=now)
    if isinstance(times, Deny):
        return times
    issued_at, expires_at = times
    if not _is_meant_for(claims.get("aud"), issuer.audiences):
        return _deny(Reason.TOKEN_AUDIENCE, f"aud does not hold {' or '.join(issuer.audiences)}")
    if "cnf" in claims:
        # Taking it as a bearer token would be the downgrade that RFC 9449 section 7.2 forbids.
        return _deny(Reason.TOKEN_CLAIMS, "cnf binds the token to a key, and no proof of it came along")

    where = issuer.claims
    subject, tenant, session = _text(claims, where.subject), _text(claims, where.tenant), _text(claims, where.session)
    token_id, client_id = _text(claims, "jti"), _text(claims, "client_id")
    roles, permissions = _list(claims, where.roles), _list(claims, where.permissions)
    if (
        subject is None
        or tenant is None
        or session is None
        or token_id is None
        or client_id is None
        or roles is None
        or permissions is None
    ):
        names = (where.subject, where.tenant, where.session, "jti", "client_id", where.roles, where.permissions)
        unfit = names[[subject, tenant, session, token_id, client_id, roles, permissions].index(None)]
        return _deny(Reason.TOKEN_CLAIMS, f"{unfit} is not 1 to 255 bytes of printable text, or a list of such")
    if not subject:
        return _deny(Reason.TOKEN_CLAIMS, "no subject")
    granted = tuple(name for name in permissions if "*" not in name)
    return Principal(
        identity=Identity(issuer.issuer, subject, tenant),
        kind=Kind.TOKEN,
        issued_at=issued_at,
        expires_at=expires_at,
        session=session,
        token_id=token_id,
        roles=roles,
        granted=granted,
        permissions=effective(granted, roles, rules.roles),
        claims=_required(claims, rules),
    )


def judge_times(claims: Mapping[str, object], issuer: IssuerRules, *, now: float) -> tuple[float | None, float] | Deny:
    """(issued_at, expires_at) of a token that is in its time, if that is no longer than the issuer's max_life."""
    found: list[float | None] = []
    for name in ("exp", "nbf", "iat"):
        value = claims.get(name)
        if value is not None and not _is_instant(value, issuer):
            return _deny(Reason.TOKEN_CLAIMS, f"{name} is not a number of seconds")
        found.append(None if value is None else float(value))
    expires_at, not_before, issued_at = found
    if expires_at is None:
        return _deny(Reason.TOKEN_CLAIMS, "no exp")
    if now >= expires_at:
        return _deny(Reason.TOKEN_EXPIRED, f"exp was {now - expires_at:.0f} s ago")
    if not_before is not None and not_before > now + issuer.leeway:
        return _deny(Reason.TOKEN_NOT_YET, f"nbf is {not_before - now:.0f} s ahead")
    if issued_at is not None and issued_at > now + issuer.leeway:
        return _deny(Reason.TOKEN_NOT_YET, f"iat is {issued_at - now:.0f} s ahead")
    life = expires_at - (now if issued_at is None else issued_at)
    if life > issuer.max_life:
        return _deny(Reason.TOKEN_TOO_LONG_LIVED, f"for {life:.0f} s; at most {issuer.max_life:.0f} s are allowed")
    return issued_at, expires_at


def _is_instant(value: object, issuer: IssuerRules) -> TypeGuard[float]:
    """A NumericDate (RFC 7519 section 2): whole seconds, or fractions of them in our own tokens. A bool is none."""
    return type(value) is int or (type(value) is float and issuer.own and isfinite(value))


def _is_meant_for(audience: object, ours: tuple[str, ...]) -> bool:
    """One exact match, in a string or in a list of nothing but strings (RFC 7519 section 4.1.3)."""
    if isinstance(audience, str):
        return audience in ours
    if not isinstance(audience, list) or not all(isinstance(name, str) for name in audience):
        return False
    return any(name in ours for name in audience)


def _claim(claims: Mapping[str, object], name: str) -> object:
    """A claim by its literal name, which may be a URL with dots in it; else by descending at the dots."""
    if name in claims or "." not in name:
        return claims.get(name)
    value: object = claims
    for part in name.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value


def _text(claims: Mapping[str, object], name: str) -> str | None:
    """A claim that is text; "" where it is absent, or the issuer has none (`name` is ""); None where it is unfit."""
    value = claims.get(name) if name else None
    if value is None:
        value = _claim(claims, name) if "." in name else None
        if value is None:
            return ""
    return value if is_fit(value) else None


def _list(claims: Mapping[str, object], name: str) -> tuple[str, ...] | None:
    """A claim that lists names, as an array, or in one string by spaces (RFC 8693 section 4.2); None as in _text."""
    value = _claim(claims, name) if name else None
    if value is None:
        return ()
    names = value.split(" ") if isinstance(value, str) else value
    if not isinstance(names, list) or len(names) > MAX_NAMES:
        return None
    present = [each for each in names if each != ""]
    return tuple(dict.fromkeys(present)) if all(is_fit(each) for each in present) else None


def is_fit(value: object) -> TypeGuard[str]:
    """1 to 255 bytes of printable text: no control characters, nothing invisible, no text direction (JWT-14)."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT or not value.isprintable():
        return False
    return value.isascii() or len(value.encode("utf-8")) <= MAX_TEXT


def _required(claims: Mapping[str, object], rules: Rules) -> dict[str, object]:
    """Only the claims that some route's `require` compares: a connection keeps no more of its token than that."""
    required: dict[str, object] = {}
    for route in rules.routes:
        for name, _ in route.require:
            value = _claim(claims, name)
            if value is not None:
                required[name] = value
    return required


def _deny(reason: Reason, note: str = "") -> Deny:
    return Deny(reason, Step.PROVE, note=note)
