"""B7: a ticket lets one socket in, once, in its time, where it was bought for, and dies with what bought it (TS)."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from time import time
from typing import Any

import pytest

from doorward.values.revocation import Target, TargetKind
from tests.integration.running import OTHER_ISSUER
from tests.security.hostile.attacking import (
    CONTROLS,
    Peer,
    aftermath,
    before,
    enter,
    frame,
    head,
    judge_refusal,
    parse,
    post,
    refused,
    text,
)
from tests.security.hostile.standing import WITHIN, Standing, until


def buy(gateway: Standing, subject: str, path: str | None = None, **changed: Any) -> dict[str, Any]:
    """A ticket, and from now on a secret."""
    token = gateway.token(subject, **changed.pop("claims", {}))
    with Peer(gateway) as peer:
        peer.send(post("/auth/ticket", {} if path is None else {"path": path}, token=token, **changed))
        answer = peer.answer()
    assert answer.status == 201, answer.raw
    bought: dict[str, Any] = json.loads(answer.body)
    # It stood in this one answer by right; nothing else may show it.
    gateway.answers.remove(answer.raw)
    gateway.keep_secret(bought["ticket"], whose=f"a ticket of {subject}")
    assert answer.headers["cache-control"] == "no-store"
    return bought


def statuses(gateway: Standing, sent: bytes, *, count: int) -> list[int]:
    """The same handshake `count` times at one instant."""
    barrier = threading.Barrier(count)

    def attempt(_: int) -> int:
        with Peer(gateway) as peer:
            barrier.wait(WITHIN)
            peer.send(sent)
            peer.until(lambda data: b"\r\n\r\n" in data)
            status = parse(peer.data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n").status
            if status == 101:
                peer.send(frame(8, b"\x03\xe8"))
            peer.finish(WITHIN)
            return status

    with ThreadPoolExecutor(count) as pool:
        return sorted(pool.map(attempt, range(count)))


@pytest.mark.parametrize(("count", "rounds"), [(2, 25), (60, 2)])
def test_ts02_of_many_at_one_instant_one_gets_in(siege: Standing, count: int, rounds: int) -> None:
    for _ in range(rounds):
        subject = siege.name()
        code = buy(siege, subject)["ticket"]
        assert statuses(siege, head(f"/ws/a?ticket={code}"), count=count) == [101] + [403] * (count - 1)
        assert siege.backend.entered(subject) == 1


def test_ts02_the_reuse_is_told_apart_in_the_audit_alone(siege: Standing) -> None:
    bought = buy(siege, siege.name())
    with Peer(siege) as peer:
        peer.send(head(f"/ws/a?ticket={bought['ticket']}"))
        peer.upgraded()
    record = refused(siege, head(f"/ws/a?ticket={bought['ticket']}"), status=403, reason="ticket_spent")
    assert bought["connection"] in record["detail"]


def test_ts01_what_buys_no_ticket(siege: Standing) -> None:
    subject = siege.name()
    ticket = buy(siege, subject)["ticket"]
    cases: list[tuple[bytes, int, str, str]] = [
        (post("/auth/ticket", {}), 401, "credential_missing", "http"),
        (post("/auth/ticket", {}, token=siege.token(subject, -5)), 403, "token_expired", "ticket"),
        (post("/auth/ticket", {}, token=siege.token(subject, aud="other")), 403, "token_audience", "ticket"),
        (post("/auth/ticket", {}, token=ticket), 403, "token_malformed", "ticket"),
        (post(f"/auth/ticket?ticket={ticket}", {}), 400, "credential_misplaced", "http"),
        (post(f"/auth/ticket?token={siege.token(subject)}", {}), 400, "token_in_url", "http"),
        (post("/auth/ticket", {}, Authorization="Basic YTpi"), 400, "credential_misplaced", "http"),
    ]
    for sent, status, reason, kind in cases:
        was = before(siege)
        with Peer(siege) as peer:
            peer.send(sent)
            answer = peer.answer()
        assert answer.status == status, (reason, answer.raw)
        assert b"ticket" not in answer.body
        (record,) = aftermath(siege, was)
        assert (record["kind"], record["reason"]) == (kind, reason)


BODIES = [
    b"[]",
    b"null",
    b'{"path":1}',
    b'{"path":"/ws/a","path":"/admin/a"}',
    b'{"path":"/ws/../admin"}',
    b'{"path":"ws/a"}',
    b'{"path":"/ws/a?x"}',
    b'{"Path":"/ws/a"}',
    b'{"path":"/ws/a"}x',
    b"\xff",
    b"\xef\xbb\xbf{}",
    b'{"path":NaN}',
    b"[" * 8000,
    b'{"a":' * 2000,
    b'{"path":"/ws/\\ud800"}',
    b"{" + b" " * 20000 + b"}",
]


def test_ts01_a_body_that_is_not_ours_buys_nothing(siege: Standing) -> None:
    was = before(siege)
    for body in BODIES:
        with Peer(siege) as peer:
            peer.send(post("/auth/ticket", body, token=siege.token(siege.name())))
            assert peer.answer().status in {400, 413}, body[:80]
    records = aftermath(siege, was)
    assert {record["kind"] for record in records} == {"http"}
    assert len(records) == len(BODIES)


def test_ts04_a_stranger_with_another_origin_does_not_burn_it(siege: Standing) -> None:
    subject = siege.name()
    code = buy(siege, subject)["ticket"]
    sent = head(f"/ws/a?ticket={code}", Origin="https://evil.example")
    refused(siege, sent, status=403, reason="origin_unlisted")
    refused(siege, head(f"/nowhere?ticket={code}"), status=404, reason="route_unknown")
    refused(siege, head(f"/ws/a?ticket={code}&ticket={code}"), status=400, reason="credential_repeated")
    with Peer(siege) as peer:
        peer.send(head(f"/ws/a?ticket={code}"))
        peer.upgraded()
    assert siege.backend.entered(subject) == 1


def test_ts05_it_ends_in_time(siege: Standing) -> None:
    """And one that a token with a shorter life bought, with that."""
    code, bought_at = buy(siege, siege.name())["ticket"], time()
    with Peer(siege) as peer:
        token = siege.token(siege.name(), exp=int(time()) + 2)
        peer.send(post("/auth/ticket", {}, token=token))
        short = json.loads(peer.answer().body)
        peer.data = b""
    assert short["expires_in"] <= 2
    until(lambda: time() > bought_at + 3.05, what="its end")
    for each in (code, short["ticket"]):
        siege.keep_secret(each)
        refused(siege, head(f"/ws/a?ticket={each}"), status=403, reason="ticket_expired")


def test_ts06_bound_to_a_path_it_is_none_elsewhere(siege: Standing) -> None:
    code = buy(siege, siege.name(), "/ws/a")["ticket"]
    refused(siege, head(f"/ws/b?ticket={code}"), status=403, reason="ticket_elsewhere")
    refused(siege, head(f"/ws/a?ticket={code}"), status=403, reason="ticket_spent")
    code = buy(siege, siege.name(), "/ws/%61")["ticket"]
    with Peer(siege) as peer:
        peer.send(head(f"/ws/a?ticket={code}"))
        peer.upgraded()


def test_ts06_it_is_no_more_than_what_bought_it(siege: Standing) -> None:
    code = buy(siege, siege.name())["ticket"]
    refused(siege, head(f"/admin/a?ticket={code}"), status=403, reason="permission")


def test_ts08_the_eleventh_of_an_owner_kills_the_oldest(siege: Standing) -> None:
    subject = siege.name()
    codes = [buy(siege, subject)["ticket"] for _ in range(11)]
    refused(siege, head(f"/ws/a?ticket={codes[0]}"), status=403, reason="ticket_unknown")
    with Peer(siege) as peer:
        peer.send(head(f"/ws/a?ticket={codes[1]}"))
        peer.upgraded()


@pytest.mark.parametrize(
    "kind", [TargetKind.IDENTITY, TargetKind.SESSION, TargetKind.TOKEN, TargetKind.TENANT, TargetKind.CONNECTION]
)
def test_ts09_it_dies_with_what_bought_it(siege: Standing, kind: TargetKind) -> None:
    subject = siege.name()
    claims = {"sid": f"sid-{subject}", "jti": f"jti-{subject}", "tenant": f"tenant-{subject}"}
    bought = buy(siege, subject, claims=claims)
    value = {
        TargetKind.IDENTITY: subject,
        TargetKind.SESSION: claims["sid"],
        TargetKind.TOKEN: claims["jti"],
        TargetKind.TENANT: claims["tenant"],
        TargetKind.CONNECTION: bought["connection"],
    }[kind]
    siege.operator.withdraw(Target(kind=kind, value=value))
    was = before(siege)
    with Peer(siege) as peer:
        peer.send(head(f"/ws/a?ticket={bought['ticket']}"))
        judge_refusal(peer.answer(), 403)
    records = [record for record in aftermath(siege, was) if record["kind"] != "revocation"]
    assert [record["reason"] for record in records] == ["revoked_before"]
    assert siege.backend.entered(subject) == 0


NEAR_MISSES = {
    "one-character": lambda code: ("A" if code[0] != "A" else "B") + code[1:],
    "last-character": lambda code: code[:-1] + ("A" if code[-1] != "A" else "B"),
    "case": lambda code: code.swapcase(),
    "short": lambda code: code[:-1],
    "long": lambda code: code + "A",
    "nul": lambda code: code + "%00",
    "padded": lambda code: code + "=",
    "spaced": lambda code: code + "+",
    "newline": lambda code: code + "%0a",
    "uuid": lambda code: "123e4567-e89b-12d3-a456-426614174000",
    "huge": lambda code: "A" * 4000,
    "empty": lambda code: "",
    "unicode": lambda code: "%C3%A9" * 20,
    "bad-utf8": lambda code: "%ff%fe",
}


def test_ts10_a_near_miss_is_as_unknown_as_any(siege: Standing) -> None:
    code = buy(siege, siege.name())["ticket"]
    misses = [head(f"/ws/a?ticket={miss(code)}") for miss in NEAR_MISSES.values()]
    refused(siege, *misses, status=403, reason="ticket_unknown")
    with Peer(siege) as peer:
        peer.send(head(f"/ws/a?%74icket={code}"))
        peer.upgraded()


def test_ts12_two_credentials_are_never_combined(siege: Standing) -> None:
    from base64 import urlsafe_b64encode

    token = siege.token(siege.name())
    offer = "doorward.token." + urlsafe_b64encode(siege.token(siege.name()).encode()).rstrip(b"=").decode()
    code = buy(siege, siege.name())["ticket"]
    ticket = f"doorward.ticket.{code}"
    cases = [
        head(f"/ws/a?ticket={code}", token=token),
        head(token=token, Sec_WebSocket_Protocol=offer),
        head(token=token, Sec_WebSocket_Protocol=f"app.v1, {ticket}"),
        head(Sec_WebSocket_Protocol=f"{offer}, {ticket}"),
        head(f"/ws/a?ticket={code}", Sec_WebSocket_Protocol=ticket),
        head(f"/ws/a?ticket={code}&token={token}"),
        head(f"/ws/a?x=1&tick%65t={code}", token="bad"),
        head(f"/ws/a?ticket={code}", Authorization="Basic YTpi"),
        head(Authorization=f"Bearer {token}, Bearer {token}"),
    ]
    refused(siege, *cases, status=400, reason="credential_repeated")
    with Peer(siege) as peer:
        peer.send(head(f"/ws/a?ticket={code}"))
        peer.upgraded()


@pytest.mark.parametrize("name", ["token", "access_token", "%74oken", "access%5Ftoken"])
def test_ts13_a_token_in_a_url_is_a_leak_and_no_credential(siege: Standing, name: str) -> None:
    sent = head(f"/ws/a?x=1&{name}={siege.token(siege.name())}")
    refused(siege, sent, status=400, reason="token_in_url")


def test_a_ticket_renews_nobody_else(siege: Standing) -> None:
    """RV-04: another identity's ticket, over the socket, ends it; and it is spent."""
    code = buy(siege, siege.name())["ticket"]
    with enter(siege, siege.name(), **CONTROLS) as peer:
        peer.hears("ready")
        peer.send(text(json.dumps({"type": "doorward.auth", "ticket": code}, separators=(",", ":"))))
        assert peer.farewell(WITHIN) == (4401, "doorward:refused")
    refused(siege, head(f"/ws/a?ticket={code}"), status=403, reason="ticket_spent")


def test_equal_names_of_two_issuers_are_two_owners(siege: Standing) -> None:
    subject = siege.name()
    with enter(siege, subject, **CONTROLS) as peer:
        peer.hears("ready")
        other = siege.token(subject, issuer=OTHER_ISSUER)
        peer.send(text(json.dumps({"type": "doorward.auth", "token": other}, separators=(",", ":"))))
        assert peer.farewell(WITHIN) == (4401, "doorward:refused")
