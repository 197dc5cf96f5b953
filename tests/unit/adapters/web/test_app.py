"""The application around the endpoints: whose path it is, who may read, headers, health, pages, our own faults."""

import pytest

from doorward.adapters.web import Page
from doorward.values.decision import Deny, Reason, Step
from tests.unit.adapters.web.asking import BEARER, HOST, JSON, ORIGIN, OWN, Site, ask, scope_of

ASKS = ("access-control-request-method", "POST")
ELSEWHERE = ["https://evil.example", "null", "https://app.example.evil.example", "https://APP.example", ORIGIN + "/"]
SHARING = ["access-control-allow-origin", "access-control-allow-credentials", "access-control-allow-headers"]

# ---- OR-16: CORS


@pytest.mark.parametrize("target", ["/auth/ticket", "/auth/renew"])
async def test_or_16_a_preflight_of_a_listed_origin_is_answered_exactly(target: str) -> None:
    site = Site()
    answer = await site.ask("OPTIONS", target, ("origin", ORIGIN), ASKS, ("access-control-request-headers", "x-any"))
    assert (answer.status, answer.body) == (204, b"")
    assert answer.one("access-control-allow-origin") == ORIGIN
    assert answer.one("access-control-allow-credentials") == "true"
    assert answer.one("access-control-allow-methods") == "POST"
    assert answer.one("access-control-allow-headers") == "authorization, content-type"
    assert answer.one("vary") == "Origin"
    assert site.desk.refused == []


@pytest.mark.parametrize("origin", ELSEWHERE)
async def test_or_16_a_preflight_from_elsewhere_learns_nothing(origin: str) -> None:
    answer = await Site().ask("OPTIONS", "/auth/ticket", ("origin", origin), ASKS)
    assert answer.status == 403
    assert [name for name in SHARING if answer.one(name) is not None] == []
    assert answer.one("vary") == "Origin"


@pytest.mark.parametrize("origin", ELSEWHERE)
async def test_or_16_an_answer_is_shared_with_no_other_origin(origin: str) -> None:
    answer = await Site().buy(JSON, BEARER, ("origin", origin))
    assert answer.status == 403
    assert [name for name in SHARING if answer.one(name) is not None] == []
    assert answer.one("vary") == "Origin"


@pytest.mark.parametrize(
    ("headers", "status"), [((JSON, BEARER), 201), ((JSON,), 401), ((BEARER,), 415)], ids=["201", "401", "415"]
)
async def test_or_16_every_answer_is_shared_with_a_listed_origin(
    headers: tuple[tuple[str, str], ...], status: int
) -> None:
    answer = await Site().buy(*headers, ("origin", ORIGIN))
    assert (answer.status, answer.one("access-control-allow-origin"), answer.one("vary")) == (status, ORIGIN, "Origin")
    assert answer.one("access-control-allow-credentials") == "true"


async def test_or_16_no_origin_no_sharing_and_still_vary() -> None:
    answer = await Site().buy(JSON, BEARER)
    assert (answer.one("access-control-allow-origin"), answer.one("vary")) == (None, "Origin")


async def test_our_own_origin_needs_no_sharing() -> None:
    answer = await Site().buy(JSON, BEARER, ("origin", OWN))
    assert (answer.status, answer.one("access-control-allow-origin")) == (201, None)


async def test_an_origin_that_a_reload_took_off_the_list_is_off_at_once() -> None:
    site = Site()
    app = site.app
    site.with_rules(origins=frozenset())
    answer = await ask(app, scope_of("OPTIONS", "/auth/ticket", [("host", "rt.example"), ("origin", ORIGIN), ASKS]))
    assert answer.status == 403


async def test_options_that_is_no_preflight_is_405() -> None:
    answer = await Site().ask("OPTIONS", "/auth/ticket", ("origin", ORIGIN))
    assert (answer.status, answer.one("allow")) == (405, "POST, OPTIONS")


# ---- whose path it is


@pytest.mark.parametrize(
    ("path", "ours"),
    [
        ("/auth", True),
        ("/auth/", True),
        ("/auth/ticket", True),
        ("/auth/no/such", True),
        ("/authx", False),
        ("/AUTH/ticket", False),
        ("/chat/auth/ticket", False),
        ("/.well-known/jwks.json", True),
        ("/.well-known/other", False),
        ("/healthz", True),
        ("/readyz", True),
        ("/healthz/x", False),
        ("/", False),
        ("/demo", True),
    ],
)
def test_whose_path_it_is(path: str, ours: bool) -> None:
    assert Site(pages={"/demo": Page(b"", "text/html")}).app.is_ours(path) is ours


def test_the_prefix_may_be_another() -> None:
    app = Site().with_rules(prefix="/door/keeper").app
    assert app.is_ours("/door/keeper/ticket")
    assert not app.is_ours("/auth/ticket")


async def test_an_empty_prefix_turns_the_endpoints_off() -> None:
    site = Site().with_rules(prefix="")
    for path in ("/ticket", "/auth/ticket", "/healthz", "/readyz", "/.well-known/jwks.json"):
        assert not site.app.is_ours(path)
        assert (await site.ask("GET", path)).status == 404


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE"])
@pytest.mark.parametrize("target", ["/auth", "/auth/", "/auth/tickets", "/auth/ticket/", "/auth/login", "/nowhere"])
async def test_what_is_not_there_is_404(method: str, target: str) -> None:
    site = Site()
    answer = await site.ask(method, target, JSON, ASKS)
    assert (answer.status, answer.json["reason"]) == (404, "not_found")
    assert [deny.reason for deny in site.desk.refused] == [Reason.ROUTE_UNKNOWN]


async def test_our_paths_are_http_whatever_upgrade_says() -> None:
    upgrade = [("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13")]
    assert (await Site().ask("GET", "/auth/ticket", *upgrade)).status == 405
    assert (await Site().ask("GET", "/auth/nothing", *upgrade)).status == 404
    assert (await Site().ask("GET", "/healthz", *upgrade)).status == 200


@pytest.mark.parametrize(
    ("path", "more", "at_the_desk", "at_the_door"),
    [
        ("/auth/ticket", {}, [Reason.METHOD], []),
        ("/auth/verify", {}, [], [Reason.METHOD]),
        ("/auth/ticket", {"raw_path": None}, [Reason.HEAD_GRAMMAR], []),
    ],
)
async def test_a_socket_scope_is_closed_before_it_is_accepted_and_recorded(
    path: str, more: dict[str, object], at_the_desk: list[Reason], at_the_door: list[Reason]
) -> None:
    """daphne's, which can't answer as HTTP."""
    sent = []

    async def send(message):
        sent.append(message["type"])

    async def receive():
        return {"type": "websocket.connect"}

    site = Site()
    await site.app({**scope_of("GET", path, [("host", HOST)]), "type": "websocket", **more}, receive, send)
    assert sent == ["websocket.close"]
    assert [deny.reason for deny in site.desk.refused] == at_the_desk
    assert [deny.reason for deny in site.door.refused] == at_the_door


async def test_a_socket_scope_that_can_t_be_read_is_closed_all_the_same() -> None:
    sent = []

    async def send(message):
        sent.append(message["type"])

    async def receive():
        return {"type": "websocket.connect"}

    site = Site()
    await site.app({"type": "websocket", "path": "/auth/ticket"}, receive, send)
    assert sent == ["websocket.close"]
    assert len(site.faults) == 1


# ---- headers


async def every_answer(site: Site, **more):
    yield await site.buy(JSON, BEARER)
    yield await site.ask("OPTIONS", "/auth/ticket", ("origin", ORIGIN), ASKS, **more)
    for target in ("/auth/ticket", "/auth/none", "/.well-known/jwks.json", "/healthz", "/readyz", "/demo", "/a//b"):
        yield await site.ask("GET", target, **more)
    yield await site.ask("GET", "/auth/ticket", host="evil.example", **more)
    site.readiness.is_ready = False
    yield await site.ask("GET", "/readyz", **more)
    site.desk.breaks = RuntimeError("secret")
    yield await site.ask("GET", "/auth/ticket", **more)


async def test_every_answer_carries_the_headers() -> None:
    site = Site(pages={"/demo": Page(b"<p>", "text/html")})
    statuses = set()
    async for answer in every_answer(site):
        statuses.add(answer.status)
        assert answer.one("x-content-type-options") == "nosniff"
        assert answer.one("referrer-policy") == "no-referrer"
        assert answer.one("cache-control") == "no-store"
        assert answer.one("connection") == "close"
        policy = answer.one("content-security-policy")
        assert policy == "default-src 'none'; frame-ancestors 'none'"
        assert answer.one("server") is None
        assert answer.one("x-powered-by") is None
        assert answer.one("strict-transport-security") is None, "not over plain HTTP (RFC 6797)"
        assert answer.one("access-control-allow-origin") != "*"
    assert statuses == {200, 201, 204, 400, 404, 405, 421, 500, 503}


async def test_every_answer_under_tls_carries_hsts() -> None:
    site = Site(pages={"/demo": Page(b"<p>", "text/html")})
    answers = [answer async for answer in every_answer(site, scheme="https")][1:]
    assert {answer.one("strict-transport-security") for answer in answers} == {"max-age=31536000"}


async def test_tls_that_a_trusted_proxy_ended_counts_for_hsts() -> None:
    from ipaddress import ip_network

    site = Site().with_rules(trusted_proxies=(ip_network("10.0.0.0/8"),))
    forwarded = (("x-forwarded-for", "203.0.113.9"), ("x-forwarded-proto", "https"))
    answer = await site.ask("POST", "/auth/ticket", JSON, BEARER, *forwarded, body=b"{}", client=("10.0.0.1", 9))
    assert (answer.status, answer.one("strict-transport-security")) == (201, "max-age=31536000")


# ---- errors


@pytest.mark.parametrize("reason", list(Reason))
async def test_every_refusal_is_a_problem_of_constants(reason: Reason) -> None:
    site = Site()
    site.desk.sells = Deny(reason, Step.PROVE, note="nothing of this shows")
    answer = await site.buy(JSON, BEARER)
    assert answer.status >= 400
    assert answer.one("content-type") == "application/problem+json"
    assert answer.json["status"] == answer.status
    assert set(answer.json) <= {"type", "title", "status", "reason", "retry_after"}
    assert b"nothing" not in answer.body
    assert (answer.one("retry-after") is not None) == (answer.status in {429, 503})
    assert (answer.one("www-authenticate") is not None) == (answer.status == 401)


@pytest.mark.parametrize("error", [RuntimeError("hunter2"), KeyError("hunter2"), RecursionError("hunter2")])
async def test_a_fault_of_ours_is_500_without_a_word_and_told_to_us(error: Exception) -> None:
    site = Site()
    site.desk.breaks = error
    answer = await site.buy(JSON, BEARER)
    assert answer.json == {
        "type": "about:blank",
        "title": "Internal Server Error",
        "status": 500,
        "reason": "internal",
    }
    assert site.faults == [error]


async def test_a_cancelled_exchange_stays_cancelled() -> None:
    import asyncio

    site = Site()
    site.desk.breaks = asyncio.CancelledError()
    with pytest.raises(asyncio.CancelledError):
        await site.buy(JSON, BEARER)
    assert site.faults == []


async def test_a_client_that_is_no_address_is_nobody() -> None:
    site = Site()
    assert (await site.ask("GET", "/auth/ticket", client=("testclient", 1))).status == 500
    assert isinstance(site.faults[0], ValueError)


# ---- health, keys, pages


@pytest.mark.parametrize("host", ["evil.example", None, "localhost", "???"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_health_for_any_host_and_http_1_0(path: str, version: str, host: str | None) -> None:
    site = Site()
    answer = await site.ask("GET", path, host=host, version=version, client=("203.0.113.9", 1))
    assert (answer.status, answer.json) == (200, {"status": "ok"})


async def test_not_ready_is_503_and_still_alive() -> None:
    site = Site()
    site.readiness.is_ready = False
    answer = await site.ask("GET", "/readyz")
    assert (answer.status, answer.json["reason"]) == (503, "unavailable")
    assert (await site.ask("GET", "/healthz")).status == 200


async def test_health_is_read_only() -> None:
    answer = await Site().ask("POST", "/readyz")
    assert (answer.status, answer.one("allow")) == (405, "GET, HEAD")


async def test_the_public_keys() -> None:
    answer = await Site().ask("GET", "/.well-known/jwks.json")
    assert (answer.status, answer.one("content-type")) == (200, "application/jwk-set+json")
    assert answer.json == {"keys": [{"kty": "OKP", "kid": "k1"}]}
    assert (await Site().ask("POST", "/.well-known/jwks.json", JSON)).one("allow") == "GET, HEAD"


async def test_pages_are_served_as_they_were_handed_in() -> None:
    page = Page(b"<p>hello", "text/html", csp="default-src 'none'; script-src 'self'")
    site = Site(pages={"/": page, "/app.js": Page(b"1", "text/javascript")})
    answer = await site.ask("GET", "/")
    assert (answer.status, answer.body) == (200, b"<p>hello")
    assert answer.one("content-type") == "text/html; charset=utf-8"
    assert answer.one("content-security-policy") == "default-src 'none'; script-src 'self'"
    assert (await site.ask("GET", "/app.js")).one("content-type") == "text/javascript; charset=utf-8"
    assert (await site.ask("POST", "/", JSON)).one("allow") == "GET, HEAD"
    assert (await site.ask("GET", "/", host="evil.example")).status == 421
