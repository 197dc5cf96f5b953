"""A permission is had exactly, or by a wildcard of a role."""

import pytest

from doorward.core.permissions import effective, permits

ROLES = {"member": ("chat:join", "chat:send"), "moderator": ("chat:*",), "root": ("*",), "empty": ()}


@pytest.mark.parametrize(
    ("granted", "roles", "whole"),
    [
        ((), (), set()),
        (("a",), (), {"a"}),
        (("a",), ("member",), {"a", "chat:join", "chat:send"}),
        (("chat:*", "*", "a*b", "c"), (), {"c"}),
        ((), ("moderator", "member"), {"chat:*", "chat:join", "chat:send"}),
        ((), ("nobody", "empty", "Member", " member"), set()),
    ],
)
def test_effective(granted, roles, whole) -> None:
    assert effective(granted, roles, ROLES) == frozenset(whole)


@pytest.mark.parametrize(
    ("have", "wanted", "may"),
    [
        ({"chat:send"}, "chat:send", True),
        ({"chat:*"}, "chat:send", True),
        ({"chat:*"}, "chat:send:now", True),
        ({"chat:send:*"}, "chat:send:now", True),
        ({"*"}, "anything", True),
        ({"*"}, "a:b", True),
        (set(), "chat:send", False),
        ({"chat"}, "chat:send", False),
        ({"chat:send"}, "chat", False),
        ({"chat:*"}, "chat", False),
        ({"chat:*"}, "chatter:send", False),
        ({"chat:*"}, "chat:", True),
        ({"chat:send:*"}, "chat:send", False),
        ({"chat:*:now"}, "chat:send:now", False),
        ({"ch*"}, "chat", False),
        ({"read"}, "thread", False),
        ({"Chat:send"}, "chat:send", False),
        ({":*"}, ":a", False),
    ],
)
def test_permits(have, wanted, may) -> None:
    assert permits(frozenset(have), wanted) is may
