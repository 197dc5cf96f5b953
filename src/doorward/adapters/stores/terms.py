"""What every store keeps, and for how long: numbers that must be the same whichever one is configured."""

from typing import Final

# An expired ticket is told from an unknown one for this long (the audit's difference, never the peer's).
EXPIRED_TICKET_KEPT: Final = 60.0

# A revocation stays for this long after it is over. Clocks err: to drop it by one that was ahead would let back in what
# it refused.
REVOCATION_KEPT: Final = 3600.0

# More keys than this are not counted at once: a new one waits until the TAT of another has passed (RAT-04).
RATE_KEYS: Final = 65_536

# A worker that has not been heard of for this long is not there.
ALIVE_WITHIN: Final = 10.0

# One that did not leave may live all the same, cut off, and hold connections: for so long it is named.
UNHEARD_KEPT: Final = 3600.0

# Slots of a process that has not been heard of for this long come free with the next beat of another. Beats come every
# few seconds, so that a place that kill -9 left behind is free again within 10 s.
SLOT_LEASE: Final = 7.0
