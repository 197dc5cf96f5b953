"""A permission is had exactly, or by a wildcard that a role was given; a token can't bring a wildcard of its own."""

from collections.abc import Iterable, Mapping


def effective(granted: Iterable[str], roles: Iterable[str], meaning: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    """What a principal may do: the permissions that its proof carried, and those of its roles.

    A role without a meaning gives nothing. Wildcards count only where [roles] writes them (PRODUCT section 4).
    """
    own = {permission for permission in granted if "*" not in permission}
    for role in roles:
        own.update(meaning.get(role, ()))
    return frozenset(own)


def permits(permissions: frozenset[str], wanted: str) -> bool:
    """`chat:send` is permitted by `chat:send`, `chat:*` and `*`; a wildcard covers whole parts between colons."""
    if wanted in permissions or "*" in permissions:
        return True
    end = wanted.rfind(":")
    while end > 0:
        if f"{wanted[:end]}:*" in permissions:
            return True
        end = wanted.rfind(":", 0, end)
    return False
