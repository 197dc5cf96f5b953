"""What an admin token must say: anything less proves nobody, and no other token of ours is one."""

from typing import Any

import pytest

from doorward.core.judging.administrators import admin_issuer, judge_admin_token
from doorward.core.judging.tokens import choose_issuer
from doorward.values.administrator import Administrator, AdminRole
from doorward.values.decision import Deny, Reason, Step
from doorward.values.rules import IssuerRules, Rules
from doorward.values.token import SignedToken

NOW = 1_790_000_000.0
OURS = "https://rt.example"
OTHERS = "https://login.example"
OWN = IssuerRules(OURS, ("chat",), frozenset({"Ed25519", "ES256"}), own=True, skew=0.0)
RULES = Rules(
    hosts=frozenset(),
    routes=(),
    issuers={OURS: OWN, OTHERS: IssuerRules(OTHERS, ("chat",), frozenset({"Ed25519"}))},
)
GOOD: dict[str, Any] = {
    "iss": OURS,
    "aud": "doorward-admin",
    "sub": "ops",
    "role": "operator",
    "iat": NOW - 10.5,
    "exp": NOW + 60.25,
    "jti": "j1",
}


def signed(typ: str | None = "doorward-admin+jwt", algorithm: str = "Ed25519", **more: Any) -> SignedToken:
    claims = {name: value for name, value in {**GOOD, **more}.items() if value is not None}
    return SignedToken(algorithm, "k", typ, claims["iss"], claims, b"", b"")


def judged(**more: Any) -> Administrator | Deny:
    return judge_admin_token(signed(**more), OWN, now=NOW)


def reason(outcome: object) -> Reason:
    assert isinstance(outcome, Deny)
    assert outcome.step is Step.PROVE
    assert "ops" not in outcome.note
    return outcome.reason


def test_the_whole_administrator() -> None:
    assert judged() == Administrator("ops", AdminRole.OPERATOR, "j1", NOW - 10.5, NOW + 60.25)
    assert isinstance(viewer := judged(role="viewer"), Administrator)
    assert viewer.role is AdminRole.VIEWER


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"exp": NOW}, Reason.TOKEN_EXPIRED),
        ({"exp": None}, Reason.TOKEN_CLAIMS),
        ({"iat": None}, Reason.TOKEN_CLAIMS),
        ({"iat": NOW + 31}, Reason.TOKEN_NOT_YET),
        ({"nbf": NOW + 31}, Reason.TOKEN_NOT_YET),
        ({"iat": NOW, "exp": NOW + 86401}, Reason.TOKEN_TOO_LONG_LIVED),
        ({"aud": "chat"}, Reason.TOKEN_AUDIENCE),
        ({"aud": ["doorward-admin"]}, Reason.TOKEN_AUDIENCE),
        ({"aud": ["doorward-admin", "chat"]}, Reason.TOKEN_AUDIENCE),
        ({"aud": None}, Reason.TOKEN_AUDIENCE),
        ({"sub": None}, Reason.TOKEN_CLAIMS),
        ({"sub": ""}, Reason.TOKEN_CLAIMS),
        ({"sub": "a\x1bb"}, Reason.TOKEN_CLAIMS),
        ({"sub": 7}, Reason.TOKEN_CLAIMS),
        ({"jti": None}, Reason.TOKEN_CLAIMS),
        ({"jti": "j" * 256}, Reason.TOKEN_CLAIMS),
        ({"role": None}, Reason.TOKEN_CLAIMS),
        ({"role": "admin"}, Reason.TOKEN_CLAIMS),
        ({"role": ["operator"]}, Reason.TOKEN_CLAIMS),
        ({"role": "Operator"}, Reason.TOKEN_CLAIMS),
        ({"role": {"operator": 1}}, Reason.TOKEN_CLAIMS),
    ],
)
def test_anything_less_proves_nobody(claims: dict[str, Any], expected: Reason) -> None:
    assert reason(judged(**claims)) is expected


def test_a_day_is_the_longest() -> None:
    assert isinstance(judged(iat=NOW, exp=NOW + 86400), Administrator)


@pytest.mark.parametrize(
    "typ", [None, "JWT", "at+jwt", "application/at+jwt", "doorward-assertion+jwt", "admin+jwt", ""]
)
def test_lg_18_only_its_own_kind(typ: str | None) -> None:
    assert reason(admin_issuer(signed(typ), RULES)) is Reason.TOKEN_TYPE


@pytest.mark.parametrize("typ", ["doorward-admin+jwt", "application/doorward-admin+jwt", "DOORWARD-ADMIN+JWT"])
def test_a_media_type_in_any_case(typ: str) -> None:
    assert admin_issuer(signed(typ), RULES) is OWN


def test_only_our_own_and_by_our_algorithms() -> None:
    assert reason(admin_issuer(signed(iss=OTHERS), RULES)) is Reason.TOKEN_ISSUER
    assert reason(admin_issuer(signed(iss="https://nobody.example"), RULES)) is Reason.TOKEN_ISSUER
    assert reason(admin_issuer(signed(algorithm="HS256"), RULES)) is Reason.TOKEN_ALGORITHM


def test_the_door_takes_no_admin_token() -> None:
    outcome = choose_issuer(signed(), RULES)
    assert isinstance(outcome, Deny)
    assert outcome.reason is Reason.TOKEN_TYPE
