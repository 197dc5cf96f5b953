"""Values as text and back: JSON only, so that what is read from a file can be nothing but values."""

import json
from typing import Any

from doorward.ports import StoreError
from doorward.values.credential import Kind
from doorward.values.principal import Identity, Principal


def texts(values: tuple[str, ...] | list[str]) -> str:
    return json.dumps(values)


def texts_of(text: str) -> tuple[str, ...]:
    """Raises StoreError."""
    values = _loads(text)
    if not isinstance(values, list):
        raise StoreError("a stored list is none")
    return tuple(map(str, values))


def principal_text(principal: Principal) -> str:
    return json.dumps(
        {
            "identity": principal.identity,
            "kind": principal.kind,
            "issued_at": principal.issued_at,
            "expires_at": principal.expires_at,
            "session": principal.session,
            "token_id": principal.token_id,
            "roles": principal.roles,
            "granted": principal.granted,
            "permissions": sorted(principal.permissions),
            "claims": dict(principal.claims),
        }
    )


def principal_of(text: str) -> Principal:
    """Raises StoreError."""
    fields = _loads(text)
    try:
        return Principal(
            identity=Identity(*fields["identity"]),
            kind=Kind(fields["kind"]),
            issued_at=fields["issued_at"],
            expires_at=fields["expires_at"],
            session=fields["session"],
            token_id=fields["token_id"],
            roles=tuple(fields["roles"]),
            granted=tuple(fields["granted"]),
            permissions=frozenset(fields["permissions"]),
            claims=fields["claims"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError("a stored principal can't be read") from error


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise StoreError("a stored JSON text can't be read") from error
