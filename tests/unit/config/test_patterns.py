"""Path patterns and templates: a pattern that is accepted can match, one that can't is refused."""

import pytest

from doorward.config import patterns
from doorward.config.grammar import GrammarError
from doorward.config.patterns import covers, path_pattern
from doorward.core.routing import match


def test_a_path_becomes_the_segments_that_the_core_matches() -> None:
    pattern = path_pattern("/chat/{room}/{rest*}")
    assert pattern.segments == (("chat", False), ("room", True))
    assert pattern.rest == "rest"
    assert match(pattern, ["chat", "lobby", "a", "b"]) == (("room", "lobby"), ("rest", "a/b"))


@pytest.mark.parametrize("text", ["/", "/chat", "/chat/", "/{rest*}", "/a.b/c~d/@me", "/chat/{room}/"])
def test_paths_that_match_what_they_say(text) -> None:
    pattern = path_pattern(text)
    plain = text.replace("{room}", "lobby").replace("{rest*}", "x")
    assert match(pattern, plain.split("/")[1:]) is not None


@pytest.mark.parametrize(
    "wrong",
    [
        "chat", "", "/a//b", "//", "/../a", "/a/.", "/{a}/{a}", "/{rest*}/x", "/x{a}", "/{a}b", "/{1a}", "/{}",
        "/a%20b", "/a b", "/a?b", "/a#b", "/ü", "/{a", "/a}", "/{a}/{a*}", "/{a**}", 7,
    ],
)  # fmt: skip
def test_paths_that_never_arrive(wrong) -> None:
    with pytest.raises(GrammarError):
        path_pattern(wrong)


@pytest.mark.parametrize(
    ("first", "later", "is_dead"),
    [
        ("/{rest*}", "/chat", True),
        ("/{rest*}", "/{rest*}", True),
        ("/chat/{room}", "/chat/lobby", True),
        ("/chat/{room}", "/chat/{name}", True),
        ("/chat/{rest*}", "/chat", True),
        ("/chat/{rest*}", "/chat/a/{b*}", True),
        ("/chat/lobby", "/chat/{room}", False),
        ("/chat/{room}", "/chat/@me", False),
        ("/chat/{room}", "/chat/", False),
        ("/chat/{room}", "/chat/{room}/x", False),
        ("/chat/{room}", "/chat/{rest*}", False),
        ("/chat/{rest*}", "/{rest*}", False),
        ("/a", "/b", False),
    ],
)
def test_a_later_route_is_dead_when_an_earlier_one_takes_all_its_paths(first, later, is_dead) -> None:
    assert covers(path_pattern(first), path_pattern(later)) is is_dead


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("ws://127.0.0.1:9000", (False, "127.0.0.1", 9000, "")),
        ("wss://chat.internal/rooms/{room}", (True, "chat.internal", 443, "/rooms/{room}")),
        ("ws://[::1]:9000/", (False, "::1", 9000, "/")),
        ("ws://backend", (False, "backend", 80, "")),
    ],
)
def test_backends(text, parts) -> None:
    assert patterns.backend(text)[1:] == parts


@pytest.mark.parametrize(
    "wrong",
    [
        "http://127.0.0.1", "ws://", "ws://user:pw@h", "ws://h?x=1", "ws://h/#f", "ws://{room}.internal", "ws://h:{port}",
        "ws://h:0", "ws://h/a b", "ws://h/{", "ws://h/{a*}", "h:9000", "ws:/h", "ws://h/%zz", 9,
    ],
)  # fmt: skip
def test_no_backends(wrong) -> None:
    with pytest.raises(GrammarError) as caught:
        patterns.backend(wrong)
    assert "pw" not in f"{caught.value}{caught.value.hint}"


def test_a_template_names_parameters_of_its_path() -> None:
    pattern = path_pattern("/chat/{room}")
    assert patterns.unknown_placeholders("rooms/{room}:join", pattern) == []
    assert patterns.unknown_placeholders("{tenant}/{room}", pattern) == ["tenant"]


@pytest.mark.parametrize("wrong", ["", "{", "a}", "{a b}", "{}", "{{a}}", 7])
def test_no_templates(wrong) -> None:
    with pytest.raises(GrammarError):
        patterns.template(wrong)


@pytest.mark.parametrize("text", ["chat:join", "rooms/{room}:join", "a"])
def test_permissions_of_routes(text) -> None:
    assert patterns.permission(text) == text


@pytest.mark.parametrize("wrong", ["*", "chat:*", "a b", "a,b", "", "{", "ü", 7])
def test_no_permissions_of_routes(wrong) -> None:
    with pytest.raises(GrammarError):
        patterns.permission(wrong)


@pytest.mark.parametrize("text", ["*", "chat:*", "a:b:*", "chat:send"])
def test_permissions_of_roles(text) -> None:
    assert patterns.granted(text) == text


@pytest.mark.parametrize("wrong", ["chat:s*", "*:send", "chat*", "**", "a b", "", "{room}:x", 7])
def test_no_permissions_of_roles(wrong) -> None:
    with pytest.raises(GrammarError):
        patterns.granted(wrong)
