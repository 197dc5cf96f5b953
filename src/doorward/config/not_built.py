"""The keys of PRODUCT section 4 that this version does not carry out: accepted at their default, otherwise refused.

Silence would be worse than refusal: a user who writes protection = "signed" must not run without it. A key leaves this
table in the commit that builds it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from doorward.config.problem import Fault, Key
from doorward.config.schema import Settings


@dataclass(frozen=True, slots=True)
class NotBuilt:
    """`key` with "*" for any element. `accepted` are the values that change nothing; of a list, its items."""

    key: tuple[str, ...]
    accepted: tuple[object, ...]
    reason: str


_ACCOUNTS: Final = "there are no accounts yet"
_SESSIONS: Final = "there are no sessions yet: credentials are tokens and tickets"
_CERTIFICATES: Final = "client certificates are no credential yet"
_RULES: Final = "there are no message rules yet"


def _of(key: str, *accepted: object, why: str) -> NotBuilt:
    return NotBuilt(tuple(key.split(".")), accepted, why)


NOT_BUILT: Final = (
    _of("server.tls.client_ca_file", why=_CERTIFICATES),
    _of("server.tls.client_certificates", "off", why=_CERTIFICATES),
    _of("tokens.format", "jwt", why="our own tokens are signed, not looked up"),
    _of("tokens.refresh_ttl", 2592000.0, why="refresh tokens come with accounts"),
    _of("issuers.*.introspection", why="tokens are verified by key, not by introspection"),
    _of("providers", why="sign-in with OpenID Connect comes later"),
    _of("passwords.minimum_length", 12, why=_ACCOUNTS),
    _of("passwords.lockout.failures", 5, why=_ACCOUNTS),
    _of("passwords.lockout.within", 900.0, why=_ACCOUNTS),
    _of("passwords.lockout.duration", 900.0, why=_ACCOUNTS),
    _of("cluster_limits.logins_per_address", Settings().cluster_limits.logins_per_address, why=_ACCOUNTS),
    _of("routes.*.credentials", "token", "ticket", why=_SESSIONS),
    _of("routes.*.places", "header", "subprotocol", "query", why="cookies and first messages come with sessions"),
    _of("routes.*.subprotocols", why="they are for routes that authenticate by message, which come later"),
    _of("routes.*.lease.recheck_every", 60.0, why=_SESSIONS),
    _of("routes.*.lease.recheck_grace", 300.0, why=_SESSIONS),
    _of("routes.*.lease.message_deadline", 5.0, why="no route authenticates by message yet"),
    _of("routes.*.message_token", False, why=_RULES),
    _of("routes.*.protection", "none", why="messages are neither signed nor encrypted yet"),
    _of("routes.*.type_field", "type", why=_RULES),
    _of("routes.*.unlisted_messages", "refuse", why=_RULES),
    _of("routes.*.binary_messages", "deliver", why=_RULES),
    _of("routes.*.messages", why=_RULES),
    _of("alerts", why="anomalies and alerts come later"),
)


def refusals(settings: Settings) -> Iterator[Fault]:
    """A fault for every value that this version would not carry out."""
    for entry in NOT_BUILT:
        for key, value in _values(settings, entry.key, ()):
            if value is None or value in entry.accepted:
                continue
            if isinstance(value, tuple):
                for index, item in enumerate(value):
                    if item not in entry.accepted:
                        yield _refusal((*key, index), item, entry.reason)
            else:
                yield _refusal(key, value, entry.reason)


def _refusal(key: Key, value: object, reason: str) -> Fault:
    # words of the configuration may be repeated; anything else could be a secret
    named = f'"{value}" is' if isinstance(value, str) and value.isalpha() and len(value) < 20 else "is"
    return Fault(key, f"{named} not in this version", reason)


def _values(node: Any, key: tuple[str, ...], at: Key) -> Iterator[tuple[Key, Any]]:
    """What stands under a key of the table, for each element of its arrays."""
    if not key:
        yield at, node
    elif node is None:
        return
    elif key[0] == "*":
        for index, element in enumerate(node):
            yield from _values(element, key[1:], (*at, index))
    elif isinstance(node, BaseModel):
        yield from _values(getattr(node, key[0]), key[1:], (*at, key[0]))
