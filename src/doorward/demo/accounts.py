"""The demo has two users and no default password: theirs are made at random at the first start, and kept."""

import hmac
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

# Each pair of sounds is one of 90: eight of them are 51 bits, and can be typed from a screen.
_CONSONANTS: Final = "bdfghjklmnprstvwyz"
_VOWELS: Final = "aeiou"
_PAIRS: Final = 8


@dataclass(frozen=True, slots=True)
class Account:
    name: str
    password: str = field(repr=False)
    roles: tuple[str, ...]


class AccountsError(Exception):
    """The file of accounts is not what this demo wrote. The text shows no secret."""


def new_accounts() -> tuple[Account, ...]:
    return (
        Account("alice", new_password(), ("member", "staff")),
        Account("bob", new_password(), ("member",)),
    )


def new_password() -> str:
    sounds = [secrets.choice(_CONSONANTS) + secrets.choice(_VOWELS) for _ in range(_PAIRS)]
    return "-".join(first + second for first, second in zip(sounds[::2], sounds[1::2], strict=True))


def write_accounts(accounts: Sequence[Account]) -> str:
    """JSON, for a file that only its owner may read."""
    return json.dumps(
        {account.name: {"password": account.password, "roles": account.roles} for account in accounts}, indent=2
    )


def read_accounts(text: str) -> tuple[Account, ...]:
    """What `write_accounts` wrote. Raises AccountsError."""
    try:
        found = json.loads(text)
        accounts = tuple(
            Account(str(name), _text(about["password"]), tuple(_text(role) for role in about["roles"]))
            for name, about in found.items()
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise AccountsError("is not a file of the demo's accounts: delete it, and new ones are made") from None
    if not accounts:
        raise AccountsError("holds no account: delete it, and new ones are made")
    return accounts


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError
    return value


def proven(accounts: Sequence[Account], *, name: str, password: str) -> Account | None:
    """The account, or None alike for an unknown name and a wrong password, in the same time."""
    found = None
    for account in accounts:
        right = hmac.compare_digest(account.password.encode(), password.encode(errors="replace"))
        if hmac.compare_digest(account.name.encode(), name.encode(errors="replace")) and right:
            found = account
    return found
