"""Where each route's backend is, for as long as anybody is judged by that route, however many reloads have been since.

By the route's own identity: one of the same pattern that other rules made has another place.
"""

from typing import Generic, TypeVar
from weakref import ref

from doorward.values.rules import Route

T = TypeVar("T")


class Places(Generic[T]):
    """What was put goes with its route, so no number that Python gives again is ever found."""

    def __init__(self) -> None:
        self._of: dict[int, tuple[ref[Route], T]] = {}

    def put(self, route: Route, place: T) -> None:
        key = id(route)
        self._of[key] = (ref(route, lambda _: self._of.pop(key, None)), place)

    def of(self, route: Route) -> T:
        """Raises KeyError for a route that was never put."""
        return self._of[id(route)][1]

    def __len__(self) -> int:
        return len(self._of)
