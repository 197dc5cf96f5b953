"""An address range or a subject that may not enter, until an instant."""

from dataclasses import dataclass
from typing import Final

from doorward.values.rules import Network

LONGEST: Final = 10 * 365 * 86400.0
"""Seconds that a ban may last which ends at all."""
WIDEST: Final = {4: 16, 6: 32}
"""By the version of IP, the shortest prefix that is banned without a second thought: /0 keeps everybody out."""


def is_wide(network: Network) -> bool:
    """Is it larger than anybody bans every day?"""
    return network.prefixlen < WIDEST[network.version]


@dataclass(frozen=True, slots=True)
class Ban:
    """`network` or `subject` is set. Issuer or tenant None: any. `expires_at` in epoch seconds, None: never."""

    network: Network | None
    subject: str | None
    issuer: str | None
    tenant: str | None
    cause: str
    made_at: float
    expires_at: float | None
    by: str = ""
    id: int = 0

    @property
    def address(self) -> str | None:
        """The network as text; of a single address, that address."""
        if self.network is None:
            return None
        alone = self.network.prefixlen == self.network.max_prefixlen
        return str(self.network.network_address if alone else self.network)
