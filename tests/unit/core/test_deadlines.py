"""Which deadline has passed, and when to look again."""

from typing import Any

import pytest

from doorward.core.deadlines import (
    LOOK_EVERY,
    MESSAGE_WITHIN,
    NEVER,
    STALL_WITHIN,
    Marks,
    next_due,
    over,
    renewal_is_due,
)
from doorward.core.lifecycle import Event
from doorward.values.lease import Lease

NOW = 1000.0
FAR = NOW + 9999


def marks(*, renew_at: float | None = None, deadline: float | None = FAR, ends_at: float | None = FAR, **more: Any):
    lease = Lease(NOW - 10, renew_at, deadline, ends_at)
    quiet = {
        "renewing": False,
        "ping_at": FAR,
        "pong_by": NEVER,
        "report_at": FAR,
        "idle_at": None,
        "stalled_since": None,
        "message_since": None,
    }
    return Marks(lease=lease, **{**quiet, **more})


DEADLINES: list[tuple[dict, Event]] = [
    ({"deadline": NOW}, Event.LEASE_OVER),
    ({"ends_at": NOW}, Event.LIFETIME_OVER),
    ({"pong_by": NOW}, Event.PONG_LATE),
    ({"idle_at": NOW}, Event.IDLE_OVER),
    ({"stalled_since": NOW - STALL_WITHIN}, Event.STALLED),
    ({"message_since": NOW - MESSAGE_WITHIN}, Event.PEER_FAULT),
]


@pytest.mark.parametrize(("mark", "event"), DEADLINES)
def test_each_passes_at_its_instant_and_not_before(mark, event) -> None:
    assert over(marks(**mark), NOW) is event
    assert over(marks(**mark), NOW - 0.001) is None


def test_none_has_passed() -> None:
    assert over(marks(deadline=None, ends_at=None), NOW) is None


@pytest.mark.parametrize("first", range(len(DEADLINES)))
def test_of_several_the_one_of_authority_comes_first(first) -> None:
    late: dict = {}
    for mark, _ in DEADLINES[first:]:
        late |= mark
    assert over(marks(**late), NOW) is DEADLINES[first][1]


@pytest.mark.parametrize(
    ("renew_at", "renewing", "due"),
    [(None, False, False), (NOW, False, True), (NOW + 1, False, False), (NOW, True, False)],
)
def test_renewal_is_due_once(renew_at, renewing, due) -> None:
    assert renewal_is_due(marks(renew_at=renew_at, renewing=renewing), NOW) is due


@pytest.mark.parametrize(
    ("mark", "due"),
    [
        ({}, NOW + LOOK_EVERY),
        ({"deadline": None, "ends_at": None}, NOW + LOOK_EVERY),
        ({"renew_at": NOW + 1}, NOW + 1),
        ({"renew_at": NOW - 1, "renewing": True}, NOW + LOOK_EVERY),
        ({"deadline": NOW + 2}, NOW + 2),
        ({"ends_at": NOW + 3}, NOW + 3),
        ({"ping_at": NOW + 4}, NOW + 4),
        ({"pong_by": NOW + 5}, NOW + 5),
        ({"report_at": NOW + 6}, NOW + 6),
        ({"idle_at": NOW + 7}, NOW + 7),
        ({"stalled_since": NOW - 2}, NOW - 2 + STALL_WITHIN),
        ({"message_since": NOW - 25}, NOW - 25 + MESSAGE_WITHIN),
        ({"deadline": NOW - 5}, NOW - 5),
    ],
)
def test_the_next_look_is_at_the_earliest(mark, due) -> None:
    assert next_due(marks(**mark), NOW) == due
