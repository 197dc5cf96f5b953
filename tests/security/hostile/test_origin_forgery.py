"""B3: a page comes in only from an origin on the list, letter for letter, whatever credential it holds (OR)."""

from typing import Any

import pytest

from tests.security.hostile.attacking import (
    Peer,
    aftermath,
    before,
    enter,
    good_client,
    head,
    judge_refusal,
    parse,
    post,
    refused,
)
from tests.security.hostile.standing import ORIGIN, WITHIN, Standing

ROWS = [
    ("OR-01", "https://evil.example", "origin_unlisted"),
    ("OR-02-suffix", "https://app.test.evil.example", "origin_unlisted"),
    ("OR-02-prefix", "https://evil-app.test", "origin_unlisted"),
    ("OR-02-userinfo", "https://app.test@evil.example", "origin_malformed"),
    ("OR-02-path", "https://evil.example/https://app.test", "origin_malformed"),
    ("OR-02-tail", "https://app.testevil", "origin_unlisted"),
    ("OR-02-list", "https://app.test https://evil.example", "origin_malformed"),
    ("OR-02-comma", "https://app.test,https://evil.example", "origin_malformed"),
    ("OR-03-null", "null", "origin_null"),
    ("OR-04-http", "http://app.test", "origin_unlisted"),
    ("OR-04-port", "https://app.test:8443", "origin_unlisted"),
    ("OR-04-wss", "wss://app.test", "origin_unlisted"),
    ("OR-04-extension", "chrome-extension://abcdefghijklmnop", "origin_unlisted"),
    ("OR-04-file", "file://", "origin_malformed"),
    ("OR-05-case", "https://APP.test", "origin_malformed"),
    ("OR-05-scheme-case", "HTTPS://app.test", "origin_malformed"),
    ("OR-05-dot", "https://app.test.", "origin_malformed"),
    ("OR-05-default-port", "https://app.test:443", "origin_unlisted"),
    ("OR-05-slash", "https://app.test/", "origin_malformed"),
    ("OR-05-null-case", "NULL", "origin_malformed"),
    ("OR-06-sibling", "https://blog.app.test", "origin_unlisted"),
    ("OR-06-parent", "https://test", "origin_unlisted"),
    ("OR-07-long", "https://" + "a." * 300 + "app.test", "origin_malformed"),
    ("OR-07-idna-dot", "https://app\u3002test", "origin_malformed"),
    ("OR-07-homograph", "https://\u0430pp.test", "origin_malformed"),
    ("OR-07-percent", "https://app%2etest", "origin_malformed"),
    ("OR-07-question", "https://app.test?x", "origin_malformed"),
    ("OR-07-fragment", "https://app.test#x", "origin_malformed"),
    ("OR-07-empty", "", "origin_malformed"),
    ("OR-07-backslash", "https://app.test\\.evil", "origin_malformed"),
    ("OR-10-own-host", "http://gw.test", "origin_unlisted"),
    ("OR-10-own-address", "http://127.0.0.1:{port}", "origin_unlisted"),
]


@pytest.mark.parametrize("rows", sorted({row[0][:5] for row in ROWS}))
def test_the_origin_is_judged_before_the_credential(siege: Standing, rows: str) -> None:
    """ORG-05: a good token and a bad one get the same answer, so that it is no oracle."""
    was = before(siege)
    chosen = [row for row in ROWS if row[0].startswith(rows)]
    for case, origin, _ in chosen:
        shown = origin.replace("{port}", str(siege.port))
        answers = set()
        for token in (siege.token(siege.name()), "bad", None):
            with Peer(siege) as peer:
                late = siege.lateness()
                peer.send(head(token=token, Origin=shown))
                assert peer.finish(WITHIN) < 2.0 + late()
                judge_refusal(parse(peer.data), 403)
                answers.add(peer.data)
        assert len(answers) == 1, case
        good_client(siege, recorded=False)
    records = aftermath(siege, was)
    assert [record["reason"] for record in records] == [reason for _, _, reason in chosen for _ in range(3)]
    assert not any("subject" in record for record in records)


def test_or08_or09_without_an_origin(siege: Standing) -> None:
    """A route says whether programs may come without; where none may, a good token does not help."""
    with enter(siege, siege.name(), Origin=None):
        pass
    sent = head("/strict/a", token=siege.token(siege.name()), Origin=None)
    refused(siege, sent, status=403, reason="origin_missing")
    refused(siege, head("/strict/a", token=siege.token(siege.name()), Origin="null"), status=403, reason="origin_null")


def test_or_two_origins(siege: Standing) -> None:
    for lines in ([f"Origin: {ORIGIN}"], ["Origin: https://evil.example"]):
        refused(siege, head(token=siege.token(siege.name()), extra=lines), status=400, reason="header_duplicated")


def test_or10_rebinding_names_a_foreign_host(siege: Standing) -> None:
    sent = head(token=siege.token(siege.name()), Host="evil.example:8080", Origin="http://evil.example:8080")
    refused(siege, sent, status=421, reason="host_foreign")


def test_or_what_the_origin_says_is_written_down_harmless(siege: Standing) -> None:
    sent = head(token="x", Origin="https://evil.example/\u00e4?token=canary-0123456789")
    siege.keep_secret("canary-0123456789")
    assert refused(siege, sent, status=403, reason="origin_malformed")["origin"].startswith("https://evil.example/")


# ---- our own endpoints -----------------------------------------------------------------------------------------------

FORMS: list[tuple[str, dict[str, Any], int, str]] = [
    ("text", {"Content_Type": "text/plain"}, 415, "media_type"),
    ("form", {"Content_Type": "application/x-www-form-urlencoded"}, 415, "media_type"),
    ("multipart", {"Content_Type": "multipart/form-data; boundary=x"}, 415, "media_type"),
    ("none", {"Content_Type": None}, 415, "media_type"),
    ("json-ish", {"Content_Type": "text/json"}, 415, "media_type"),
    ("two", {"extra": ["Content-Type: text/plain"]}, 415, "media_type"),
    ("coded", {"extra": ["Content-Encoding: gzip"]}, 415, "media_type"),
    ("evil", {"Origin": "https://evil.example"}, 403, "origin_unlisted"),
    ("null", {"Origin": "null"}, 403, "origin_null"),
    ("cross-site", {"Origin": None, "Sec_Fetch_Site": "cross-site"}, 403, "origin_missing"),
    ("same-site", {"Origin": None, "Sec_Fetch_Site": "same-site"}, 403, "origin_missing"),
    ("user", {"Origin": None, "Sec_Fetch_Site": "none"}, 403, "origin_missing"),
    (
        "two-sites",
        {"Origin": None, "extra": ["Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site"]},
        403,
        "origin_missing",
    ),
]


@pytest.mark.parametrize("path", ["/auth/ticket", "/auth/renew"])
def test_or13_what_another_site_can_make_a_browser_send(siege: Standing, path: str) -> None:
    was = before(siege)
    body = {} if path.endswith("ticket") else {"connection": "a", "token": "b"}
    for case, changed, status, _ in FORMS:
        token = None if path.endswith("renew") else siege.token(siege.name())
        with Peer(siege) as peer:
            peer.send(post(path, body, token=token, **changed))
            answer = peer.answer()
        assert answer.status == status, (case, answer.raw)
        if changed.get("Origin", ORIGIN) != ORIGIN:
            assert "access-control-allow-origin" not in answer.headers
    records = aftermath(siege, was)
    assert [(record["kind"], record["reason"]) for record in records] == [("http", row[3]) for row in FORMS]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH"])
def test_or13_another_method_sells_nothing(siege: Standing, method: str) -> None:
    was = before(siege)
    with Peer(siege) as peer:
        peer.send(post("/auth/ticket", {}, token=siege.token(siege.name())).replace(b"POST", method.encode(), 1))
        assert peer.answer().status == 405
    assert [record["reason"] for record in aftermath(siege, was)] == ["method"]


@pytest.mark.parametrize(
    ("origin", "shared"), [(ORIGIN, True), ("https://evil.example", False), ("null", False), (None, False)]
)
def test_or16_a_preflight_tells_a_listed_origin_alone(siege: Standing, origin: str | None, shared: bool) -> None:
    sent = head(
        "/auth/ticket",
        method="OPTIONS",
        drop=["Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version"],
        Origin=origin,
        Access_Control_Request_Method="POST",
        Access_Control_Request_Headers="authorization, x-evil",
    )
    with Peer(siege) as peer:
        peer.send(sent)
        answer = peer.answer()
    assert answer.headers.get("access-control-allow-origin") == (ORIGIN if shared else None)
    assert answer.headers.get("vary") == "Origin"
    assert b"evil" not in answer.raw
    assert "*" not in answer.headers.get("access-control-allow-headers", "")


def test_or16_nothing_of_ours_is_shared_with_a_stranger(siege: Standing) -> None:
    for path in ("/.well-known/jwks.json", "/healthz", "/auth/ticket", "/auth/nothing"):
        with Peer(siege) as peer:
            sent = head(path, drop=["Upgrade", "Connection", "Sec-WebSocket-Key"], Origin="https://evil.example")
            peer.send(sent)
            answer = peer.answer()
        assert not [name for name in answer.headers if name.startswith("access-control")], answer.raw


def test_tickets_of_one_page_are_of_no_use_to_another(siege: Standing) -> None:
    """TKT-06: bound to the Origin that bought it; whoever else shows it burns it and stays out."""
    from tests.security.hostile.test_ticket_races import buy

    code = buy(siege, siege.name())["ticket"]
    with Peer(siege) as peer:
        peer.send(head(f"/ws/a?ticket={code}", Origin="https://evil.example"))
        judge_refusal(peer.answer(), 403)
    with Peer(siege) as peer:
        peer.send(head(f"/ws/a?ticket={code}"))
        peer.upgraded()
