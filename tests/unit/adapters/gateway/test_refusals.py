"""Each page is a constant of its ending: nothing of the handshake stands in it."""

import json

import pytest

from doorward.adapters.gateway.refusals import refusal, refusal_by_close
from doorward.core.endings import ENDINGS
from doorward.core.handshakes import parse_head
from doorward.core.refusing import PHRASES
from doorward.values.decision import Deny, Reason, Step
from doorward.values.handshake import Handshake
from doorward.values.rules import PathPattern, RefuseAs, Route

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)
BY_CLOSE = Route(PathPattern("/ws", (("ws", False),)), None, refuse_as=RefuseAs.CLOSE)
BY_STATUS = Route(PathPattern("/ws", (("ws", False),)), None)


def handshake(extra: bytes = b"") -> Handshake:
    found = parse_head(UPGRADE + extra + b"\r\n")
    assert isinstance(found, Handshake)
    return found


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_a_whole_page(reason):
    head, _, body = refusal(Deny(reason, Step.HEAD, note="canary")).partition(b"\r\n\r\n")
    status_line, *lines = head.decode("ascii").split("\r\n")
    headers = {line.split(": ", 1)[0]: line.split(": ", 1)[1] for line in lines}
    ending = ENDINGS[reason] if ENDINGS[reason].status else ENDINGS[Reason.INTERNAL]
    status = ending.status or 0
    assert status_line == f"HTTP/1.1 {status} {PHRASES[status]}"
    assert int(headers["Content-Length"]) == len(body)
    assert json.loads(body) == {
        "type": "about:blank",
        "title": PHRASES[status],
        "status": status,
        "reason": ending.name,
    }
    assert headers["Connection"].split(", ")[0] == "close"
    assert b"canary" not in body


def test_what_belongs_to_one_status_stands_only_there():
    for reason, line in (
        (Reason.CREDENTIAL_MISSING, b'WWW-Authenticate: Bearer realm="doorward"\r\n'),
        (Reason.METHOD, b"Allow: GET\r\n"),
        (Reason.NOT_AN_UPGRADE, b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"),
    ):
        with_it = {other for other in Reason if line in refusal(Deny(other, Step.HEAD))}
        assert {ENDINGS[other].status for other in with_it} == {ENDINGS[reason].status}


def test_retry_after_is_whole_and_never_early():
    assert b"Retry-After: 3\r\n" in refusal(Deny(Reason.ADDRESS_RATE, Step.ADDRESS, retry_after=2.01))
    assert b"Retry-After: 1\r\n" in refusal(Deny(Reason.DRAINING, Step.HEAD, retry_after=0.0))
    assert b"Retry-After" not in refusal(Deny(Reason.ADDRESS_RATE, Step.ADDRESS))
    assert b"Retry-After" not in refusal(Deny(Reason.TOKEN_EXPIRED, Step.PROVE, retry_after=5.0))


def test_a_head_request_gets_no_body():
    assert refusal(Deny(Reason.METHOD, Step.UPGRADE), head_only=True).endswith(b"\r\n\r\n")


def test_a_close_is_for_strict_upgrades_of_routes_that_want_it():
    deny = Deny(Reason.TOKEN_EXPIRED, Step.PROVE)
    page = refusal_by_close(deny, handshake(), BY_CLOSE)
    assert page is not None
    assert page.endswith(b"\x88\x12" + (4401).to_bytes(2) + b"doorward:refused")
    for other, route in (
        (deny, BY_STATUS),
        (deny, None),
        (Deny(Reason.WEBSOCKET_VERSION, Step.UPGRADE), BY_CLOSE),
        (Deny(Reason.DRAINING, Step.HEAD), BY_CLOSE),
        (Deny(Reason.ROUTE_UNKNOWN, Step.ROUTE), BY_CLOSE),
    ):
        assert refusal_by_close(other, handshake(), route) is None


@pytest.mark.parametrize(
    ("offers", "chosen"),
    [
        (b"", None),
        (b"chat.v1, doorward.v1", b"doorward.v1"),
        (b"chat.v1, doorward.plain, doorward.token.x", b"doorward.plain"),
        (b"doorward.token.x, chat.v1, chat.v2", b"chat.v1"),
        (b"doorward.token.x", None),
    ],
)
def test_a_browser_must_see_one_of_its_offers(offers, chosen):
    extra = b"Sec-WebSocket-Protocol: " + offers + b"\r\n" if offers else b""
    page = refusal_by_close(Deny(Reason.TOKEN_EXPIRED, Step.PROVE), handshake(extra), BY_CLOSE)
    assert page is not None
    line = b"Sec-WebSocket-Protocol: " + (chosen or b"") + b"\r\n"
    assert (line in page) == (chosen is not None)
    assert b"token" not in page


@pytest.mark.parametrize("reason", list(Reason))
def test_to_a_proxy_that_asks_it_is_401_or_403(reason):
    deny = Deny(reason, Step.HEAD, retry_after=2.0)
    head, _, body = refusal(deny, verified=True).partition(b"\r\n\r\n")
    status = 401 if reason is Reason.CREDENTIAL_MISSING else 403
    assert head.startswith(f"HTTP/1.1 {status} {PHRASES[status]}\r\nConnection: close\r\n".encode())
    assert (json.loads(body)["status"], json.loads(body)["reason"]) == (status, ENDINGS[reason].name)
    assert (b"\r\nRetry-After: 2" in head) is (ENDINGS[reason].status in (429, 503))
    assert refusal(deny) == refusal(deny, verified=False)
