"""Whoever can't be judged because a store or verifier is away is told when to try again, each at another time."""

from dataclasses import replace
from typing import Final

from doorward.ports import Entropy
from doorward.service.chance import seconds_within
from doorward.values.decision import Deny, Reason

UNJUDGED: Final = frozenset({Reason.STORE_UNAVAILABLE, Reason.VERIFIER_UNAVAILABLE, Reason.ADMISSION_TIMEOUT})
LONGEST: Final = 5
"""Whole seconds, from 1."""


def patient(deny: Deny, entropy: Entropy) -> Deny:
    """The same refusal, with a `retry_after` where it is nobody's fault and has none."""
    if deny.reason not in UNJUDGED or deny.retry_after is not None:
        return deny
    return replace(deny, retry_after=seconds_within(LONGEST, entropy))
