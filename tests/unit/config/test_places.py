"""A handshake finds the backend of the route that it is judged by, and nothing is kept of routes that nobody holds."""

import gc

import pytest

from doorward.config.places import Places
from doorward.values.rules import PathPattern, Route

PATTERN = PathPattern("/chat", (("chat", False),))


def route() -> Route:
    return Route(pattern=PATTERN, backend="ws://127.0.0.1:9000")


def test_routes_that_are_equal_have_places_of_their_own() -> None:
    places: Places[str] = Places()
    old, new = route(), route()
    places.put(old, "old")
    places.put(new, "new")
    assert old == new
    assert (places.of(old), places.of(new)) == ("old", "new")


def test_who_is_judged_by_an_old_route_finds_its_place_after_any_number_of_reloads() -> None:
    places: Places[int] = Places()
    held = route()
    places.put(held, -1)
    for generation in range(100):
        newer = route()
        places.put(newer, generation)
        assert places.of(held) == -1
        assert places.of(newer) == generation
        del newer
    gc.collect()
    assert len(places) == 1


def test_a_route_that_was_never_put_has_none() -> None:
    with pytest.raises(KeyError):
        Places[str]().of(route())
