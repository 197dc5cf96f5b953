"""An admin token proves an administrator only if it is ours, of its own kind, short-lived, and can be revoked.

It shares issuer and keys with our access tokens, so kind (`typ`) and audience tell them apart, in both directions: the
door takes `at+jwt` alone (judging/tokens.py), and this takes nothing but `doorward-admin+jwt`. RFC 8725 section 3.11.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from doorward.core.judging.tokens import is_fit, judge_times
from doorward.core.tokens import canonical_algorithm
from doorward.values.administrator import ADMIN_AUDIENCE, ADMIN_LONGEST, ADMIN_TYPE, Administrator, AdminRole
from doorward.values.decision import Deny, Reason, Step
from doorward.values.rules import IssuerRules, Rules
from doorward.values.token import SignedToken

_ROLES: Final[Mapping[object, AdminRole]] = {role.value: role for role in AdminRole}


def admin_issuer(token: SignedToken, rules: Rules) -> IssuerRules | Deny:
    """Our own rules, if the token says that it is an admin token of ours. Before the signature: it can only refuse."""
    issuer = rules.issuers.get(token.issuer)
    if issuer is None or not issuer.own:
        return _deny(Reason.TOKEN_ISSUER, "admin tokens are ours alone")
    if token.algorithm not in map(canonical_algorithm, issuer.algorithms):
        return _deny(Reason.TOKEN_ALGORITHM, "not an algorithm of ours")
    if token.typ is None or token.typ.lower().removeprefix("application/") != ADMIN_TYPE:
        return _deny(Reason.TOKEN_TYPE, "typ is not an admin token's")
    return issuer


def judge_admin_token(token: SignedToken, issuer: IssuerRules, *, now: float) -> Administrator | Deny:
    """Make the Administrator of a token whose signature is known to be good; `now` in epoch seconds.

    One without iat could not be told recent, one without jti could not be revoked: neither is one of ours.
    """
    claims = token.claims
    times = judge_times(claims, replace(issuer, max_life=ADMIN_LONGEST), now=now)
    if isinstance(times, Deny):
        return times
    issued_at, expires_at = times
    if claims.get("aud") != ADMIN_AUDIENCE:  # no list: a token for two audiences would be two kinds of token
        return _deny(Reason.TOKEN_AUDIENCE, f"aud is not {ADMIN_AUDIENCE}")
    name, token_id, role = claims.get("sub"), claims.get("jti"), claims.get("role")
    if issued_at is None or not is_fit(name) or not is_fit(token_id):
        return _deny(Reason.TOKEN_CLAIMS, "iat, sub or jti is missing or unfit")
    known = _ROLES.get(role) if isinstance(role, str) else None
    if known is None:
        return _deny(Reason.TOKEN_CLAIMS, "role is neither viewer nor operator")
    return Administrator(name=name, role=known, token_id=token_id, issued_at=issued_at, expires_at=expires_at)


def _deny(reason: Reason, note: str) -> Deny:
    return Deny(reason, Step.PROVE, note=note)
