"""What a verified token proves, claim by claim. SECURITY B5's rows run through step 8 in tests/security."""

from dataclasses import replace
from typing import Any

import pytest

from doorward.core.judging.tokens import choose_issuer, judge_token
from doorward.values.credential import Kind
from doorward.values.decision import Deny, Reason, Step
from doorward.values.principal import Identity, Principal
from doorward.values.rules import ClaimNames, IssuerRules, PathPattern, Route, Rules
from doorward.values.token import SignedToken

NOW = 1_790_000_000.0
ISSUER = "https://issuer.example"
GOOD: dict[str, Any] = {"iss": ISSUER, "aud": "us", "sub": "alice", "exp": int(NOW) + 60, "iat": int(NOW)}
RULES = IssuerRules(ISSUER, ("us", "we"), frozenset({"EdDSA", "ES256"}))


def signed(typ: str | None = "at+jwt", algorithm: str = "Ed25519", **more: Any) -> SignedToken:
    return SignedToken(algorithm, "k", typ, ISSUER, {**GOOD, **more}, b"", b"")


def claim(**named: Any) -> dict[str, Any]:
    """Claims whose names are no Python names, or not known beforehand."""
    return named


def rules(issuer: IssuerRules = RULES, *routes: Route, **roles: tuple[str, ...]) -> Rules:
    return Rules(hosts=frozenset(), routes=routes, issuers={issuer.issuer: issuer}, roles=roles)


def judged(issuer: IssuerRules = RULES, *, now: float = NOW, **more: Any) -> Principal | Deny:
    return judge_token(signed(**more), issuer, rules(issuer), now=now)


def reason(outcome: object) -> Reason:
    assert isinstance(outcome, Deny)
    assert outcome.step is Step.PROVE
    assert "alice" not in outcome.note
    return outcome.reason


def principal(issuer: IssuerRules = RULES, *, now: float = NOW, **more: Any) -> Principal:
    outcome = judged(issuer, now=now, **more)
    assert isinstance(outcome, Principal), outcome
    return outcome


def test_the_whole_principal() -> None:
    outcome = judge_token(
        signed(jti="t", sid="s", org="acme", roles=["member", "ghost"], scope="a b * c:* a"),
        issuer := replace(RULES, claims=ClaimNames(tenant="org")),
        rules(issuer, member=("chat:*", "x")),
        now=NOW,
    )
    assert outcome == Principal(
        identity=Identity(ISSUER, "alice", "acme"),
        kind=Kind.TOKEN,
        issued_at=NOW,
        expires_at=NOW + 60,
        session="s",
        token_id="t",
        roles=("member", "ghost"),
        granted=("a", "b"),
        permissions=frozenset({"a", "b", "chat:*", "x"}),
    )


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", None, "JWT", "application/jwt"])
def test_types_that_other_issuers_may_use(typ: str | None) -> None:
    assert choose_issuer(signed(typ), rules()) is RULES


@pytest.mark.parametrize("typ", [None, "JWT", "application/jwt", "logout+jwt", "doorward-assertion+jwt"])
def test_our_own_say_at_jwt(typ: str | None) -> None:
    own = replace(RULES, own=True)
    assert reason(choose_issuer(signed(typ), rules(own))) is Reason.TOKEN_TYPE
    assert choose_issuer(signed("Application/AT+jwt"), rules(own)) is own


def test_an_issuer_is_exactly_one_of_ours() -> None:
    for name in (ISSUER + "/", ISSUER.upper(), ISSUER[:-1], ""):
        assert reason(choose_issuer(replace(signed(), issuer=name), rules())) is Reason.TOKEN_ISSUER


@pytest.mark.parametrize("algorithm", ["HS256", "ES384", "es256", "ED25519", "RS256", "Ed448"])
def test_an_algorithm_is_one_of_the_issuers(algorithm: str) -> None:
    assert reason(choose_issuer(signed(algorithm=algorithm), rules())) is Reason.TOKEN_ALGORITHM


def test_an_empty_list_of_algorithms_allows_none() -> None:
    empty = replace(RULES, algorithms=frozenset())
    assert reason(choose_issuer(signed(), rules(empty))) is Reason.TOKEN_ALGORITHM


@pytest.mark.parametrize("name", ["events", "nonce", "at_hash", "c_hash", "htm", "htu"])
@pytest.mark.parametrize("value", [None, "", {}, 1])
def test_other_kinds_of_token_carry_other_claims(name: str, value: object) -> None:
    assert reason(choose_issuer(signed(**claim(**{name: value})), rules())) is Reason.TOKEN_TYPE


def test_times() -> None:
    assert principal(now=NOW + 59.999).expires_at == NOW + 60
    assert reason(judged(now=NOW + 60)) is Reason.TOKEN_EXPIRED
    assert reason(judged(nbf=int(NOW) + 31)) is Reason.TOKEN_NOT_YET
    assert reason(judged(iat=int(NOW) + 31)) is Reason.TOKEN_NOT_YET
    principal(nbf=int(NOW) + 30, iat=int(NOW) + 30)
    brief = replace(RULES, max_life=60.0)
    principal(brief)
    assert reason(judged(brief, exp=int(NOW) + 61)) is Reason.TOKEN_TOO_LONG_LIVED
    assert reason(judged(brief, iat=None, exp=int(NOW) + 61)) is Reason.TOKEN_TOO_LONG_LIVED
    principal(brief, iat=None)


def test_only_our_own_have_fractions() -> None:
    own = replace(RULES, own=True)
    outcome = principal(own, exp=NOW + 0.5, iat=NOW - 0.25, nbf=NOW - 0.25)
    assert (outcome.issued_at, outcome.expires_at) == (NOW - 0.25, NOW + 0.5)
    for name in ("exp", "iat", "nbf"):
        assert reason(judged(**claim(**{name: NOW + 0.5}))) is Reason.TOKEN_CLAIMS
        for strange in (float("inf"), float("nan"), True, "1"):
            assert reason(judged(own, **claim(**{name: strange}))) is Reason.TOKEN_CLAIMS


def test_without_iat_it_is_of_no_time() -> None:
    assert principal(iat=None).issued_at is None


@pytest.mark.parametrize("aud", ["we", ["x", "us"]])
def test_any_of_our_audiences(aud: object) -> None:
    principal(aud=aud)


def test_no_audience_of_ours_admits_nobody() -> None:
    nobody = replace(RULES, audiences=())
    for aud in ("", [], [""], "us"):
        assert reason(judged(nobody, aud=aud)) is Reason.TOKEN_AUDIENCE


def test_claim_names_descend_unless_they_are_literal() -> None:
    names = ClaimNames(roles="realm_access.roles", permissions="https://x.example/perms", tenant="a.b")
    issuer = replace(RULES, claims=names)
    outcome = principal(
        issuer, **claim(realm_access={"roles": ["r"]}, a={"b": "t"}, **{"https://x.example/perms": ["p"]})
    )
    assert (outcome.roles, outcome.granted, outcome.identity.tenant) == (("r",), ("p",), "t")
    outcome = principal(issuer, **claim(realm_access={"roles": ["r"]}, **{"realm_access.roles": ["literal"]}))
    assert outcome.roles == ("literal",)
    odd: tuple[object, ...] = ("b", ["b"], {"b": None}, {})
    for a in odd:
        assert principal(issuer, a=a).identity.tenant == ""


def test_names_that_an_issuer_has_not() -> None:
    issuer = replace(RULES, claims=ClaimNames(roles="", permissions="", tenant="", session=""))
    outcome = principal(issuer, **claim(roles=["r"], scope="p", sid="s", **{"": "x"}))
    assert (outcome.roles, outcome.granted, outcome.session, outcome.identity.tenant) == ((), (), "", "")


def test_lists_and_strings() -> None:
    assert principal(roles="a  b a").roles == ("a", "b")
    assert principal(roles=["a b", "", "a b"]).roles == ("a b",)
    assert principal(roles=None, scope="").granted == ()
    assert principal(scope=["p", "q:*", "*"]).granted == ("p",)
    assert reason(judged(roles=[f"r{n}" for n in range(257)])) is Reason.TOKEN_CLAIMS


def test_only_required_claims_are_kept() -> None:
    pattern = PathPattern("/", (), None)
    routes = (
        Route(pattern, None, require=(("org", "{org}"), ("a.b", "x"))),
        Route(pattern, None, require=(("no", "x"),)),
    )
    outcome = judge_token(signed(org=7, a={"b": ["x"]}, other=1), RULES, rules(RULES, *routes), now=NOW)
    assert isinstance(outcome, Principal)
    assert outcome.claims == {"org": 7, "a.b": ["x"]}


def test_a_bound_token_needs_its_proof() -> None:
    for cnf in (None, {}, {"jkt": "x"}, {"x5t#S256": "x"}):
        assert reason(judged(cnf=cnf)) is Reason.TOKEN_CLAIMS


def test_notes_name_the_claim_and_do_not_show_it() -> None:
    outcome = judged(sid="eve\nalice")
    assert isinstance(outcome, Deny)
    assert outcome.note.startswith("sid is not")
    assert "eve" not in outcome.note
