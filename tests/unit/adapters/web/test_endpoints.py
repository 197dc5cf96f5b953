"""POST /auth/ticket and /auth/renew: what they take, what they refuse, and that a refusal sells nothing."""

import json

import pytest

from doorward.service.outside import Renewed
from doorward.values.ban import Ban
from doorward.values.credential import Kind, Place
from doorward.values.decision import Deny, Found, Reason, Step
from doorward.values.question import AskBan, TakeRate
from tests.unit.adapters.web.asking import BEARER, CODE, HOST, JSON, ORIGIN, OWN, TOKEN, Site

LIVE = ("connection", "c" * 22)


def renewal(**members: str) -> bytes:
    return json.dumps({"connection": "c" * 22, **members}).encode()


# ---- what is sold


async def test_a_token_buys_a_ticket() -> None:
    site = Site()
    answer = await site.buy(JSON, BEARER)
    assert answer.status == 201
    assert answer.json == {"ticket": CODE, "expires_in": 30, "connection": "connection-1"}
    assert answer.one("content-type") == "application/json"
    assert answer.one("cache-control") == "no-store"
    credential, path = site.desk.sold[0]
    assert (credential.kind, credential.place, credential.secret.expose(), path) == (
        Kind.TOKEN,
        Place.HEADER,
        TOKEN,
        None,
    )
    assert site.desk.refused == []


@pytest.mark.parametrize(
    ("text", "path"),
    [("/chat/lobby", "/chat/lobby"), ("/chat/caf%C3%A9", "/chat/café"), ("/", "/"), ("/a/", "/a/")],
)
async def test_a_ticket_is_bound_to_the_path_as_the_handshake_will_show_it(text: str, path: str) -> None:
    site = Site()
    assert (await site.buy(JSON, BEARER, body=json.dumps({"path": text}).encode())).status == 201
    assert site.desk.sold[0][1] == path


async def test_no_body_is_an_empty_one() -> None:
    assert (await Site().buy(JSON, BEARER, body=b"")).status == 201


async def test_a_body_may_come_in_pieces() -> None:
    site = Site()
    answer = await site.ask("POST", "/auth/ticket", JSON, BEARER, body=[b'{"path"', b':"/a', b'"}', b""])
    assert answer.status == 201
    assert site.desk.sold[0][1] == "/a"


@pytest.mark.parametrize("kind", [Kind.TOKEN, Kind.TICKET])
async def test_a_live_connection_is_renewed_from_outside(kind: Kind) -> None:
    site = Site()
    answer = await site.buy(JSON, body=renewal(**{kind.value: "a.fresh.one"}), target="/auth/renew")
    assert answer.status == 200
    assert answer.json == {"expires_at": 1790000600, "renew_by": 1790000540}
    connection, credential = site.desk.renewed[0]
    assert connection == "c" * 22
    assert (credential.kind, credential.place, credential.secret.expose()) == (kind, Place.BODY, "a.fresh.one")


async def test_what_never_falls_due_is_null() -> None:
    site = Site()
    site.desk.renews = Renewed(None, None)
    answer = await site.buy(JSON, body=renewal(token="t"), target="/auth/renew")
    assert answer.json == {"expires_at": None, "renew_by": None}


# ---- OR-13: nothing that another site's page can send without asking makes a ticket


@pytest.mark.parametrize(
    "types",
    [
        (),
        (("content-type", "text/plain"),),
        (("content-type", "application/x-www-form-urlencoded"),),
        (("content-type", "multipart/form-data; boundary=x"),),
        (("content-type", "text/plain; application/json"),),
        (("content-type", "application/json-seq"),),
        (("content-type", "application/json, text/plain"),),
        (JSON, ("content-type", "text/plain")),
        (JSON, ("content-encoding", "gzip")),
    ],
)
@pytest.mark.parametrize("target", ["/auth/ticket", "/auth/renew"])
async def test_or_13_only_json_is_taken(types: tuple[tuple[str, str], ...], target: str) -> None:
    site = Site()
    headers = (*types, BEARER) if target == "/auth/ticket" else types
    answer = await site.buy(*headers, body=renewal(token="t") if target == "/auth/renew" else b"{}", target=target)
    assert (answer.status, answer.json["reason"]) == (415, "malformed")
    assert (site.desk.sold, site.desk.renewed) == ([], [])
    assert [deny.reason for deny in site.desk.refused] == [Reason.MEDIA_TYPE]


@pytest.mark.parametrize("value", ["application/json", "application/json; charset=utf-8", "Application/JSON ;x=y"])
async def test_json_is_json_with_parameters_too(value: str) -> None:
    assert (await Site().buy(("content-type", value), BEARER)).status == 201


@pytest.mark.parametrize(
    "whence",
    [
        (("origin", "https://evil.example"),),
        (("origin", "null"),),
        (("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")),
        (("sec-fetch-site", "cross-site"),),
        (("sec-fetch-site", "same-site"),),
        (("sec-fetch-site", "none"),),
        (("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")),
    ],
)
@pytest.mark.parametrize("target", ["/auth/ticket", "/auth/renew"])
async def test_or_13_another_site_gets_403(whence: tuple[tuple[str, str], ...], target: str) -> None:
    site = Site()
    answer = await site.buy(JSON, BEARER, *whence, target=target)
    assert (answer.status, answer.json["reason"]) == (403, "forbidden")
    assert (site.desk.sold, site.desk.renewed) == ([], [])


@pytest.mark.parametrize(
    "whence",
    [
        (),
        (("sec-fetch-site", "same-origin"),),
        (("origin", OWN),),
        (("origin", ORIGIN), ("sec-fetch-site", "cross-site")),
    ],
)
async def test_or_13_our_own_and_listed_pages_may_and_so_may_no_browser(whence: tuple[tuple[str, str], ...]) -> None:
    assert (await Site().buy(JSON, BEARER, *whence)).status == 201


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE", "BREW"])
@pytest.mark.parametrize("target", ["/auth/ticket", "/auth/renew"])
async def test_or_13_any_other_method_gets_405(method: str, target: str) -> None:
    site = Site()
    answer = await site.ask(method, target, JSON, BEARER, body=b"{}")
    assert (answer.status, answer.one("allow")) == (405, "POST, OPTIONS")
    assert site.desk.sold == []


# ---- TS-01, TS-13: the credential


async def test_ts_01_without_a_credential_401_with_a_challenge() -> None:
    site = Site()
    answer = await site.buy(JSON)
    assert (answer.status, answer.json["reason"], answer.one("www-authenticate")) == (401, "unauthenticated", "Bearer")
    assert site.desk.sold == []
    assert [deny.reason for deny in site.desk.refused] == [Reason.CREDENTIAL_MISSING]


@pytest.mark.parametrize("reason", [Reason.TOKEN_EXPIRED, Reason.TOKEN_AUDIENCE, Reason.TOKEN_SIGNATURE])
async def test_ts_01_every_bad_token_gets_the_same_403(reason: Reason) -> None:
    site = Site()
    site.desk.sells = Deny(reason, Step.PROVE, note="a note that stays here")
    answer = await site.buy(JSON, BEARER)
    assert answer.status == 403
    assert answer.json == {"type": "about:blank", "title": "Forbidden", "status": 403, "reason": "refused"}
    assert answer.one("www-authenticate") is None
    assert site.desk.refused == [], "the desk has audited its own"


@pytest.mark.parametrize("cookie", ["__Host-doorward=abc", "token=abc"])
async def test_ts_01_a_cookie_is_no_credential_here(cookie: str) -> None:
    assert (await Site().buy(JSON, ("cookie", cookie))).status == 401


async def test_ts_01_a_ticket_buys_no_ticket() -> None:
    """By header it is a token that is none, and the desk's to refuse; by query it stands in the wrong place."""
    site = Site()
    assert (await site.buy(JSON, target=f"/auth/ticket?ticket={CODE}")).status == 400
    assert site.desk.sold == []
    assert [deny.reason for deny in site.desk.refused] == [Reason.CREDENTIAL_MISPLACED]


@pytest.mark.parametrize("name", ["token", "access_token", "%74oken", "access%5Ftoken"])
@pytest.mark.parametrize("target", ["/auth/ticket", "/auth/renew"])
async def test_ts_13_a_token_in_the_url_is_told_apart(name: str, target: str) -> None:
    site = Site()
    answer = await site.buy(JSON, target=f"{target}?{name}=eyJhbGciOiJub25lIn0.e30.x")
    assert (answer.status, answer.json["reason"]) == (400, "malformed")
    assert [deny.reason for deny in site.desk.refused] == [Reason.TOKEN_IN_URL]
    assert b"eyJ" not in answer.body


@pytest.mark.parametrize(
    ("headers", "target", "reason"),
    [
        ((("authorization", "Basic YTpi"),), "/auth/ticket", Reason.CREDENTIAL_MISPLACED),
        ((("authorization", "Digest x"),), "/auth/ticket", Reason.CREDENTIAL_MISPLACED),
        ((BEARER,), "/auth/ticket?token=x", Reason.CREDENTIAL_REPEATED),
        ((("authorization", "Bearer a,b"),), "/auth/ticket", Reason.CREDENTIAL_REPEATED),
        ((("sec-websocket-protocol", "doorward.token.YQ"),), "/auth/ticket", Reason.CREDENTIAL_MISPLACED),
        ((BEARER,), "/auth/renew", Reason.CREDENTIAL_REPEATED),
    ],
)
async def test_a_credential_elsewhere_or_twice_is_400(
    headers: tuple[tuple[str, str], ...], target: str, reason: Reason
) -> None:
    site = Site()
    answer = await site.buy(JSON, *headers, target=target, body=renewal(token="t") if "renew" in target else b"{}")
    assert answer.status == 400
    assert [deny.reason for deny in site.desk.refused] == [reason]
    assert (site.desk.sold, site.desk.renewed) == ([], [])


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (renewal(), 401),
        (renewal(token="t", ticket="u"), 400),
        (b'{"token":"t"}', 400),
        (b'{"connection":"","token":"t"}', 400),
        (b'{"connection":"no such id!","token":"t"}', 400),
        (json.dumps({"connection": "c" * 21, "token": "t"}).encode(), 400),
        (json.dumps({"connection": CODE, "token": "t"}).encode(), 400),
        (renewal(password="p"), 400),
        (b"", 400),
    ],
)
async def test_a_renewal_names_its_connection_and_shows_one_credential(body: bytes, status: int) -> None:
    site = Site()
    answer = await site.buy(JSON, body=body, target="/auth/renew")
    assert answer.status == status
    assert site.desk.renewed == []


async def test_a_renewal_by_header_alone_is_misplaced() -> None:
    site = Site()
    assert (await site.buy(JSON, BEARER, body=renewal(), target="/auth/renew")).status == 400
    assert [deny.reason for deny in site.desk.refused] == [Reason.CREDENTIAL_MISPLACED]


async def test_what_no_codec_takes_is_a_bad_credential_and_no_fault() -> None:
    site = Site()
    answer = await site.buy(JSON, body=renewal(ticket="\ud800"), target="/auth/renew")
    assert answer.status == 200  # the fake renews anything
    assert site.desk.renewed[0][1].secret.expose() == ""


@pytest.mark.parametrize("reason", [Reason.CONNECTION_UNKNOWN, Reason.TOKEN_EXPIRED, Reason.IDENTITY_CHANGED])
async def test_an_unknown_connection_is_refused_like_a_bad_credential(reason: Reason) -> None:
    site = Site()
    site.desk.renews = Deny(reason, Step.PROVE)
    answer = await site.buy(JSON, body=renewal(token="t"), target="/auth/renew")
    assert (answer.status, answer.json["reason"]) == (403, "refused")


# ---- bodies


@pytest.mark.parametrize(
    "body",
    [
        b"null",
        b"[]",
        b'"x"',
        b"0",
        b"{",
        b"{}{}",
        b"{'path':'/a'}",
        b'{"path":"/a","path":"/b"}',
        b'{"path":"/a","Path":"/b"}',
        b'{"path":"/a","admin":true}',
        b'{"path":1}',
        b'{"path":null}',
        b'{"path":["/a"]}',
        b'{"path":NaN}',
        b'{"path":Infinity}',
        b'{"path":"\xff"}',
        b"\xef\xbb\xbf{}",
        '{"path":"/a"}'.encode("utf-16"),
        b'{"path":"' + b"[" * 100 + b'"}',
        b"[" * 16000,
        b'{"path":' + b"[" * 16000,
        b'{"path":"a"}',
        b'{"path":""}',
        b'{"path":"/a?b=c"}',
        b'{"path":"/a#b"}',
        b'{"path":"/../a"}',
        b'{"path":"/%2e%2e/a"}',
        b'{"path":"/a%2Fb"}',
        b'{"path":"//a"}',
        b'{"path":"/a\\u0000"}',
        b'{"path":"/\\ud800"}',
        b'{"path":"https://x/a"}',
    ],
)
async def test_a_body_is_a_small_object_of_known_text_or_400(body: bytes) -> None:
    site = Site()
    answer = await site.buy(JSON, BEARER, body=body)
    assert (answer.status, answer.json["reason"]) == (400, "malformed")
    assert site.desk.sold == []
    assert [deny.reason for deny in site.desk.refused] == [Reason.BODY_MALFORMED]
    assert site.faults == []


@pytest.mark.parametrize("declared", ["16385", "999999999", "9" * 400])
async def test_a_body_that_says_it_is_too_large_is_not_read(declared: str) -> None:
    answer = await Site().ask("POST", "/auth/ticket", JSON, BEARER, ("content-length", declared), body=[])
    assert (answer.status, answer.json["reason"]) == (413, "malformed")


async def test_a_body_that_is_too_large_without_saying_so_is_not_read_on() -> None:
    site = Site()
    pieces = [b" " * 8192] * 1000
    assert (await site.ask("POST", "/auth/ticket", JSON, BEARER, body=pieces)).status == 413
    assert site.desk.sold == []


async def test_the_largest_body_is_taken() -> None:
    body = b"{}" + b" " * (16384 - 2)
    assert (await Site().buy(JSON, BEARER, ("content-length", "16384"), body=body)).status == 201


@pytest.mark.parametrize("declared", ["-1", "+2", "2, 2", "0x10", "²"])
async def test_a_length_is_a_number(declared: str) -> None:
    answer = await Site().buy(JSON, BEARER, ("content-length", declared.encode("utf-8").decode("latin-1")))
    assert answer.status == 400


async def test_who_hangs_up_in_the_body_gets_and_costs_nothing() -> None:
    site = Site()
    with pytest.raises(AssertionError, match="nothing was answered"):
        await site.ask("POST", "/auth/ticket", JSON, BEARER, ("content-length", "10"), body=[])
    assert (site.desk.sold, site.faults) == ([], [])


# ---- TS-08 and the rest of step 4


async def test_ts_08_too_many_get_429_and_the_time_to_wait() -> None:
    site = Site()
    site.desk.sells = Deny(Reason.IDENTITY_RATE, Step.PERMIT, retry_after=2.2)
    answer = await site.buy(JSON, BEARER, ("origin", ORIGIN))
    assert (answer.status, answer.one("retry-after"), answer.json["retry_after"]) == (429, "3", 3)
    assert answer.json["reason"] == "rate_limited"
    assert answer.one("access-control-allow-origin") == ORIGIN, "the page must be able to read it"


async def test_an_address_over_its_rate_is_not_even_read() -> None:
    site = Site()
    site.desk.answers = {TakeRate: Found(0.5)}
    answer = await site.buy(JSON, BEARER)
    assert (answer.status, answer.one("retry-after")) == (429, "1")
    assert site.desk.sold == []


async def test_a_banned_address_gets_403() -> None:
    site = Site()
    ban = Ban(network=None, subject=None, issuer=None, tenant=None, cause="", made_at=0, expires_at=None)
    site.desk.answers = {AskBan: Found(ban)}
    assert (await site.buy(JSON, BEARER)).json["reason"] == "forbidden"


async def test_a_store_that_is_away_is_503_and_says_when_to_come_back() -> None:
    site = Site()
    site.desk.sells = Deny(Reason.STORE_UNAVAILABLE, Step.PROVE)
    answer = await site.buy(JSON, BEARER)
    assert (answer.status, answer.json["reason"], answer.one("retry-after")) == (503, "unavailable", "5")


@pytest.mark.parametrize(
    ("host", "status"), [("evil.example", 421), (None, 400), (f"{HOST}@evil.example", 400), (HOST.upper(), 201)]
)
async def test_the_host_must_be_ours(host: str | None, status: int) -> None:
    assert (await Site().ask("POST", "/auth/ticket", JSON, BEARER, body=b"{}", host=host)).status == status


async def test_plain_http_from_elsewhere_is_403() -> None:
    answer = await Site().ask("POST", "/auth/ticket", JSON, BEARER, body=b"{}", client=("203.0.113.9", 1))
    assert answer.status == 403
