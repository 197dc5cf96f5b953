"""A renewal is judged by the same steps as the first proof, and can only be of the same identity."""

from dataclasses import replace
from typing import Any

import pytest

from doorward.core.renewing import Renewal, renew
from doorward.testing import Played, play
from doorward.values.admission import Admission
from doorward.values.audit import Trail
from doorward.values.ban import Ban
from doorward.values.credential import Credential, Kind, Place
from doorward.values.decision import MISSING, Allow, Deny, Found, Reason, Step, Unavailable
from doorward.values.lease import Lease, LeaseTerms
from doorward.values.principal import Identity, Principal
from doorward.values.question import AskBan, AskRevocations, SpendTicket, VerifySignature
from doorward.values.revocation import Effect, Revocation, Target, TargetKind
from doorward.values.rules import Rules
from doorward.values.secret import Secret
from doorward.values.ticket import Ticket
from doorward.values.token import Signature
from tests.unit.core.making import CODE, ISSUER, NOW, handshake, knock, principal, route, rules, token

LAW = rules(route(permission="chat:join", lease=LeaseTerms(renew_every=600.0, grace=60.0, max=7200.0)))
LATER = NOW + 300


def admitted(law: Rules = LAW, **claims: Any) -> Admission:
    entered = handshake(
        authorization=f"Bearer {token(roles=['member'], **claims)}", sec_websocket_protocol="doorward.v1"
    )
    played = knock(entered, law)
    assert isinstance(played.result, Allow), played.result
    return played.result.admission


def shown(**claims: Any) -> Credential:
    fresh = {"roles": ["member"], "iat": int(LATER) - 1, "exp": int(LATER) + 3600, **claims}
    return Credential(Kind.TOKEN, Place.MESSAGE, Secret(token(**fresh)))


def renewed(
    credential: Credential,
    answers: Any = None,
    *,
    law: Rules = LAW,
    admission: Admission | None = None,
    held: Principal | None = None,
    trail: Trail | None = None,
) -> Played[Renewal | Deny]:
    before = admission or admitted()
    steps = renew(
        credential, before, law, held=held or before.principal, opened_at=NOW, trail=trail or Trail(), now=LATER
    )
    return play(steps, answers, now=LATER)


def refused(played: Played[Renewal | Deny]) -> tuple[Reason, Step]:
    assert isinstance(played.result, Deny), played.result
    return played.result.reason, played.result.step


def test_a_fresh_token_of_the_same_identity_renews() -> None:
    trail = Trail()
    played = renewed(shown(), trail=trail)
    assert isinstance(played.result, Renewal)
    assert played.result.lease == Lease(LATER, LATER + 600, LATER + 660, NOW + 7200)
    assert played.result.principal.expires_at == LATER + 3600
    assert played.result.route == LAW.routes[0]
    assert (trail.kind, trail.place) == (Kind.TOKEN, Place.MESSAGE)
    assert played.kinds() == [VerifySignature, AskRevocations, AskBan, AskRevocations]


def test_permissions_and_limits_are_rebuilt_from_the_new_credential_and_the_rules_of_now() -> None:
    reloaded = rules(route(lease=LeaseTerms(renew_every=60.0)), roles={"guest": ("chat:look",)})
    played = renewed(shown(roles=["guest"]), law=reloaded)
    assert isinstance(played.result, Renewal)
    assert played.result.principal.permissions == {"chat:look"}
    assert played.result.lease.renew_at == LATER + 60


def test_a_connection_that_could_not_renew_gets_no_new_date_for_it() -> None:
    plain = knock(handshake(), rules())
    assert isinstance(plain.result, Allow)
    played = renewed(shown(), law=rules(), admission=plain.result.admission)
    assert isinstance(played.result, Renewal)
    assert played.result.lease.renew_at is None


@pytest.mark.parametrize(
    "claims", [{"sub": "bob"}, {"sub": "Alice"}, {"sub": "alice", "iss": "https://other.example/"}]
)
def test_another_identity_is_told_apart(claims) -> None:
    """RV-04"""
    other = "https://other.example/"
    law = rules(*LAW.routes, issuers={**LAW.issuers, other: replace(LAW.issuers[ISSUER], issuer=other)})
    assert refused(renewed(shown(**claims), law=law)) == (Reason.IDENTITY_CHANGED, Step.PROVE)


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        ({VerifySignature: Found(Signature.BAD)}, (Reason.TOKEN_SIGNATURE, Step.PROVE)),
        ({VerifySignature: Unavailable()}, (Reason.VERIFIER_UNAVAILABLE, Step.PROVE)),
        ({AskRevocations: Unavailable()}, (Reason.STORE_UNAVAILABLE, Step.PROVE)),
        ({AskBan: Found(Ban(None, "alice", None, None, "", NOW, None))}, (Reason.IDENTITY_BANNED, Step.PERMIT)),
        ({AskBan: Unavailable()}, (Reason.STORE_UNAVAILABLE, Step.PERMIT)),
        ({AskRevocations: [Found(()), Unavailable()]}, (Reason.STORE_UNAVAILABLE, Step.REGISTER)),
    ],
)
def test_what_refuses_a_handshake_refuses_a_renewal(answers, found) -> None:
    assert refused(renewed(shown(), answers)) == found


def test_a_credential_that_expired_or_grants_too_little() -> None:
    assert refused(renewed(shown(exp=int(LATER)))) == (Reason.TOKEN_EXPIRED, Step.PROVE)
    assert refused(renewed(shown(roles=[]))) == (Reason.PERMISSION, Step.PERMIT)


def test_an_older_proof_does_not_replace_a_newer_one() -> None:
    """REF-07: else who was given less could go back to the token that gave more."""
    older = shown(iat=int(NOW) - 11)
    assert refused(renewed(older)) == (Reason.RENEWAL_REFUSED, Step.PROVE)
    same = shown(iat=int(NOW) - 10)
    assert isinstance(renewed(same).result, Renewal)
    newer = principal(issued_at=NOW + 200)
    assert refused(renewed(shown(iat=int(NOW) + 100), held=newer)) == (Reason.RENEWAL_REFUSED, Step.PROVE)


def test_a_proof_without_an_issue_time_is_older_than_everything() -> None:
    assert refused(renewed(shown(iat=None))) == (Reason.RENEWAL_REFUSED, Step.PROVE)
    undated = principal(issued_at=None)
    assert isinstance(renewed(shown(iat=None), held=undated).result, Renewal)


def revoked(at: float, effect: Effect = Effect.CLOSE, *, roles: tuple[str, ...] = (), token: str = "") -> Revocation:
    target = Target(TargetKind.TOKEN, token) if token else Target(TargetKind.IDENTITY, "alice")
    return Revocation(target, at, effect, "test", at + 600, roles=roles)


@pytest.mark.parametrize("effect", [Effect.CLOSE, Effect.RENEW])
def test_the_way_back_after_a_revocation_needs_something_issued_after_it(effect) -> None:
    log = {AskRevocations: Found((revoked(NOW + 100, effect),))}
    assert refused(renewed(shown(iat=int(NOW) + 100), log)) == (Reason.REVOKED_BEFORE, Step.PROVE)
    assert isinstance(renewed(shown(iat=int(NOW) + 103), log).result, Renewal)


def test_a_token_that_is_revoked_while_it_renews_is_not_taken() -> None:
    """The connection still holds the old one, so nothing else would find it."""
    log = {AskRevocations: [Found(()), Found((revoked(LATER, token="j2"),))]}
    assert refused(renewed(shown(jti="j2"), log)) == (Reason.REVOKED_BEFORE, Step.REGISTER)


def test_roles_that_change_while_it_renews_count() -> None:
    log = {AskRevocations: [Found(()), Found((revoked(LATER, Effect.ROLES, roles=("moderator",)),))]}
    played = renewed(shown(), log)
    assert isinstance(played.result, Renewal)
    assert played.result.principal.roles == ("moderator",)
    stripped = {AskRevocations: [Found(()), Found((revoked(LATER, Effect.ROLES),))]}
    assert refused(renewed(shown(), stripped)) == (Reason.PERMISSION, Step.PERMIT)


def test_a_route_that_a_reload_took_away_or_that_takes_no_such_credential() -> None:
    assert refused(renewed(shown(), law=rules(route("/other")))) == (Reason.ROUTE_UNKNOWN, Step.ROUTE)
    tickets = rules(route(credentials=frozenset({Kind.TICKET})))
    assert refused(renewed(shown(), law=tickets)) == (Reason.CREDENTIAL_MISPLACED, Step.READ)


def test_by_ticket_for_the_path_it_was_bought_for() -> None:
    lent = principal(issued_at=LATER - 5, expires_at=LATER + 60, permissions=frozenset({"chat:join"}))
    held = Ticket(b"", lent, "c-promised", LATER - 1, LATER + 29, path="/chat/lobby")
    by_ticket = Credential(Kind.TICKET, Place.MESSAGE, Secret(CODE))
    played = renewed(by_ticket, {SpendTicket: Found(held)})
    assert isinstance(played.result, Renewal)
    assert played.result.lease.deadline == LATER + 60
    assert refused(renewed(by_ticket, {SpendTicket: MISSING})) == (Reason.TICKET_UNKNOWN, Step.PROVE)
    elsewhere = Ticket(b"", lent, "c-promised", LATER - 1, LATER + 29, path="/chat/other")
    assert refused(renewed(by_ticket, {SpendTicket: Found(elsewhere)})) == (Reason.TICKET_ELSEWHERE, Step.PROVE)


def test_the_same_subject_of_another_tenant_is_another_identity() -> None:
    there = principal(identity=Identity(ISSUER, "alice", "acme"), issued_at=LATER, permissions=frozenset({"chat:join"}))
    held = Ticket(b"", there, "c-promised", LATER - 1, LATER + 29)
    by_ticket = Credential(Kind.TICKET, Place.MESSAGE, Secret(CODE))
    assert refused(renewed(by_ticket, {SpendTicket: Found(held)})) == (Reason.IDENTITY_CHANGED, Step.PROVE)
