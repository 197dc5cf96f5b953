"""SECURITY B5, claims: JT-32 to -41, -44, -45, -48. A good signature proves that the issuer said it, and no more."""

from typing import Any

import pytest

from doorward.core.endings import ENDINGS
from doorward.values.decision import Deny, Reason
from doorward.values.principal import Identity, Principal
from doorward.values.revocation import Effect, Revocation, Target, TargetKind
from doorward.values.rules import ClaimNames
from tests.security.forging import (
    HEADERS,
    ISSUER,
    LEEWAY,
    NOW,
    SIGNERS,
    Door,
    claims,
    compact,
    door,
    encoded,
    es256,
    hs256,
    segment,
    token,
)

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


async def reason(text: str, gate: Door | None = None, *, now: float = NOW) -> Reason:
    outcome = await (gate or door()).present(text, now=now)
    assert isinstance(outcome, Deny)
    return outcome.reason


async def admitted(text: str, gate: Door | None = None, *, now: float = NOW) -> Principal:
    outcome = await (gate or door()).present(text, now=now)
    assert isinstance(outcome, Principal), outcome
    return outcome


def raw(exp: str) -> str:
    """A token whose exp is written exactly so."""
    body = f'{{"iss":"{ISSUER}","aud":"us","sub":"alice","iat":{int(NOW)},"exp":{exp}}}'
    return compact(HEADERS["HS256"], body, hs256())


WRONG_EXP = [
    '"9999999999"', "9999999999.5", "1e400", "NaN", "Infinity", "-Infinity", "true", "null", "[]", "{}", "-1", "0",
    "1790000300.0", "1.7900003e9", "1" + "0" * 400, "-" + "9" * 400, "9223372036854775807", '"2030-01-01T00:00:00Z"',
]  # fmt: skip


@pytest.mark.parametrize("exp", WRONG_EXP)
async def test_jt_32_exp(exp: str) -> None:
    assert await reason(raw(exp)) in {
        Reason.TOKEN_MALFORMED,
        Reason.TOKEN_CLAIMS,
        Reason.TOKEN_EXPIRED,
        Reason.TOKEN_TOO_LONG_LIVED,
    }


async def test_jt_32_exp_missing() -> None:
    assert await reason(token(exp=None)) is Reason.TOKEN_CLAIMS


async def test_jt_33_exp_is_exact() -> None:
    """PRODUCT section 7: leeway is for nbf and iat, so the catalogue's positive row does not hold here."""
    text = token(exp=int(NOW) + 10)
    assert (await admitted(text, now=NOW + 9.999)).expires_at == NOW + 10
    for late in (0.0, 0.001, LEEWAY - 1, LEEWAY + 1):
        assert await reason(text, now=NOW + 10 + late) is Reason.TOKEN_EXPIRED


async def test_jt_34_not_yet() -> None:
    assert await reason(token(nbf=int(NOW) + 31)) is Reason.TOKEN_NOT_YET
    assert await reason(token(iat=int(NOW) + 31)) is Reason.TOKEN_NOT_YET
    for wrong in ("1790000000", True, [int(NOW)], 1790000000.5):
        assert await reason(token(nbf=wrong)) is Reason.TOKEN_CLAIMS
        assert await reason(token(iat=wrong)) is Reason.TOKEN_CLAIMS
    await admitted(token(nbf=int(NOW) + 30, iat=int(NOW) + 30))
    assert (await admitted(token(iat=None))).issued_at is None


async def test_jt_35_lives_too_long() -> None:
    assert await reason(token(exp=int(NOW) + 86401)) is Reason.TOKEN_TOO_LONG_LIVED
    assert await reason(token(iat=int(NOW) - 86400, exp=int(NOW) + 1)) is Reason.TOKEN_TOO_LONG_LIVED
    assert await reason(token(iat=None, exp=int(NOW) + 86401)) is Reason.TOKEN_TOO_LONG_LIVED
    await admitted(token(exp=int(NOW) + 86400))


@pytest.mark.parametrize(
    "iss",
    [
        "https://issuer.example/",
        "https://issuer.example.evil",
        "https://issuer",
        "HTTPS://ISSUER.EXAMPLE",
        "https://issuer.example ",
        None,
        "",
        ["https://issuer.example"],
        {"https://issuer.example": 1},
        1,
        "https://issuer.example/" + "x" * 600,
    ],
)
async def test_jt_36_and_37_issuer(iss: object) -> None:
    gate = door()
    assert await reason(token(iss=iss), gate) in {Reason.TOKEN_ISSUER, Reason.TOKEN_MALFORMED}
    assert gate.asked == 0


WRONG_AUDIENCES = [
    None, "", "other", ["other"], [], {"us": 1}, "us ", " us", "US", [["us"]], ["us", ["us"]], ["us", 1], "usx", "u", 1,
    True, "us other", "us,other",
]  # fmt: skip


@pytest.mark.parametrize("aud", WRONG_AUDIENCES)
async def test_jt_38_audience(aud: object) -> None:
    assert await reason(token(aud=aud)) is Reason.TOKEN_AUDIENCE


@pytest.mark.parametrize("aud", ["us", ["us"], ["other", "us"]])
async def test_jt_38_our_audience(aud: object) -> None:
    await admitted(token(aud=aud))


OTHER_TYPES = [
    "id+jwt", "logout+jwt", "secevent+jwt", "dpop+jwt", "doorward-assertion+jwt", "application/logout+jwt", "JWS",
    "JOSE", "refresh+jwt", "rt+jwt", "token-introspection+jwt", "vc+sd-jwt", "oauth-authz-req+jwt", "jwt ",
    "at+jwt;x=1",
]  # fmt: skip


@pytest.mark.parametrize("typ", OTHER_TYPES)
@pytest.mark.parametrize("own", [False, True])
async def test_jt_39_and_40_other_types(typ: str, own: bool) -> None:
    gate = door(own=own)
    assert await reason(token(header={"typ": typ}), gate) is Reason.TOKEN_TYPE
    assert gate.asked == 0


@pytest.mark.parametrize("typ", ["", 1, None, ["at+jwt"], "x" * 65, "ät+jwt"])
async def test_jt_39_typ_is_a_string(typ: object) -> None:
    assert await reason(token(header={"typ": typ})) is Reason.TOKEN_HEADER


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+JWT"])
async def test_jt_39_access_tokens(typ: str) -> None:
    await admitted(token(header={"typ": typ}), door(own=True))
    await admitted(token(header={"typ": typ}))


async def test_jt_39_own_tokens_must_say_it() -> None:
    assert await reason(token(header={"typ": "JWT"}), door(own=True)) is Reason.TOKEN_TYPE
    bare = compact({"alg": "HS256"}, claims(), hs256())
    assert await reason(bare, door(own=True)) is Reason.TOKEN_TYPE
    await admitted(bare)


@pytest.mark.parametrize(
    "more",
    [
        {"nonce": "n"},
        {"at_hash": "h"},
        {"c_hash": "h"},
        {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}},
        {"htm": "GET"},
        {"htu": "https://us/"},
        {"typ": "ID"},
        {"typ": "Refresh"},
        {"typ": "Offline"},
        {"token_use": "id"},
        {"token_type": "refresh"},
        {"type": "refresh"},
    ],
)
async def test_jt_40_other_kinds_of_token(more: dict[str, Any]) -> None:
    gate = door()
    assert await reason(token(**more), gate) is Reason.TOKEN_TYPE
    assert gate.asked == 0


@pytest.mark.parametrize(
    "more", [{"typ": "Bearer"}, {"token_use": "access"}, {"token_type": "Bearer"}, {"type": "access"}]
)
async def test_jt_40_access_tokens_that_say_so(more: dict[str, Any]) -> None:
    await admitted(token(**more))


async def test_pop_02_a_bound_token_is_no_bearer_token() -> None:
    assert await reason(token(cnf={"jkt": "x"})) is Reason.TOKEN_CLAIMS


UNFIT: list[Any] = [
    "", 1, True, ["alice"], {"x": 1}, "x" * 256, "é" * 128, "a\nb", "admin\x00", "a\tb", "a\u202eb", "a\u2066b",
    "a\u200bb", "\ufeffalice", "a\u2028b", "a\x7fb", "a\x9bb", "a\u00adb",
]  # fmt: skip


@pytest.mark.parametrize("sub", [None, *UNFIT])
async def test_jt_41_subject(sub: object) -> None:
    assert await reason(token(sub=sub)) is Reason.TOKEN_CLAIMS


async def test_jt_41_a_subject_of_10_kib() -> None:
    assert await reason(token(sub="x" * 10_240)) is Reason.TOKEN_MALFORMED


@pytest.mark.parametrize("name", ["jti", "sid", "client_id", "org"])
@pytest.mark.parametrize("value", UNFIT)
async def test_jt_41_other_names(name: str, value: Any) -> None:
    gate = door(claims=ClaimNames(tenant="org"))
    assert await reason(token(**{name: value}), gate) is Reason.TOKEN_CLAIMS


async def test_jt_41_a_look_alike_is_somebody_else() -> None:
    cyrillic = (await admitted(token(sub="аdmin"))).identity  # noqa: RUF001
    assert cyrillic != Identity(ISSUER, "admin")
    assert (await admitted(token(sub="x" * 255))).identity.subject == "x" * 255


async def test_jt_44_a_revoked_token_in_another_coat() -> None:
    """(r, n - s) is as good a signature as (r, s), so nothing may hang on a token's bytes."""
    text = token("ES256", jti="t-1")
    head, body, tail = text.split(".")
    signature = es256(f"{head}.{body}".encode())
    flipped = signature[:32] + (P256_ORDER - int.from_bytes(signature[32:], "big")).to_bytes(32, "big")
    spaced = compact(HEADERS["ES256"], f" {claims(jti='t-1')} ".replace("'", '"'), es256)
    coats = [text, f"{head}.{body}.{segment(signature)}", f"{head}.{body}.{segment(flipped)}", spaced]
    assert len({*coats, f"{head}.{body}.{tail}"}) == 4
    gate = door("ES256")
    for coat in coats:
        await admitted(coat, gate)
    target = Target(TargetKind.TOKEN, "t-1", issuer=ISSUER)
    gate.revocations = (Revocation(target, NOW, Effect.CLOSE, "test", NOW + 3600),)
    for coat in coats:
        assert await reason(coat, gate) is Reason.REVOKED_BEFORE


def test_jt_45_they_look_alike() -> None:
    """One ending for all that is refused of a token, the status and close code with it."""
    refusals = [reason for reason in Reason if reason.name.startswith("TOKEN_") and reason is not Reason.TOKEN_IN_URL]
    assert len(refusals) == 12
    assert len({ENDINGS[reason] for reason in (*refusals, Reason.REVOKED_BEFORE, Reason.TICKET_SPENT)}) == 1


async def test_jt_48_an_unsigned_name_is_nobodys() -> None:
    """Of a token that is not verified nothing but its issuer's key is asked for: the Door would fail at any other."""
    for _ in range(100):
        gate = door()
        head, body, _ = token(sub="victim").split(".")
        assert await reason(f"{head}.{body}.{encoded('x' * 32)}", gate) is Reason.TOKEN_SIGNATURE
        assert gate.asked == 1


@pytest.mark.parametrize("algorithm", SIGNERS)
async def test_what_a_principal_is_made_of(algorithm: str) -> None:
    text = token(
        algorithm,
        jti="t-1",
        sid="s-1",
        roles=["member", "member", "Team Lead"],
        scope="chat:join chat:* * chat:send",
        nickname="al",
    )
    principal = await admitted(text, door(algorithm))
    assert principal.identity == Identity(ISSUER, "alice", "")
    assert (principal.issued_at, principal.expires_at) == (NOW, NOW + 300)
    assert (principal.session, principal.token_id) == ("s-1", "t-1")
    assert principal.roles == ("member", "Team Lead")
    assert principal.granted == ("chat:join", "chat:send"), "wildcards come from [roles] only"
    assert principal.permissions == {"chat:join", "chat:send"}
    assert principal.claims == {}


@pytest.mark.parametrize("name", ["roles", "scope"])
@pytest.mark.parametrize(
    "value", [1, True, {"member": True}, [["member"]], ["member", 1], ["a\nb"], "a\tb", ["x" * 256]]
)
async def test_oa_28_lists_of_another_shape(name: str, value: Any) -> None:
    assert await reason(token(**{name: value})) is Reason.TOKEN_CLAIMS
