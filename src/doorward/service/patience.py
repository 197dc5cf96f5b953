"""Whoever can't be judged because a store or verifier is away is told when to try again, each at another time."""

from dataclasses import replace
from math import floor
from typing import Final

from doorward.ports import Entropy
from doorward.values.decision import Deny, Reason

UNJUDGED: Final = frozenset({Reason.STORE_UNAVAILABLE, Reason.VERIFIER_UNAVAILABLE, Reason.ADMISSION_TIMEOUT})
LONGEST: Final = 5
"""Whole seconds, from 1."""


def patient(deny: Deny, entropy: Entropy) -> Deny:
    """The same refusal, with a `retry_after` where it is nobody's fault and has none."""
    if deny.reason not in UNJUDGED or deny.retry_after is not None:
        return deny
    chance = int.from_bytes(entropy.bytes(4)) / (1 << 32)
    return replace(deny, retry_after=1.0 + floor(chance * LONGEST))
