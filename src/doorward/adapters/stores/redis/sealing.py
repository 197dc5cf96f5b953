"""A ticket as text that only who has the key can make: in Redis others may write, and nothing they write is believed.

JSON under HMAC-SHA256. The seal covers the digest that it is kept under and the server's life, so that a sealed ticket
can be neither put under another digest nor brought into a later life.
"""

import hmac
import json
from typing import Final

from doorward.adapters.stores.rows import principal_of, principal_text
from doorward.ports import StoreError
from doorward.values.ticket import Ticket

_SIZE: Final = 32
_FORM: Final = b"doorward/ticket/1\0"


class SealError(ValueError):
    """It was not sealed with this key, for this digest, in this life."""


class TicketSeal:
    """`key` is at least 32 bytes, derived from the master secret for the bus."""

    def __init__(self, key: bytes) -> None:
        if len(key) < _SIZE:
            raise ValueError(f"the key that seals tickets has at least {_SIZE} bytes")
        self._key = key

    def close(self, ticket: Ticket, *, life: str) -> bytes:
        text = json.dumps(
            {
                "principal": principal_text(ticket.principal),
                "connection": ticket.connection,
                "issued_at": ticket.issued_at,
                "expires_at": ticket.expires_at,
                "path": ticket.path,
                "origin": ticket.origin,
            }
        ).encode()
        return self._seal(text, ticket.digest, life) + text

    def open(self, sealed: bytes, *, digest: bytes, life: str) -> Ticket:
        """Raises SealError; StoreError for what we sealed and can't read, as another version may have."""
        seal, text = sealed[:_SIZE], sealed[_SIZE:]
        if not hmac.compare_digest(seal, self._seal(text, digest, life)):
            raise SealError("the seal does not fit")
        try:
            fields = json.loads(text)
            return Ticket(
                digest=digest,
                principal=principal_of(fields["principal"]),
                connection=fields["connection"],
                issued_at=fields["issued_at"],
                expires_at=fields["expires_at"],
                path=fields["path"],
                origin=fields["origin"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError("a stored ticket can't be read") from error

    def _seal(self, text: bytes, digest: bytes, life: str) -> bytes:
        bound = life.encode()
        head = _FORM + len(digest).to_bytes(2) + digest + len(bound).to_bytes(2) + bound
        return hmac.digest(self._key, head + text, "sha256")

    def __repr__(self) -> str:
        return "<TicketSeal ***>"
