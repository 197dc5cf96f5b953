"""Why a connection ended, for the person on the page: one sentence for each ending. A test proves the table total."""

from collections.abc import Mapping
from typing import Final

WHY: Final[Mapping[str, str]] = {
    "expired": "Nobody renewed in time, and no connection outlives the token that opened it.",
    "revoked": "An operator withdrew this identity's authority while it was connected.",
    "unauthenticated": "Nothing was shown that says who this is.",
    "refused": (
        "What was shown is not accepted. Which of many reasons it was stays in the audit log; "
        "after a revocation, only what was issued more than two seconds later counts."
    ),
    "forbidden": "Who this is was clear, and that they may not is as well: a role, an origin or a ban forbids it.",
    "malformed": "The request or a control message was not well-formed.",
    "not_found": "There is no such room here.",
    "authentication_timeout": "The proof of who this is came too late.",
    "idle": "Nobody said anything for too long.",
    "lifetime": "It had lived as long as any connection may.",
    "no_pong": "The other end did not answer any more.",
    "connection_limit": "This identity or address has as many connections as it may.",
    "replaced": "A newer connection of the same identity took its place.",
    "rate_limited": "Too much, too fast.",
    "message_too_big": "A message was larger than this route takes.",
    "invalid_text": "A text message was not text.",
    "protocol_error": "The WebSocket protocol was broken.",
    "closed_by_operator": "An operator closed this connection.",
    "draining": "The gateway is about to stop.",
    "unavailable": "The gateway can't ask who this is at the moment, so nobody is let in.",
    "overloaded": "The gateway has as much to do as it can.",
    "slow_consumer": "This end took its messages too slowly.",
    "backend_unavailable": "The chat behind the gateway is not there.",
    "backend_timeout": "The chat behind the gateway did not answer in time.",
    "internal": "The gateway made a mistake, and says no more about it here.",
}
