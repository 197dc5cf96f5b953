"""A signed-in state that may outlive and span many connections; the store knows only digests."""

from dataclasses import dataclass

from doorward.values.principal import Principal


@dataclass(frozen=True, slots=True)
class Session:
    """`csrf_digest` is SHA-256 of the CSRF token that is bound to this session (ORG-06)."""

    id: str
    principal: Principal
    csrf_digest: bytes
    expires_at: float
