"""One page for every ending and both forms: the gateway writes it as bytes, the middleware as messages."""

import json

import pytest

from doorward.core.endings import ENDINGS
from doorward.core.refusing import PHRASES, refusal_close, refusal_page
from doorward.values.decision import Deny, Reason, Step
from doorward.values.rules import PathPattern, RefuseAs, Route
from tests.unit.core.making import handshake

BY_CLOSE = Route(PathPattern("/a", (("a", False),)), None, refuse_as=RefuseAs.CLOSE)


@pytest.mark.parametrize("reason", list(Reason))
def test_a_page_says_its_ending_and_no_more(reason) -> None:
    page = refusal_page(Deny(reason, Step.PROVE, retry_after=2.4, note="canary"))
    ending = ENDINGS[reason] if ENDINGS[reason].status else ENDINGS[Reason.INTERNAL]
    assert page.status == ending.status
    assert json.loads(page.body) == {
        "type": "about:blank",
        "title": PHRASES[page.status],
        "status": page.status,
        "reason": ending.name,
    }
    headers = dict(page.headers)
    assert len(headers) == len(page.headers)
    assert headers["Content-Length"] == str(len(page.body))
    assert headers["Connection"].startswith("close")
    assert headers.get("Retry-After") == ("3" if page.status in (429, 503) else None)
    assert ("WWW-Authenticate" in headers) is (page.status == 401)
    assert "canary" not in str(page)


def test_a_proxy_that_asks_is_told_less() -> None:
    assert refusal_page(Deny(Reason.ROUTE_UNKNOWN, Step.ROUTE), verified=True).status == 403
    assert refusal_page(Deny(Reason.CREDENTIAL_MISSING, Step.READ), verified=True).status == 401


def test_a_close_where_the_route_wants_it_and_the_ending_has_one() -> None:
    shown = handshake("/a", "Sec-WebSocket-Protocol: chat.v1, doorward.v1")
    deny = Deny(Reason.TOKEN_EXPIRED, Step.PROVE)
    assert refusal_close(deny, shown, BY_CLOSE) == ("doorward.v1", 4401, "doorward:refused")
    assert refusal_close(Deny(Reason.KEY_MALFORMED, Step.UPGRADE), shown, BY_CLOSE) is None
    assert refusal_close(Deny(Reason.ROUTE_UNKNOWN, Step.ROUTE), shown, BY_CLOSE) is None
    assert refusal_close(deny, shown, None) is None
