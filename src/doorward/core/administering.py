"""Who may use the admin API: the bearer of an admin token that is good now, whatever was so a moment ago.

A generator like every proof: it asks for the signature and, last, for the revocation log, fresh at each request. A
credential that a browser would attach by itself counts for nothing here, so no page can make an administrator's act.
"""

from typing import Final

from doorward.core import revocation
from doorward.core.judging.administrators import admin_issuer, judge_admin_token
from doorward.core.proving import Steps
from doorward.core.reading import query_pairs
from doorward.core.tokens import parse_token
from doorward.values.administrator import Administrator
from doorward.values.credential import Kind
from doorward.values.decision import Deny, Found, Reason, Step
from doorward.values.handshake import Handshake
from doorward.values.principal import Identity, Principal
from doorward.values.question import AskRevocations, VerifySignature
from doorward.values.rules import Rules
from doorward.values.secret import Secret
from doorward.values.token import Signature

RECENT: Final = 900.0
"""Seconds: what ends a whole issuer or tenant wants a token issued so lately (ADM-03)."""

_IN_QUERY: Final = frozenset({"token", "access_token"})
_SIGNATURES: Final = {
    Signature.BAD: Reason.TOKEN_SIGNATURE,
    Signature.KEY_UNKNOWN: Reason.TOKEN_KEY,
    Signature.KEY_UNFIT: Reason.TOKEN_KEY,
}


def read_admin_token(handshake: Handshake) -> Secret | Deny:
    """`Authorization: Bearer`, once (RFC 6750 section 2.1), and nowhere else: no cookie, no query."""
    if any(name in _IN_QUERY for name, _ in query_pairs(handshake.query)):
        return Deny(Reason.TOKEN_IN_URL, Step.READ)
    shown = handshake.all("authorization")
    if not shown:
        return Deny(Reason.CREDENTIAL_MISSING, Step.READ)
    if len(shown) > 1:
        return Deny(Reason.CREDENTIAL_REPEATED, Step.READ)
    scheme, _, token = shown[0].partition(" ")
    if scheme.lower() != "bearer":
        return Deny(Reason.CREDENTIAL_MISSING, Step.READ, note="another scheme than Bearer")
    return Secret(token)


def page_fault(handshake: Handshake) -> Deny | None:
    """A write that a page of another origin sent is refused, though it would have had to know the token (ORG-09).

    The listener's own origin is what the request names: its Host is one of ours, and TLS may end before us. What is no
    browser sends neither header.
    """
    origin = handshake.one("origin")
    host = (handshake.one("host") or "").lower()
    if origin is not None and (not host or origin not in {f"http://{host}", f"https://{host}"}):
        return Deny(Reason.ORIGIN_UNLISTED, Step.ORIGIN)
    sites = handshake.all("sec-fetch-site")
    if sites and sites != ("same-origin",):
        return Deny(Reason.ORIGIN_MISSING, Step.ORIGIN, note="a page of another site sent it")
    return None


def prove_administrator(secret: Secret, rules: Rules, *, now: float) -> Steps[Administrator | Deny]:
    """Signed by us, an admin token, in its time, not revoked. Unavailable is never yes."""
    token = parse_token(secret.expose())
    if isinstance(token, Deny):
        return token
    issuer = admin_issuer(token, rules)
    if isinstance(issuer, Deny):
        return issuer
    answer, now = yield VerifySignature(token)
    match answer:
        case Found(Signature.GOOD):
            judged = judge_admin_token(token, issuer, now=now)
        case Found(Signature() as verdict):
            return Deny(_SIGNATURES[verdict], Step.PROVE)
        case _:
            return Deny(Reason.VERIFIER_UNAVAILABLE, Step.PROVE)
    if isinstance(judged, Deny):
        return judged
    revoked = yield from _revoked(judged, issuer.issuer, rules)
    return judged if revoked is None else revoked


def _revoked(administrator: Administrator, issuer: str, rules: Rules) -> Steps[Deny | None]:
    """The log's word. Of its effects `roles` is for the door's roles and gives or takes nothing here."""
    principal = Principal(
        identity=Identity(issuer, administrator.name),
        kind=Kind.TOKEN,
        issued_at=administrator.issued_at,
        expires_at=administrator.expires_at,
        token_id=administrator.token_id,
    )
    answer, _ = yield AskRevocations(principal, "", final=True)
    if not isinstance(answer, Found):
        return Deny(Reason.STORE_UNAVAILABLE, Step.PROVE)
    revocations = answer.value
    if not isinstance(revocations, tuple):
        return Deny(Reason.INTERNAL, Step.PROVE)
    barred = revocation.refusal(revocations, principal, "", rules.issuers)
    return None if barred is None else Deny(Reason.REVOKED_BEFORE, Step.PROVE)


def is_recent(administrator: Administrator, *, now: float) -> bool:
    """Was the token issued within the last 15 minutes (RFC 9470: step-up)?"""
    return now - administrator.issued_at <= RECENT
