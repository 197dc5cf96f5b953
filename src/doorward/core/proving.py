"""Step 8, for every use of a credential: handshake, renewal, ticket. There is no second way to become a principal.

A generator yields a Question and is sent a Reply: the Answer, and the time by then.
"""

import hashlib
from collections.abc import Generator
from dataclasses import replace
from typing import Final, TypeVar, assert_never

from doorward.core import revocation
from doorward.core.judging.sessions import judge_session
from doorward.core.judging.tickets import judge_ticket
from doorward.core.judging.tokens import choose_issuer, judge_token
from doorward.core.permissions import effective
from doorward.core.tokens import parse_token
from doorward.values.audit import Trail
from doorward.values.credential import Credential, Kind
from doorward.values.decision import MISSING, Answer, Deny, Found, Reason, Step
from doorward.values.principal import Principal
from doorward.values.question import AskRevocations, FetchSession, Question, SpendTicket, VerifySignature
from doorward.values.revocation import Effect
from doorward.values.rules import Rules
from doorward.values.session import Session
from doorward.values.ticket import SpentTicket, Ticket
from doorward.values.token import Signature

T = TypeVar("T")
Reply = tuple[Answer[object], float]
Steps = Generator[Question, Reply, T]


_SIGNATURES: Final = {
    Signature.BAD: Reason.TOKEN_SIGNATURE,
    Signature.KEY_UNKNOWN: Reason.TOKEN_KEY,
    Signature.KEY_UNFIT: Reason.TOKEN_KEY,
}


def prove(
    credential: Credential,
    rules: Rules,
    *,
    connection: str,
    path: str,
    origin: str | None,
    trail: Trail,
    now: float,
) -> Steps[tuple[Principal, str, Session | None, float] | Deny]:
    """Step 8, for every use of a credential: verified, in time, not revoked, its roles as the log says.

    Returns the principal, the connection id (a ticket brings its own), the session for step 9, and the time by then.
    """
    session: Session | None = None
    match credential.kind:
        case Kind.TOKEN:
            judged: Principal | Deny
            judged, now = yield from _prove_token(credential, rules, now)
        case Kind.TICKET:
            answer, now = yield SpendTicket(digest(credential.secret.expose()))
            match answer:
                case Found(Ticket() | SpentTicket() as held):
                    ticket = judge_ticket(held, path=path, origin=origin, now=now)
                case _:
                    unknown = answer is MISSING
                    return Deny(Reason.TICKET_UNKNOWN if unknown else Reason.STORE_UNAVAILABLE, Step.PROVE)
            if isinstance(ticket, Deny):
                return ticket
            judged, connection = ticket
        case Kind.SESSION:
            answer, now = yield FetchSession(digest(credential.secret.expose()))
            found = judge_session(answer, now=now)
            if isinstance(found, Deny):
                return found
            session, judged = found, lent_by(found)
        case Kind.PASSWORD | Kind.CERTIFICATE:
            return Deny(Reason.CREDENTIAL_MISPLACED, Step.READ)
        case _:
            assert_never(credential.kind)
    if isinstance(judged, Deny):
        return judged
    trail.identity, trail.principal, trail.connection = judged.identity, judged, connection
    current = yield from unrevoked(judged, rules, connection=connection, step=Step.PROVE)
    if isinstance(current, Deny):
        return current
    principal, now = current
    trail.principal = principal
    return principal, connection, session, now


def lent_by(session: Session) -> Principal:
    """A session lends its end: nothing of it lasts longer (PRODUCT section 7)."""
    ends = [end for end in (session.expires_at, session.principal.expires_at) if end is not None]
    return replace(session.principal, expires_at=min(ends))


def _prove_token(credential: Credential, rules: Rules, now: float) -> Steps[tuple[Principal | Deny, float]]:
    token = parse_token(credential.secret.expose())
    if isinstance(token, Deny):
        return token, now
    issuer = choose_issuer(token, rules)
    if isinstance(issuer, Deny):
        return issuer, now
    answer, now = yield VerifySignature(token)
    match answer:
        case Found(Signature.GOOD):
            return judge_token(token, issuer, rules, now=now), now
        case Found(Signature() as verdict):
            return Deny(_SIGNATURES[verdict], Step.PROVE), now
        case _:
            return Deny(Reason.VERIFIER_UNAVAILABLE, Step.PROVE), now


def unrevoked(
    principal: Principal, rules: Rules, *, connection: str, step: Step
) -> Steps[tuple[Principal, float] | Deny]:
    """The revocation log's word on a proof: Deny, or the principal with the roles that the log puts in place."""
    answer, now = yield AskRevocations(principal, connection, final=step is Step.REGISTER)
    if not isinstance(answer, Found):
        return Deny(Reason.STORE_UNAVAILABLE, step)
    revocations = answer.value
    if not isinstance(revocations, tuple):
        return Deny(Reason.INTERNAL, step)
    barred = revocation.refusal(revocations, principal, connection, rules.issuers)
    if barred is not None:
        note = "" if barred.effect is Effect.CLOSE else "a fresh credential is wanted"
        return Deny(Reason.REVOKED_BEFORE, step, note=note)
    roles = revocation.roles_of(revocations, principal, connection, rules.issuers)
    return (principal if roles is None else with_roles(principal, roles, rules)), now


def with_roles(principal: Principal, roles: tuple[str, ...], rules: Rules) -> Principal:
    """The principal with other roles, and the permissions that follow from them."""
    return replace(principal, roles=roles, permissions=effective(principal.granted, roles, rules.roles))


def digest(code: str) -> bytes:
    """What the stores know of a ticket or session: SHA-256 of the code, which has 256 bits of its own (TKT-02)."""
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).digest()
