"""Whatever is sent for a token: nothing is raised, and nobody becomes a principal without the key's word."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from doorward.core.judging.tokens import choose_issuer, judge_token
from doorward.core.permissions import effective
from doorward.core.tokens import MAX_DEPTH, MAX_TOKEN, decode_segment, encode_segment, parse_object, parse_token
from doorward.values.decision import Deny, Reason, Step
from doorward.values.principal import Principal
from doorward.values.rules import ClaimNames, IssuerRules, Rules
from doorward.values.token import SignedToken
from tests.security.forging import HEADERS, ISSUER, NOW, claims, compact, door, encoded, hs256, segment, token

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
GOOD = token(roles=["member"], scope="a b", sid="s", jti="j")

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
names = st.sampled_from(
    [*claims(), "nbf", "jti", "sid", "scope", "roles", "org", "client_id", "cnf", "nonce", "events", "x"]
)
members = st.sampled_from(["alg", "kid", "typ", "cty", "crit", "jwk", "jku", "x5c", "b64", "zip", "x5t", "enc", "x"])


def sane(outcome: SignedToken | Deny) -> bool:
    """Of a SignedToken everything is what it says; of a refusal the step and reason are step 8's."""
    if isinstance(outcome, Deny):
        assert outcome.step is Step.PROVE
        return outcome.reason in {Reason.TOKEN_MALFORMED, Reason.TOKEN_HEADER}
    json.dumps(outcome.claims, allow_nan=False, ensure_ascii=False).encode()
    return bool(outcome.algorithm and outcome.issuer and outcome.signature) and outcome.signing_input.isascii()


@given(st.text())
def test_any_text(text: str) -> None:
    assert sane(parse_token(text))


@given(st.lists(st.text(ALPHABET + ".=+/ \n", max_size=80), min_size=1, max_size=5).map(".".join))
def test_token_soup(text: str) -> None:
    assert sane(parse_token(text))


@given(st.binary(max_size=200), st.binary(max_size=400), st.binary(max_size=80))
def test_any_bytes_in_good_segments(header: bytes, body: bytes, signature: bytes) -> None:
    assert sane(parse_token(".".join(map(segment, (header, body, signature)))))


@given(documents, documents)
def test_any_json(header: Any, body: Any) -> None:
    assert sane(parse_token(compact(header, body, hs256())))


@given(st.binary(max_size=300))
def test_segments_are_canonical_or_nothing(octets: bytes) -> None:
    assert decode_segment(encode_segment(octets)) == (octets or None)
    text = octets.decode("latin-1")
    decoded = decode_segment(text)
    assert decoded is None or encode_segment(decoded) == text


@given(documents)
def test_an_object_is_what_json_says_it_is(document: Any) -> None:
    """Whatever is accepted is what the standard library reads; what is refused has a reason that we can name."""
    octets = json.dumps(document).encode()
    try:
        found = parse_object(octets, members=256)
    except ValueError:
        return
    assert found == json.loads(octets)
    assert depth(found) <= MAX_DEPTH


def depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


@given(st.integers(0, len(GOOD) - 1), st.sampled_from(ALPHABET + ".= \x00é"))
async def test_one_changed_character_admits_nobody(place: int, other: str) -> None:
    outcome = await door().present(GOOD[:place] + other + GOOD[place + 1 :])
    assert isinstance(outcome, Principal) == (GOOD[place] == other)


@given(st.integers(0, len(GOOD)), st.integers(0, len(GOOD)))
async def test_a_piece_of_a_token_admits_nobody(start: int, end: int) -> None:
    piece = GOOD[start:end]
    assert isinstance(await door().present(piece), Principal) == (piece == GOOD)


@given(st.dictionaries(names, documents, max_size=6), st.binary(min_size=1, max_size=64))
async def test_unsigned_claims_admit_nobody(changes: dict[str, Any], signature: bytes) -> None:
    forged = f"{encoded(HEADERS['HS256'])}.{encoded({**claims(), **changes})}.{segment(signature)}"
    assert isinstance(await door().present(forged), Deny)


@given(st.dictionaries(members, documents, max_size=4))
async def test_any_header_is_judged_in_order(changes: dict[str, Any]) -> None:
    outcome = await door().present(compact({**HEADERS["HS256"], **changes}, claims(), hs256()))
    if isinstance(outcome, Principal):
        assert changes.get("alg", "HS256") == "HS256"
        assert not {"jwk", "jku", "x5u", "x5c", "crit", "b64", "zip", "enc"} & changes.keys()


@given(st.dictionaries(names, documents, max_size=6), st.booleans(), st.floats(NOW - 1e6, NOW + 1e6))
def test_signed_claims_make_only_sane_principals(changes: dict[str, Any], own: bool, now: float) -> None:
    """The issuer itself may write nonsense: then it proves nothing, and nothing is raised."""
    issuer = IssuerRules(ISSUER, ("us",), frozenset({"HS256"}), ClaimNames(tenant="org"), own=own)
    rules = Rules(hosts=frozenset(), routes=(), issuers={ISSUER: issuer}, roles={"member": ("chat:*",)})
    typ = {"alg": "HS256", "typ": "at+jwt"}
    read = parse_token(compact(typ, {**claims(), **changes}, hs256()))
    if isinstance(read, Deny) or isinstance(choose_issuer(read, rules), Deny):
        return
    outcome = judge_token(read, issuer, rules, now=now)
    if isinstance(outcome, Deny):
        assert outcome.step is Step.PROVE
        return
    identity = outcome.identity
    assert identity.issuer == ISSUER
    assert identity.subject
    for text in (
        identity.subject,
        identity.tenant,
        outcome.session,
        outcome.token_id,
        *outcome.roles,
        *outcome.granted,
    ):
        assert text.isprintable()
        assert len(text.encode()) <= 255
    assert outcome.expires_at is not None
    assert now < outcome.expires_at <= now + issuer.max_life + issuer.leeway
    assert not any("*" in permission for permission in outcome.granted)
    assert outcome.permissions == effective(outcome.granted, outcome.roles, rules.roles)


@given(st.integers(MAX_TOKEN - 3, MAX_TOKEN + 3))
def test_the_length_is_judged_first(length: int) -> None:
    outcome = parse_token("\ud800" * length)
    assert isinstance(outcome, Deny)
    assert (outcome.note == "too long") == (length > MAX_TOKEN)
