"""A session is good while it is found and not over."""

import pytest

from doorward.core.judging.sessions import judge_session
from doorward.values.decision import MISSING, Deny, Found, Reason, Step, Unavailable
from doorward.values.session import Session
from tests.unit.core.making import NOW, principal

SESSION = Session(id="s1", principal=principal(), csrf_digest=b"", expires_at=NOW + 10)


def test_a_good_one() -> None:
    assert judge_session(Found(SESSION), now=NOW + 9.999) is SESSION


@pytest.mark.parametrize(
    ("answer", "now", "reason"),
    [
        (Found(SESSION), NOW + 10, Reason.SESSION_EXPIRED),
        (MISSING, NOW, Reason.SESSION_UNKNOWN),
        (Unavailable("down"), NOW, Reason.STORE_UNAVAILABLE),
        (Found("nonsense"), NOW, Reason.STORE_UNAVAILABLE),
    ],
)
def test_others(answer, now, reason) -> None:
    assert judge_session(answer, now=now) == Deny(reason, Step.PROVE)
