"""A connection's deadlines: which one has passed, and which comes next. All are absolute instants in epoch seconds."""

from typing import Final, NamedTuple

from doorward.core.lifecycle import Event
from doorward.values.lease import Lease

PING_EVERY: Final = 20.0
PONG_WITHIN: Final = 20.0
CLOSE_WITHIN: Final = 5.0
STALL_WITHIN: Final = 10.0
MESSAGE_WITHIN: Final = 30.0
LOOK_EVERY: Final = 10.0
REPORT_EVERY: Final = 300.0
NEVER: Final = float("inf")


class Marks(NamedTuple):
    """What an open connection waits for. `idle_at`: when it will have been idle too long; None: that never ends it."""

    lease: Lease
    renewing: bool
    ping_at: float
    pong_by: float
    report_at: float
    idle_at: float | None
    stalled_since: float | None
    message_since: float | None


def over(marks: Marks, now: float) -> Event | None:
    """The deadline that has passed, the one that authority sets before those of manners."""
    lease = marks.lease
    if lease.deadline is not None and now >= lease.deadline:
        return Event.LEASE_OVER
    if lease.ends_at is not None and now >= lease.ends_at:
        return Event.LIFETIME_OVER
    if now >= marks.pong_by:
        return Event.PONG_LATE
    if marks.idle_at is not None and now >= marks.idle_at:
        return Event.IDLE_OVER
    if marks.stalled_since is not None and now >= marks.stalled_since + STALL_WITHIN:
        return Event.STALLED
    if marks.message_since is not None and now >= marks.message_since + MESSAGE_WITHIN:
        return Event.PEER_FAULT
    return None


def renewal_is_due(marks: Marks, now: float) -> bool:
    return not marks.renewing and marks.lease.renew_at is not None and now >= marks.lease.renew_at


def next_due(marks: Marks, now: float) -> float:
    """When to look again: at the earliest deadline, and at the latest in LOOK_EVERY seconds, for a stall is silent."""
    lease = marks.lease
    dues = [now + LOOK_EVERY, marks.ping_at, marks.pong_by, marks.report_at]
    if lease.renew_at is not None and not marks.renewing:
        dues.append(lease.renew_at)
    dues += [end for end in (lease.deadline, lease.ends_at, marks.idle_at) if end is not None]
    if marks.stalled_since is not None:
        dues.append(marks.stalled_since + STALL_WITHIN)
    if marks.message_since is not None:
        dues.append(marks.message_since + MESSAGE_WITHIN)
    return min(dues)
