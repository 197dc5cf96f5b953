"""Who they are once proven. Two issuers' alice are two people."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from doorward.values.credential import Kind


class Identity(NamedTuple):
    """(issuer, subject, tenant), equal only when all three are; tenant is "" where there is none."""

    issuer: str
    subject: str
    tenant: str = ""

    @property
    def text(self) -> str:
        """issuer|subject|tenant, as acknowledgements name those whom they hit."""
        return "|".join(self)

    @classmethod
    def of_text(cls, text: str) -> "Identity":
        """A subject may have bars in it, as auth0|7f3a has; an issuer is a URL and has none."""
        issuer, _, rest = text.partition("|")
        subject, _, tenant = rest.rpartition("|")
        return cls(issuer, subject, tenant)


@dataclass(frozen=True, slots=True)
class Principal:
    """A proven identity with its authority.

    `issued_at` is when the proof was issued, in epoch seconds (None counts as before everything);
    `expires_at` is exact: nothing outlives it. `granted` are the permissions that the proof itself carried,
    `permissions` those and the roles' together, wildcards included. `claims` keeps only what routes require.
    """

    identity: Identity
    kind: Kind
    issued_at: float | None
    expires_at: float | None
    session: str = ""
    token_id: str = ""
    roles: tuple[str, ...] = ()
    granted: tuple[str, ...] = ()
    permissions: frozenset[str] = frozenset()
    claims: Mapping[str, object] = field(default_factory=dict)
