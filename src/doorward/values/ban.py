"""An address range or a subject that may not enter, until an instant."""

from dataclasses import dataclass

from doorward.values.rules import Network


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
