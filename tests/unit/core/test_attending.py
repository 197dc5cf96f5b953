"""Our own endpoints are entered by the same first steps as a socket."""

from typing import Any

import pytest

from doorward.core.attending import attend, whence_fault
from doorward.testing import Played, play
from doorward.values.audit import Trail
from doorward.values.ban import Ban
from doorward.values.decision import Deny, Found, Reason, Step, Unavailable
from doorward.values.peer import Peer
from doorward.values.question import AskBan, TakePending, TakeRate
from tests.unit.core.making import LOOPBACK, NOW, handshake, rules

LAW = rules(own_origin="https://gw.example")


def attended(
    *add: str, writes: bool = False, answers: Any = None, trail: Trail | None = None, **changes: Any
) -> Played:
    plain = {"upgrade": None, "connection": None, "sec_websocket_key": None, "sec_websocket_version": None}
    request = handshake("/auth/ticket", *add, **{**plain, "method": "POST", **changes})
    return play(attend(request, LOOPBACK, LAW, writes=writes, trail=trail or Trail()), answers, now=NOW)


def refused(played: Played) -> tuple[Reason, Step]:
    assert isinstance(played.result, Deny)
    return played.result.reason, played.result.step


def test_who_may_come_in_is_known() -> None:
    trail = Trail()
    played = attended("User-Agent: ua", trail=trail)
    assert isinstance(played.result, Peer)
    assert (trail.path, trail.user_agent, trail.peer) == ("/auth/ticket", "ua", played.result)
    assert played.kinds() == [AskBan, TakeRate, TakeRate]
    assert TakePending not in played.kinds()


@pytest.mark.parametrize(
    ("add", "changes", "answers", "found"),
    [
        (["Host: gw.example"], {}, None, (Reason.HEADER_DUPLICATED, Step.UPGRADE)),
        (["Authorization: Bearer x"], {}, None, (Reason.HEADER_DUPLICATED, Step.UPGRADE)),
        ([], {"host": "evil.example"}, None, (Reason.HOST_FOREIGN, Step.UPGRADE)),
        ([], {"x_forwarded_for": "1.2.3.4"}, None, (Reason.FORWARDER_UNTRUSTED, Step.TRANSPORT)),
        ([], {}, {AskBan: Found(Ban(None, None, None, None, "", NOW, None))}, (Reason.ADDRESS_BANNED, Step.ADDRESS)),
        ([], {}, {TakeRate: Found(2.0)}, (Reason.ADDRESS_REFUSALS, Step.ADDRESS)),
        ([], {}, {TakeRate: Unavailable()}, (Reason.STORE_UNAVAILABLE, Step.ADDRESS)),
    ],
)
def test_who_may_not(add, changes, answers, found) -> None:
    assert refused(attended(*add, answers=answers, **changes)) == found


def test_whence_counts_only_where_something_changes() -> None:
    assert isinstance(attended(origin="https://evil.example").result, Peer)
    played = attended(origin="https://evil.example", writes=True)
    assert refused(played) == (Reason.ORIGIN_UNLISTED, Step.ORIGIN)


@pytest.mark.parametrize(
    ("add", "origin", "reason"),
    [
        ([], "https://app.example", None),
        ([], "https://gw.example", None),
        ([], None, None),
        (["Sec-Fetch-Site: same-origin"], None, None),
        (["Sec-Fetch-Site: cross-site"], "https://app.example", None),
        ([], "https://evil.example", Reason.ORIGIN_UNLISTED),
        ([], "null", Reason.ORIGIN_NULL),
        ([], "", Reason.ORIGIN_MALFORMED),
        (["Sec-Fetch-Site: same-origin"], "https://evil.example", Reason.ORIGIN_UNLISTED),
        (["Sec-Fetch-Site: cross-site"], None, Reason.ORIGIN_MISSING),
        (["Sec-Fetch-Site: same-site"], None, Reason.ORIGIN_MISSING),
        (["Sec-Fetch-Site: none"], None, Reason.ORIGIN_MISSING),
        (["Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: same-origin"], None, Reason.ORIGIN_MISSING),
    ],
)
def test_whence(add, origin, reason) -> None:
    """ORG-09"""
    found = whence_fault(handshake("/auth/ticket", *add, origin=origin), LAW)
    assert (None if found is None else found.reason) is reason


def test_an_own_origin_that_is_not_set_lets_nobody_in() -> None:
    found = whence_fault(handshake("/auth/ticket", origin=""), rules())
    assert found is not None
