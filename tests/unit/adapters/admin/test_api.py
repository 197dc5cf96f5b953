"""Each call of the admin API: who may make it, in which order it is refused, what it answers, and what it leaves."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from typing import Any

import pytest

from doorward.adapters.admin import AdminApp, Api
from doorward.adapters.admin.acts import OPERATIONS
from doorward.core.administering import read_admin_token
from doorward.ports import PresentConnection, PresentNode, StoreError
from doorward.service.administer import Done, KeyTaken, Order, Page, Told, id_of
from doorward.service.operate import Revoked
from doorward.service.overview import Counted, Overview, WorkerSeen
from doorward.values.administrator import Administrator, AdminRole
from doorward.values.ban import Ban
from doorward.values.decision import Deny, Reason, Step
from doorward.values.handshake import Handshake
from doorward.values.peer import Peer, Wire
from doorward.values.revocation import Acknowledgement, Effect, Revocation, Target, TargetKind
from tests.unit.adapters.web.asking import Answer, FakeReadiness, ask, scope_of

NOW = 1_790_000_000.0
OPERATOR = Administrator("ops", AdminRole.OPERATOR, "j1", NOW - 60, NOW + 600)
VIEWER = replace(OPERATOR, role=AdminRole.VIEWER)
HOST = ("host", "127.0.0.1:8801")
JSON = ("content-type", "application/json")
REVOCATION = Revocation(
    Target(TargetKind.IDENTITY, "alice"), NOW, Effect.CLOSE, "operator", NOW + 9e6, "ops", sequence=7, id="r" * 22
)
REVOKED = Revoked("r" * 22, 7, True, 2, 0, 2, 1, ("gw2",), 0.038, ("https://login.example.com/|auth0|7f3a|acme",))
BAN = Ban(ip_network("192.0.2.0/24"), None, None, None, "noise", NOW, NOW + 600, "ops", 3)
ROW = PresentConnection("c1", "gw", 1, "https://i/", "alice", "", "s1", "192.0.2.7", "/chat", NOW + 0.5, None)


@dataclass
class FakeAdministration:
    """Fulfils adapters.admin.operations.Administration, and notes what it was asked."""

    now: float = NOW
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    rows: tuple[PresentConnection, ...] = (ROW,)
    more: bool = False
    done: Done | KeyTaken = Done(REVOKED, REVOCATION, again=False)
    bans_: tuple[Ban, ...] = (BAN,)
    new: bool = True
    breaks: Exception | None = None

    def _note(self, *asked: Any) -> None:
        self.asked.append(asked)
        if self.breaks is not None:
            raise self.breaks

    async def connections(
        self, wanted: Mapping[str, str], *, after: tuple[int, str] | None, limit: int
    ) -> Page[PresentConnection]:
        self._note("connections", dict(wanted), after, limit)
        return Page(self.rows, self.more)

    async def connection(self, id: str) -> PresentConnection | None:
        self._note("connection", id)
        return next((row for row in self.rows if row.connection == id), None)

    async def close(self, connection: str, *, cause: str, key: str, by: str) -> Done | KeyTaken:
        self._note("close", connection, cause, key, by)
        return self.done

    async def revocations(self, *, before: int | None, limit: int) -> Page[Revocation]:
        self._note("revocations", before, limit)
        return Page((REVOCATION,), self.more)

    async def revocation(self, id: str) -> Told | None:
        self._note("revocation", id)
        acknowledgement = Acknowledgement(REVOCATION.id, 7, "gw", 1, 2, 0, NOW, 0.01, REVOKED.identities)
        return Told(REVOCATION, (acknowledgement,)) if id == REVOCATION.id else None

    async def revoke(self, order: Order, *, by: str) -> Done | KeyTaken:
        self._note("revoke", order, by)
        return self.done

    async def bans(self, *, after: int, limit: int) -> Page[Ban]:
        self._note("bans", after, limit)
        return Page(self.bans_, self.more)

    async def ban(self, wanted: Ban) -> tuple[Ban, bool]:
        self._note("ban", wanted)
        return replace(wanted, id=3), self.new

    async def unban(self, id: int) -> Ban | None:
        self._note("unban", id)
        return next((ban for ban in self.bans_ if ban.id == id), None)

    async def overview(self) -> Overview:
        self._note("overview")
        workers = tuple(
            WorkerSeen(PresentNode(node, worker, 11, NOW - 9, NOW - age, 6, 1, "1.2.2", ahead=0.25), age, 1)
            for node, worker, age in (("gw", 1, 0.5), ("gw", 2, 0.5), ("gw2", 1, 7.0))
        )
        return Overview(NOW, "gw", True, 7, workers, {"/chat": 3}, Counted(5, {"permission": 1}, {}, {}), 0.5)


@dataclass
class FakeAdministrators:
    """Fulfils adapters.admin.api.Administrators: lets in who shows anything, as whom the test says."""

    says: Administrator | Deny = OPERATOR
    refusals: list[tuple[Reason, int, str]] = field(default_factory=list)
    acts: list[tuple[int, str]] = field(default_factory=list)

    def peer(self, wire: Wire, handshake: Handshake | None) -> Peer:
        return Peer(wire.address, wire.address, secure=False)

    async def admit(self, handshake: Handshake, peer: Peer) -> Administrator | Deny:
        shown = read_admin_token(handshake)
        return shown if isinstance(shown, Deny) else self.says

    def refused(
        self, handshake: Handshake, peer: Peer, deny: Deny, *, status: int, administrator: Administrator | None = None
    ) -> None:
        self.refusals.append((deny.reason, status, "" if administrator is None else administrator.name))

    def done(self, handshake: Handshake, peer: Peer, administrator: Administrator, *, status: int, what: str) -> None:
        self.acts.append((status, what))


class Site:
    def __init__(self, says: Administrator | Deny = OPERATOR) -> None:
        self.administration = FakeAdministration()
        self.administrators = FakeAdministrators(says)
        self.faults: list[BaseException] = []
        self.app = AdminApp(
            metrics=lambda: b"",
            readiness=FakeReadiness(),
            fault=lambda where, error: self.faults.append(error),
            rest=Api(self.administration, self.administrators, version="1.2.3").answer,
        )

    async def ask(
        self, method: str, target: str, *headers: tuple[str, str], body: object = None, bearer: str | None = "good"
    ) -> Answer:
        sent = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        shown = [] if bearer is None else [("authorization", f"Bearer {bearer}")]
        lines = [HOST, *shown, *headers, *([("content-length", str(len(sent)))] if sent else [])]
        return await ask(self.app, scope_of(method, target, lines), [sent])


WRITES = [
    ("POST", "/api/connections/c1/close", {}),
    ("POST", "/api/revocations", {"target": {"kind": "identity", "value": "alice"}}),
    ("POST", "/api/bans", {"address": "192.0.2.7"}),
    ("DELETE", "/api/bans/3", None),
]
READS = [
    "/api/connections",
    "/api/connections/c1",
    "/api/revocations",
    f"/api/revocations/{REVOCATION.id}",
    "/api/bans",
    "/api/overview",
]


# ---- who


@pytest.mark.parametrize("path", [*READS, "/openapi.json", "/api/bans/3", "/api/connections/c1/close"])
async def test_nobody_without_a_token(path: str) -> None:
    site = Site()
    method = "GET" if path in READS or path == "/openapi.json" else "DELETE" if path == "/api/bans/3" else "POST"
    answer = await site.ask(method, path, bearer=None)
    assert (answer.status, answer.json["reason"]) == (401, "unauthenticated")
    assert answer.one("www-authenticate") == 'Bearer realm="doorward admin"'
    assert site.administration.asked == []
    assert site.administrators.refusals == [(Reason.CREDENTIAL_MISSING, 401, "")]


@pytest.mark.parametrize(
    ("deny", "status", "reason", "header"),
    [
        (Deny(Reason.TOKEN_EXPIRED, Step.PROVE), 401, "refused", ("www-authenticate", "invalid_token")),
        (Deny(Reason.REVOKED_BEFORE, Step.PROVE), 401, "refused", ("www-authenticate", "invalid_token")),
        (Deny(Reason.TOKEN_MALFORMED, Step.PROVE), 401, "refused", ("www-authenticate", "invalid_token")),
        (Deny(Reason.CREDENTIAL_REPEATED, Step.READ), 400, "malformed", None),
        (Deny(Reason.ADDRESS_REFUSALS, Step.ADDRESS, retry_after=2.5), 429, "rate_limited", ("retry-after", "3")),
        (Deny(Reason.STORE_UNAVAILABLE, Step.PROVE), 503, "unavailable", ("retry-after", "5")),
        (Deny(Reason.VERIFIER_UNAVAILABLE, Step.PROVE), 503, "unavailable", ("retry-after", "5")),
        (Deny(Reason.INTERNAL, Step.PROVE), 500, "internal", None),
    ],
)
async def test_why_a_token_does_not_do(deny: Deny, status: int, reason: str, header: tuple[str, str] | None) -> None:
    site = Site(deny)
    answer = await site.ask("GET", "/api/overview")
    assert (answer.status, answer.json["reason"]) == (status, reason)
    if header is not None:
        assert header[1] in (answer.one(header[0]) or "")
    assert (site.administration.asked, site.administrators.refusals) == ([], [(deny.reason, status, "")])


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
async def test_lg_18_a_viewer_writes_nothing(method: str, path: str, body: object) -> None:
    site = Site(VIEWER)
    answer = await site.ask(method, path, JSON, body=body)
    assert (answer.status, answer.json["reason"]) == (403, "forbidden")
    assert 'error="insufficient_scope"' in (answer.one("www-authenticate") or "")
    assert site.administration.asked == []
    assert site.administrators.refusals == [(Reason.PERMISSION, 403, "ops")]


@pytest.mark.parametrize("path", READS)
async def test_a_viewer_reads_everything(path: str) -> None:
    site = Site(VIEWER)
    answer = await site.ask("GET", path)
    assert (answer.status, answer.one("content-type")) == (200, "application/json")
    assert site.administrators.acts == []


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
@pytest.mark.parametrize("header", [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")])
async def test_lg_11_a_foreign_page_writes_nothing(
    method: str, path: str, body: object, header: tuple[str, str]
) -> None:
    site = Site()
    answer = await site.ask(method, path, JSON, header, body=body)
    assert answer.status == 403
    assert (site.administration.asked, len(site.administrators.refusals)) == ([], 1)
    assert answer.one("access-control-allow-origin") is None


@pytest.mark.parametrize("kind", ["tenant", "issuer"])
async def test_what_is_wide_wants_a_token_of_late(kind: str) -> None:
    order = {"target": {"kind": kind, "value": "x"}}
    site = Site(replace(OPERATOR, issued_at=NOW - 901))
    answer = await site.ask("POST", "/api/revocations", JSON, body=order)
    assert (answer.status, answer.json["reason"]) == (401, "unauthenticated")
    challenge = 'Bearer realm="doorward admin", error="insufficient_user_authentication", max_age=900'
    assert answer.one("www-authenticate") == challenge
    assert (site.administration.asked, site.administrators.refusals) == ([], [(Reason.PERMISSION, 401, "ops")])
    narrow = {"target": {"kind": "identity", "value": "x"}}
    assert (await site.ask("POST", "/api/revocations", JSON, body=narrow)).status == 201
    assert (await Site().ask("POST", "/api/revocations", JSON, body=order)).status == 201


@pytest.mark.parametrize(
    ("network", "wide"),
    [
        ("0.0.0.0/0", True),
        ("10.0.0.0/15", True),
        ("10.0.0.0/16", False),
        ("::/0", True),
        ("2001:db8::/31", True),
        ("2001:db8::/32", False),
        ("2001:db8::1", False),
    ],
)
async def test_so_does_a_ban_of_a_wide_network(network: str, wide: bool) -> None:
    site = Site(replace(OPERATOR, issued_at=NOW - 901))
    answer = await site.ask("POST", "/api/bans", JSON, body={"address": network})
    assert answer.status == (401 if wide else 201)
    assert ("max_age=900" in (answer.one("www-authenticate") or "")) is wide
    assert bool(site.administration.asked) is not wide
    assert (await Site().ask("POST", "/api/bans", JSON, body={"address": network})).status == 201


# ---- what is there


@pytest.mark.parametrize(
    "path",
    ["/", "/api", "/api/", "/api/accounts", "/api/audit", "/api/bans/", "/api/connections/c1/close/", "/api/bans/3/x"],
)
async def test_what_is_not_in_the_table_is_not_there(path: str) -> None:
    site = Site()
    assert (await site.ask("GET", path)).status == 404
    assert (await site.ask("GET", path, bearer=None)).status == 404


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/api/bans", "GET, POST, HEAD"),
        ("OPTIONS", "/api/connections", "GET, HEAD"),
        ("GET", "/api/bans/3", "DELETE"),
        ("GET", "/api/connections/c1/close", "POST"),
        ("POST", "/openapi.json", "GET, HEAD"),
    ],
)
async def test_other_methods_are_told_which(method: str, path: str, allow: str) -> None:
    answer = await Site().ask(method, path)
    assert (answer.status, answer.one("allow")) == (405, allow)


async def test_the_host_is_ours_first_of_all() -> None:
    site = Site()
    for path in ("/api/bans", "/openapi.json", "/nothing"):
        foreign = scope_of("GET", path, [("host", "rebound.example"), ("authorization", "Bearer good")])
        assert (await ask(site.app, foreign)).status == 421
    assert site.administrators.refusals == []


async def test_a_path_or_parameter_that_does_not_fit_is_400() -> None:
    site = Site()
    for method, target in (
        ("GET", "/api/connections/c%0a"),
        ("GET", "/api/connections/" + "c" * 65),
        ("DELETE", "/api/bans/0"),
        ("DELETE", "/api/bans/-1"),
        ("DELETE", "/api/bans/x"),
        ("DELETE", "/api/bans/99999999999999999999"),
        ("GET", "/api/bans?limit=0"),
        ("DELETE", "/api/bans/3?x=1"),
    ):
        answer = await site.ask(method, target)
        assert (answer.status, answer.one("content-type")) == (400, "application/problem+json"), target
        if target != "/api/connections/c%0a":  # refused by the head's grammar
            assert answer.json["errors"][0]["text"]
    assert site.administration.asked == []


# ---- what is asked and answered


async def test_connections() -> None:
    site = Site()
    site.administration.more = True
    answer = await site.ask("GET", "/api/connections?subject=alice&address=%3A%3A1&limit=1&after=1790000001000000.c0")
    assert site.administration.asked == [
        ("connections", {"subject": "alice", "address": "::1"}, (1790000001000000, "c0"), 1)
    ]
    assert answer.json == {
        "connections": [
            {
                "connection": "c1",
                "node": "gw",
                "worker": 1,
                "issuer": "https://i/",
                "subject": "alice",
                "tenant": "",
                "session": "s1",
                "address": "192.0.2.7",
                "route": "/chat",
                "opened_at": NOW + 0.5,
                "expires_at": None,
            }
        ],
        "next": "1790000000500000.c1",
    }
    site.administration.more = False
    assert (await site.ask("GET", "/api/connections")).json["next"] is None
    assert (await site.ask("GET", "/api/connections/c1")).json["connection"] == "c1"
    assert (await site.ask("GET", "/api/connections/c2")).status == 404


async def test_head_is_get_without_a_body_told() -> None:
    assert (await Site().ask("HEAD", "/api/bans")).status == 200


async def test_a_connection_is_closed() -> None:
    site = Site()
    answer = await site.ask("POST", "/api/connections/c1/close")
    assert (answer.status, answer.json["closed"]) == (200, 2)
    await site.ask(
        "POST", "/api/connections/c1/close", JSON, ("idempotency-key", '"0123456789abcdef"'), body={"cause": "noise"}
    )
    by = "ops (admin token j1)"
    assert site.administration.asked == [
        ("close", "c1", "operator", "", by),
        ("close", "c1", "noise", id_of("0123456789abcdef", of="ops"), by),
    ]
    assert [status for status, _ in site.administrators.acts] == [200, 200]
    site.administration.done = Done(replace(REVOKED, closed=0, silent=()), REVOCATION, again=False)
    answer = await site.ask("POST", "/api/connections/c1/close")
    assert (answer.status, "nobody" in answer.json["detail"]) == (404, True)
    assert site.administrators.acts[-1][0] == 404, "something was done, and it is on record"


async def test_a_revocation() -> None:
    site = Site()
    body = {
        "target": {"kind": "identity", "value": "alice", "tenant": "acme"},
        "effect": "roles",
        "roles": ["a", "b", "a"],
        "cause": "moved",
    }
    answer = await site.ask("POST", "/api/revocations", JSON, ("idempotency-key", "k" * 22), body=body)
    order = Order(
        Target(TargetKind.IDENTITY, "alice", None, "acme"), Effect.ROLES, ("a", "b"), "moved", id_of("k" * 22, of="ops")
    )
    assert site.administration.asked == [("revoke", order, "ops (admin token j1)")]
    assert (answer.status, answer.one("location")) == (201, f"/api/revocations/{REVOCATION.id}")
    told = answer.json
    assert told["revocation"]["target"] == {"kind": "identity", "value": "alice", "issuer": None, "tenant": None}
    assert {name: told[name] for name in ("closed", "nodes", "silent", "took", "durable")} == {
        "closed": 2,
        "nodes": 2,
        "silent": ["gw2"],
        "took": 0.038,
        "durable": True,
    }
    assert told["identities"] == [{"issuer": "https://login.example.com/", "subject": "auth0|7f3a", "tenant": "acme"}]
    ((status, what),) = site.administrators.acts
    assert status == 201
    assert what == (
        "close identity alice: operator; before: none; "
        f"after: revocation {REVOCATION.id}, closed 2, asked 0, silent gw2"
    )


async def test_a_cause_is_kept_as_given_and_masked_in_the_audit() -> None:
    site = Site()
    body = {"address": "192.0.2.7", "cause": "password reset requested"}
    answer = await site.ask("POST", "/api/bans", JSON, body=body)
    assert answer.json["cause"] == "password reset requested"
    site.administration.done = Done(REVOKED, replace(REVOCATION, cause="ticket 4711"), again=False)
    await site.ask("POST", "/api/connections/c1/close")
    site.administration.bans_ = (replace(BAN, cause="token=abc"),)
    await site.ask("DELETE", "/api/bans/3")
    said = [what.partition("; ")[0] for _, what in site.administrators.acts]
    assert [what.partition(": ")[2] for what in said] == ["password *** requested", "ticket ***", ""]
    assert site.administrators.acts[-1][1].endswith(": token=***; after: none")


@pytest.mark.parametrize("body", [{}, {"cause": "x"}, {"address": "192.0.2.7", "subject": "alice"}])
async def test_a_ban_names_one_of_address_and_subject(body: dict[str, str]) -> None:
    site = Site()
    answer = await site.ask("POST", "/api/bans", JSON, body=body)
    assert (answer.status, answer.json["errors"]) == (400, [{"name": "", "text": "needs one of address and subject"}])
    assert site.administration.asked == []


async def test_a_key_is_its_askers_own() -> None:
    """Else who guesses the id of a revocation to come could have it taken for one that was made already."""
    key = "replaced-" + "c" * 22
    site = Site()
    for who in (OPERATOR, replace(OPERATOR, token_id="j2"), replace(OPERATOR, name="eve")):
        site.administrators.says = who
        await site.ask("POST", "/api/connections/c1/close", ("idempotency-key", key))
    first, renewed, eves = (asked[3] for asked in site.administration.asked)
    assert first == renewed != eves
    assert key not in (first, eves)
    assert len(first) == len(eves) == 22


async def test_a_key_that_is_another_revocations_is_422() -> None:
    site = Site()
    site.administration.done = KeyTaken(REVOCATION)
    for path, body in (
        ("/api/revocations", {"target": {"kind": "token", "value": "j9"}}),
        ("/api/connections/c1/close", {}),
    ):
        answer = await site.ask("POST", path, JSON, ("idempotency-key", "k" * 22), body=body)
        assert (answer.status, REVOCATION.id in answer.json["detail"]) == (422, True)
    assert site.administrators.acts == []
    assert [status for _, status, _ in site.administrators.refusals] == [422, 422]


@pytest.mark.parametrize(
    "keys", [("short",), ("k" * 65,), ('"' + "k" * 22,), ("k" * 22, "l" * 22), ("kkkk kkkk kkkk kkkk",)]
)
async def test_a_key_that_is_none_is_400(keys: tuple[str, ...]) -> None:
    site = Site()
    lines = [("idempotency-key", key) for key in keys]
    body = {"target": {"kind": "token", "value": "j9"}}
    answer = await site.ask("POST", "/api/revocations", JSON, *lines, body=body)
    assert (answer.status, answer.json["errors"][0]["name"]) == (400, "Idempotency-Key")
    assert site.administration.asked == []


async def test_revocations_and_one_of_them() -> None:
    site = Site()
    site.administration.more = True
    assert (await site.ask("GET", "/api/revocations?before=9&limit=1")).json["next"] == 7
    told = (await site.ask("GET", f"/api/revocations/{REVOCATION.id}")).json
    assert told["acknowledgements"][0]["took"] == 0.01
    assert (await site.ask("GET", "/api/revocations/unknown")).status == 404


async def test_bans() -> None:
    site = Site()
    answer = await site.ask("POST", "/api/bans", JSON, body={"address": "192.0.2.7/24", "expires_in": None})
    assert (answer.status, answer.json["address"], answer.json["expires_at"]) == (201, "192.0.2.0/24", None)
    site.administration.new = False
    answer = await site.ask("POST", "/api/bans", JSON, body={"subject": "alice", "issuer": "https://i/"})
    assert (answer.status, answer.json["subject"], answer.json["expires_at"]) == (200, "alice", NOW + 86400)
    assert [what.partition(";")[0] for _, what in site.administrators.acts] == [
        "ban 192.0.2.0/24: operator",
        "ban subject alice of https://i/: operator",
    ]
    site.administration.more = True
    assert (await site.ask("GET", "/api/bans?after=2&limit=1")).json["next"] == 3
    lifted = await site.ask("DELETE", "/api/bans/3")
    assert (lifted.status, lifted.json["id"]) == (200, 3)
    assert (await site.ask("DELETE", "/api/bans/4")).status == 404
    assert (await site.ask("DELETE", "/api/bans/3", JSON, body={})).status == 400


async def test_the_overview_names_who_is_stale() -> None:
    told = (await Site().ask("GET", "/api/overview")).json
    assert [(node["node"], node["stale"], len(node["workers"])) for node in told["nodes"]] == [
        ("gw", False, 2),
        ("gw2", True, 1),
    ]
    assert (told["stale"], told["connections"], told["here"]["version"]) == (["gw2"], 3, "1.2.3")
    assert told["here"]["clock_ahead"] == 0.5
    assert told["nodes"][1]["workers"] == [
        {
            "worker": 1,
            "version": "1.2.2",
            "pid": 11,
            "started_at": NOW - 9,
            "beat_at": NOW - 7,
            "stale": True,
            "cursor": 6,
            "behind": 1,
            "ready": False,
            "clock_ahead": 0.25,
            "connections": 1,
        }
    ]
    assert told["here"]["counters"] == {"allowed": 5, "refused": {"permission": 1}, "closes": {}, "renewals": {}}


# ---- when it fails


async def test_what_is_malformed_is_refused_before_anything_is_done() -> None:
    site = Site()
    answer = await site.ask("POST", "/api/bans", JSON, body={"address": "192.0.2.7", "by": "root"})
    assert answer.json["errors"] == [{"name": "by", "text": "is not known here"}]
    for headers, body, status in (
        ([], {"address": "192.0.2.7"}, 415),
        ([("content-type", "text/plain")], {"address": "192.0.2.7"}, 415),
        ([JSON], b"{", 400),
        ([JSON], b'{"address":"192.0.2.7","address":"192.0.2.8"}', 400),
        ([JSON], b" " * 65537, 413),
    ):
        answer = await site.ask("POST", "/api/bans", *headers, body=body)
        assert (answer.status, answer.json["status"]) == (status, status)
    assert (site.administration.asked, len(site.administrators.refusals)) == ([], 6)


@pytest.mark.parametrize(("method", "path", "body"), [*WRITES, *(("GET", path, None) for path in READS)])
async def test_a_store_that_is_away_is_503(method: str, path: str, body: object) -> None:
    site = Site()
    site.administration.breaks = StoreError("the text is for our log")
    answer = await site.ask(method, path, JSON, body=body)
    assert (answer.status, answer.one("retry-after")) == (503, "5")
    assert b"our log" not in answer.body
    assert [status for _, status, _ in site.administrators.refusals] == ([503] if method != "GET" else [])


async def test_a_bug_of_ours_is_500_without_a_word() -> None:
    site = Site()
    site.administration.breaks = KeyError("hunter2")
    answer = await site.ask("GET", "/api/overview")
    assert (answer.status, b"hunter2" in answer.body) == (500, False)
    assert site.faults == [site.administration.breaks]


async def test_every_answer_carries_the_headers() -> None:
    site = Site()
    for method, target, bearer in (
        ("GET", "/api/bans", "good"),
        ("GET", "/api/bans", None),
        ("GET", "/openapi.json", "good"),
        ("PUT", "/api/bans", "good"),
        ("GET", "/api/accounts", "good"),
        ("DELETE", "/api/bans/9", "good"),
    ):
        answer = await site.ask(method, target, bearer=bearer)
        assert answer.one("x-content-type-options") == "nosniff"
        assert answer.one("cache-control") == "no-store"
        assert answer.one("referrer-policy") == "no-referrer"
        assert answer.one("content-security-policy") == "default-src 'none'; frame-ancestors 'none'"
        assert answer.one("access-control-allow-origin") is None
        assert answer.one("set-cookie") is None


def test_every_write_wants_an_operator_and_no_read_does() -> None:
    for operation in OPERATIONS:
        assert (operation.role is AdminRole.OPERATOR) is operation.writes, operation.name
