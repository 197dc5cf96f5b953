"""Step 5: the first route that takes the path, and what its parameters may hold."""

import pytest

from doorward.core.routing import fill, find_route, match
from tests.unit.core.making import pattern, route

ROUTES = (
    route("/"),
    route("/chat/{room}"),
    route("/chat/special"),
    route("/chat/{room}/{user}/log"),
    route("/files/{rest*}"),
    route("/api/{tenant}/{rest*}"),
)


@pytest.mark.parametrize(
    ("path", "which", "parameters"),
    [
        ("/", 0, ()),
        ("/chat/lobby", 1, (("room", "lobby"),)),
        ("/chat/special", 1, (("room", "special"),)),
        ("/chat/a.b_c~d-9", 1, (("room", "a.b_c~d-9"),)),
        ("/chat/a/b/log", 3, (("room", "a"), ("user", "b"))),
        ("/files", 4, (("rest", ""),)),
        ("/files/", 4, (("rest", ""),)),
        ("/files/a/b c/€", 4, (("rest", "a/b c/€"),)),
        ("/api/acme/", 5, (("tenant", "acme"), ("rest", ""))),
        ("/api/acme/x/y", 5, (("tenant", "acme"), ("rest", "x/y"))),
    ],
)
def test_the_first_that_matches(path, which, parameters) -> None:
    assert find_route(ROUTES, path) == (ROUTES[which], parameters)


@pytest.mark.parametrize("path", ["/admin/", "/rooms/a/", "/open"])
def test_a_slash_at_the_end_leads_round_no_route(path: str) -> None:
    """Litestar routes /admin/ and /admin alike: it must not be the last route's terms that it is entered by."""
    routes = (route("/admin"), route("/rooms/{room}"), route("/open/"), route("/{rest*}"))
    assert find_route(routes, path) is None
    for known, which in (("/admin", 0), ("/rooms/a", 1), ("/open/", 2), ("/other/", 3), ("/", 3)):
        found = find_route(routes, known)
        assert found is not None
        assert found[0] is routes[which]


@pytest.mark.parametrize(
    "path",
    [
        "/chat",
        "/chat/",
        "/chat/lobby/",
        "/Chat/lobby",
        "/chat/a b",
        "/chat/a%20b",
        "/chat/a;b",
        "/chat/a:b",
        "/chat/a*",
        "/chat/é",
        "/chat/a\n",
        "/chat/" + "a" * 129,
        "/api",
        "/api/a b/x",
        "/filesx/y",
        "/nothing",
    ],
)
def test_no_other_path_matches(path) -> None:
    assert find_route(ROUTES, path) is None


def test_a_parameter_may_have_128_characters() -> None:
    assert match(pattern("/{a}"), ["a" * 128]) == (("a", "a" * 128),)


def test_rest_at_the_top_takes_everything() -> None:
    assert match(pattern("/{rest*}"), [""]) == (("rest", ""),)
    assert match(pattern("/{rest*}"), ["a", "b", ""]) == (("rest", "a/b/"),)


def test_fill() -> None:
    assert fill("chat:join", ()) == "chat:join"
    assert fill("rooms/{room}:join", (("room", "lobby"),)) == "rooms/lobby:join"
    assert fill("{a}{b}{a}", (("a", "{b}"), ("b", "x"))) == "{b}x{b}", "what is put in is not filled again"
    with pytest.raises(KeyError):
        fill("{other}", (("room", "lobby"),))


@pytest.mark.parametrize("path", ["*", "", "host:443"])
def test_what_is_no_path_has_no_route(path) -> None:
    """An HTTP/2 preface asks for `*`; its refusal asks which route it would have had."""
    assert find_route((route("/{rest*}"),), path) is None
    assert find_route(ROUTES, path) is None
