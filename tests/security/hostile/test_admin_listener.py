"""LG-17, LG-18, LG-24: the admin API is nowhere but on its listener, for nobody but its bearers, and takes no bait."""

import asyncio
import base64
import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from doorward.config.load import load
from doorward.config.making import Opened, opened
from doorward.service.administrators import issue_admin_token
from doorward.values.administrator import AdminRole
from tests.integration.admin.desk import Desk, issued
from tests.integration.running import ENVIRONMENT, Refused, claims_of, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

ADMIN_PATHS = ["/metrics", "/openapi.json", "/api/connections", "/api/revocations", "/api/bans", "/api/overview"]
WRITES: list[tuple[str, str, dict[str, Any] | None]] = [
    ("POST", "/api/connections/c/close", {}),
    ("POST", "/api/revocations", {"target": {"kind": "identity", "value": "alice"}}),
    ("POST", "/api/revocations", {"target": {"kind": "issuer", "value": "https://login.test"}}),
    ("POST", "/api/bans", {"subject": "alice"}),
    ("DELETE", "/api/bans/1", None),
]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def desk(tmp_path_factory):
    routes = [{"path": "/chat"}]
    async with running(tmp_path_factory.mktemp("attacked"), routes=routes, tokens={"audience": "chat"}) as gateway:
        yield await Desk(gateway).open()


def segment(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def rewritten(token: str, *, header: Mapping[str, object] | None = None, **claims: object) -> str:
    """A token with other members and its old signature."""
    first, _, signature = token.split(".")
    head = {**json.loads(base64.urlsafe_b64decode(first + "==")), **(header or {})}
    body = {**claims_of(token), **claims}
    return ".".join([segment(json.dumps(head).encode()), segment(json.dumps(body).encode()), signature])


async def raw(port: int, head: str, *lines: str) -> tuple[int, bytes]:
    """(status, answer) of a request written by hand."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(("\r\n".join([head, *lines]) + "\r\n\r\n").encode("latin-1"))
        answer = await asyncio.wait_for(reader.read(), 20)
    finally:
        writer.close()
    return int(answer.split(b" ", 2)[1]) if answer else 0, answer


# ---- LG-17: on its own listener alone


@pytest.mark.parametrize("path", ADMIN_PATHS)
async def test_lg_17_nothing_of_it_is_on_the_public_listener(desk, path) -> None:
    gateway = desk.gateway
    for spelling in (
        path,
        f"//{path[1:]}",
        f"/%{ord(path[1]):02x}{path[2:]}",
        f"/chat/..{path}",
        f"/.{path}",
        f"{path}/",
    ):
        for host in (f"127.0.0.1:{gateway.port}", f"127.0.0.1:{gateway.admin_port}", "localhost", "admin.test"):
            lines = [f"Host: {host}", f"Authorization: Bearer {desk.operator}", f"X-Forwarded-Host: {host}"]
            status, answer = await raw(gateway.port, f"GET {spelling} HTTP/1.1", *lines)
            assert status in {400, 404, 421}, (spelling, host, status)
            assert b"doorward_" not in answer
    absolute = f"GET http://127.0.0.1:{gateway.admin_port}{path} HTTP/1.1"
    assert (await raw(gateway.port, absolute, f"Host: 127.0.0.1:{gateway.admin_port}"))[0] in {400, 404, 421}


@pytest.mark.parametrize("host", ["rebound.evil.example", "127.0.0.1.evil.example", "a@127.0.0.1", ""])
async def test_lg_17_a_rebound_name_reaches_nothing_of_it(desk, host) -> None:
    for path in (*ADMIN_PATHS, "/nothing"):
        lines = [f"Host: {host}", f"Authorization: Bearer {desk.operator}"]
        status, answer = await raw(desk.gateway.admin_port, f"GET {path} HTTP/1.1", *lines)
        assert status in {400, 421}, (path, status)
        assert b"doorward_" not in answer


async def test_lg_17_and_the_public_door_is_not_on_the_admin_listener(desk) -> None:
    port = desk.gateway.admin_port
    upgrade = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    good = f"Authorization: Bearer {desk.gateway.token('alice')}"
    for path in ("/chat", "/api/connections", "/auth/ticket", "/auth/verify", "/.well-known/jwks.json", "/"):
        status, _ = await raw(port, f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", *upgrade, key, good)
        assert status in {401, 404}, (path, status)


# ---- LG-18: nobody but its bearers


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
async def test_lg_18_a_viewer_writes_nothing(desk, method, path, body) -> None:
    before = (await desk.get("/api/revocations")).json(), (await desk.get("/api/bans")).json()
    answer = await desk.ask(method, path, body=body, token=desk.viewer)
    assert (answer.status_code, answer.json()["reason"]) == (403, "forbidden")
    assert ((await desk.get("/api/revocations")).json(), (await desk.get("/api/bans")).json()) == before


async def test_lg_18_no_call_makes_an_operator(desk) -> None:
    for path in ("/api/tokens", "/api/accounts", "/api/administrators", "/api/users", "/auth/login", "/api/audit"):
        assert (await desk.post(path, {"role": "operator"})).status_code == 404


async def test_lg_18_other_tokens_are_useless_here(desk) -> None:
    gateway = desk.gateway
    code, printed = await gateway.cli("token", "issue", "alice", "--role", "operator")
    assert code == 0
    ours = printed.splitlines()[0]
    ticket = (await gateway.buy(gateway.token("alice")))["ticket"]
    await (await gateway.connect(token=gateway.token("alice"))).close()
    assertion = next(
        head["x-doorward-assertion"] for _, head in gateway.backend.heads if "x-doorward-assertion" in head
    )
    for shown in (ours, ticket, assertion, gateway.token("alice", role="operator", aud="doorward-admin"), "x"):
        for path in ADMIN_PATHS[1:]:
            answer = await desk.get(path, headers={"Authorization": f"Bearer {shown}"}, token="")
            assert answer.status_code == 401, (path, shown[:20])


async def test_lg_18_an_admin_token_is_useless_at_the_door(desk) -> None:
    gateway = desk.gateway
    for token in (desk.viewer, desk.operator):
        assert await gateway.status(token=token) == 403
        offer = f"doorward.token.{segment(token.encode())}"
        refused = await gateway.try_connect(protocols=("doorward.v1", offer))
        assert isinstance(refused, Refused)
        assert refused.status == 403
        assert (await gateway.post("/auth/ticket", token=token)).status_code == 403
        live, ready = await gateway.enter("renewed")
        body = {"connection": ready["connection"], "token": token}
        assert (await gateway.post("/auth/renew", body)).status_code == 403
        await live.close()


async def test_lg_18_a_forged_or_changed_token_is_none(desk) -> None:
    good = desk.viewer
    head = {"alg": "none", "typ": "doorward-admin+jwt"}
    body = {**claims_of(good), "role": "operator"}
    none = f"{segment(json.dumps(head).encode())}.{segment(json.dumps(body).encode())}."
    keys = (await desk.gateway.get("/.well-known/jwks.json")).json()["keys"]
    signed = f"{segment(json.dumps({**head, 'alg': 'HS256'}).encode())}.{segment(json.dumps(body).encode())}"
    hashed = [
        f"{signed}.{segment(hmac.digest(secret, signed.encode(), hashlib.sha256))}"
        for secret in (base64.urlsafe_b64decode(keys[0]["x"] + "=="), json.dumps(keys[0]).encode(), b"")
    ]
    forged = [
        none,
        *hashed,
        rewritten(good, role="operator"),
        rewritten(good, exp=claims_of(good)["exp"] + 1),
        rewritten(good, sub="root"),
        rewritten(good, header={"typ": "at+jwt"}),
        rewritten(good, header={"kid": "other"}),
        rewritten(good, header={"jwk": keys[0]}),
        good[:-4] + "AAAA",
        good + ".",
        good.split(".")[0],
    ]
    for token in forged:
        answer = await desk.get("/api/overview", token=token)
        assert answer.status_code == 401, token[:60]
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]


async def test_lg_18_shown_in_any_other_place_it_is_not_shown(desk) -> None:
    token = desk.operator
    for path, headers, status in (
        (f"/api/bans?token={token}", {}, 400),
        (f"/api/bans?access_token={token}", {}, 400),
        (f"/api/bans?%74oken={token}", {}, 400),
        ("/api/bans", {"Cookie": f"token={token}; __Host-doorward={token}"}, 401),
        ("/api/bans", {"X-Authorization": f"Bearer {token}"}, 401),
        ("/api/bans", {"Proxy-Authorization": f"Bearer {token}"}, 401),
        ("/api/bans", {"Authorization": f"Basic {segment(token.encode())}"}, 401),
    ):
        assert (await desk.get(path, token="", headers=headers)).status_code == status, (path[:12], headers.keys())
    written = "".join(path.read_text() for path in Path(desk.gateway.folder).glob("audit*.jsonl"))
    assert token not in written + desk.gateway.printed
    assert token.split(".")[2] not in written + desk.gateway.printed


async def test_lg_18_a_revoked_token_is_over_at_once(desk) -> None:
    gateway = desk.gateway
    token = await issued(gateway, "operator", "leaver")
    assert (await desk.get("/api/bans", token=token)).status_code == 200
    code, printed = await gateway.cli("revoke", "--token", claims_of(token)["jti"])
    assert code == 0, printed
    assert (await desk.get("/api/bans", token=token)).status_code == 401
    other = await issued(gateway, "operator", "leaver")
    assert (await desk.get("/api/bans", token=other)).status_code == 200
    await desk.revoke("identity", "leaver")
    assert (await desk.get("/api/bans", token=other)).status_code == 401
    fresh = await issued(gateway, "operator", "leaver")
    assert (await desk.get("/api/bans", token=fresh)).status_code == 200
    (found, *_) = await gateway.audited(kind="http", reason="revoked_before")
    assert found["status"] == 401


async def test_lg_18_an_old_token_ends_no_issuer(desk) -> None:
    """Issued 16 minutes ago: good for all but what is wide, however often it is tried."""
    old = await signed(desk, ago=960.0)
    assert (await desk.get("/api/bans", token=old)).status_code == 200
    for kind in ("issuer", "tenant"):
        body = {"target": {"kind": kind, "value": "https://login.test"}}
        for _ in range(2):
            answer = await desk.post("/api/revocations", body, token=old)
            assert answer.status_code == 401
            assert 'error="insufficient_user_authentication", max_age=900' in answer.headers["www-authenticate"]
    assert await desk.gateway.status(token=desk.gateway.token("alice")) == 101
    assert (await desk.get("/api/bans", token=await signed(desk, ago=30.0, life=20.0))).status_code == 401
    assert (await desk.get("/api/bans", token=await signed(desk, ago=0.0, life=90000.0))).status_code == 401


async def signed(desk: Desk, *, ago: float, life: float = 3600.0) -> str:
    """A token as the command would have issued it then."""
    config = load(desk.gateway.config, environment=ENVIRONMENT)
    assert not isinstance(config, list), config
    tools: Opened
    async with opened(config, report=print) as tools:
        token, _ = issue_admin_token(
            tools.keyring,
            name="old",
            role=AdminRole.OPERATOR,
            life=life,
            issuer=tools.config.public_url,
            now=tools.clock.now() - ago,
            entropy=tools.entropy,
        )
    return token


async def test_lg_18_a_command_gives_no_more_than_it_should(desk) -> None:
    for arguments in (
        ("--admin", "admin"),
        ("--admin", "root", "ops"),
        ("--admin", "viewer", "--ttl", "25h"),
        ("--admin", "viewer", "--ttl", "0s"),
        ("--admin", "viewer", "--role", "operator"),
        ("--admin", "viewer", "a\x1bb"),
        (),
    ):
        code, printed = await desk.gateway.cli("token", "issue", *arguments)
        assert code == 2, printed
        assert "eyJ" not in printed
    claims = claims_of(desk.viewer)
    assert (claims["aud"], claims["role"], claims["exp"] - claims["iat"]) == ("doorward-admin", "viewer", 28800)


async def test_lg_18_who_fails_waits_and_locks_nobody_out(tmp_path) -> None:
    limits = {"refusals_per_address": "3/min"}
    async with running(tmp_path, cluster_limits=limits, tokens={"audience": "chat"}) as gateway:
        desk = await Desk(gateway).open()
        answers = [await desk.get("/api/bans", token="no.such.token") for _ in range(5)]
        assert [answer.status_code for answer in answers] == [401, 401, 401, 429, 429]
        assert int(answers[-1].headers["retry-after"]) >= 1
        assert (await desk.get("/api/bans")).status_code == 200
        assert await gateway.status(token=gateway.token("alice")) == 101


# ---- LG-24: parameters are parameters


@pytest.mark.parametrize(
    "query",
    [
        "limit=1000000000",
        "limit=0",
        "limit=1e9",
        "limit=0x10",
        "limit=1;drop",
        "limit=%31%30%30%30%30%30",
        "offset=-1",
        "sort=password",
        "order=desc",
        "subject=a&subject=b",
        "subject[$ne]=x",
        "after='%20OR%201=1--",
        "after=9999999999999999999.x",
        "node=%00",
        "subject=%ff",
    ],
)
async def test_lg_24_what_is_no_parameter_is_400(desk, query) -> None:
    answer = await desk.get(f"/api/connections?{query}")
    assert (answer.status_code, answer.json()["reason"]) == (400, "malformed")
    assert answer.json()["errors"]


@pytest.mark.parametrize(
    "text", ["' OR 1=1--", "%", "_", "*", "alice'--", "(a+)+$" + "a" * 100, "{{7*7}}", "${jndi:x}"]
)
async def test_lg_24_a_text_is_taken_literally(desk, text) -> None:
    client, ready = await desk.gateway.enter("alice")

    async def there():
        return (await desk.get(f"/api/connections/{ready['connection']}")).status_code == 200

    await desk.gateway.until(there)
    from urllib.parse import quote

    for name in ("subject", "tenant", "issuer", "session", "address", "route", "node"):
        answer = await desk.get(f"/api/connections?{name}={quote(text, safe='')}")
        assert (answer.status_code, answer.json()) == (200, {"connections": [], "next": None})
    told = await desk.revoke("identity", text)
    assert (told["closed"], told["revocation"]["target"]["value"]) == (0, text)
    assert await client.echoes()
    await client.close()


async def test_lg_24_the_body_is_bounded(desk) -> None:
    port, shown = desk.gateway.admin_port, f"Authorization: Bearer {desk.operator}"
    head = ["POST /api/bans HTTP/1.1", f"Host: 127.0.0.1:{port}", shown, "Content-Type: application/json"]
    assert (await raw(port, *head, "Content-Length: 65537"))[0] == 413
    for document in (
        "[" * 30000,
        '{"a":' * 12000,
        '{"subject":"' + "a" * 60000 + '"}',
        '{"subject":"x","subject":"y"}',
    ):
        answer = await raw(port, *head, f"Content-Length: {len(document)}", "", document)
        assert answer[0] == 400, document[:20]
    assert os.path.exists(f"/proc/{desk.gateway.pid}")
    assert desk.gateway.events(kind="fault") == []
