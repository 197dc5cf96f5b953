"""A ticket lends its parent's authority once, in its time, where it was bought for, never longer than the parent."""

from doorward.values.decision import Deny, Reason, Step
from doorward.values.principal import Principal
from doorward.values.ticket import SpentTicket, Ticket


def judge_ticket(
    answer: Ticket | SpentTicket, *, path: str, origin: str | None, now: float
) -> tuple[Principal, str] | Deny:
    """The parent's Principal and the connection id that was promised with the ticket; `now` in epoch seconds.

    `path` and `origin` are the handshake's; an unbound ticket fits any. A handshake without Origin has passed step 6,
    which knows whether the route allows that (SECURITY TKT-05, -06).
    """
    if isinstance(answer, SpentTicket):
        return _deny(Reason.TICKET_SPENT, f"spent by connection {answer.connection}")
    if now >= answer.expires_at:
        return _deny(Reason.TICKET_EXPIRED, "the ticket")
    parents_end = answer.principal.expires_at
    if parents_end is not None and now >= parents_end:
        return _deny(Reason.TICKET_EXPIRED, "the credential that bought it")
    if answer.path is not None and answer.path != path:
        return _deny(Reason.TICKET_ELSEWHERE, "bought for another path")
    if answer.origin is not None and origin is not None and answer.origin != origin:
        return _deny(Reason.TICKET_ELSEWHERE, "bought by another origin")
    return answer.principal, answer.connection


def _deny(reason: Reason, note: str) -> Deny:
    return Deny(reason, Step.PROVE, note=note)
