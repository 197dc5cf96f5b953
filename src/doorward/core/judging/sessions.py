"""A session is good while it is found and not over; its second proof is step 9's to check."""

from doorward.values.decision import MISSING, Answer, Deny, Found, Reason, Step
from doorward.values.session import Session


def judge_session(answer: Answer[object], *, now: float) -> Session | Deny:
    """The session, or why not. `now` in epoch seconds."""
    match answer:
        case Found(Session() as session) if now < session.expires_at:
            return session
        case Found(Session()):
            return Deny(Reason.SESSION_EXPIRED, Step.PROVE)
        case _ if answer is MISSING:
            return Deny(Reason.SESSION_UNKNOWN, Step.PROVE)
        case _:
            return Deny(Reason.STORE_UNAVAILABLE, Step.PROVE)
