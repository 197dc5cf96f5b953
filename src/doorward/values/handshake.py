"""The opening HTTP request as one frozen value; its repr shows no secret."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, repr=False)
class Handshake:
    """A request head that has passed the grammar (core/handshakes.py); nothing in it is trusted yet.

    `target` is the request target as sent, `path` the part before `?` after exactly one percent-decoding,
    `query` the raw part after it. Header names are lower case, values latin-1 text without outer white space;
    `headers` keeps the order and every repetition.
    """

    method: str
    target: str
    path: str
    query: str
    version: str
    headers: tuple[tuple[str, str], ...]
    by_name: Mapping[str, tuple[str, ...]]

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of a header, in order. `name` is lower case."""
        return self.by_name.get(name, ())

    def one(self, name: str) -> str | None:
        """The value of a header that step 2 allows once only."""
        values = self.by_name.get(name)
        return values[0] if values else None

    def __repr__(self) -> str:
        return f"<Handshake {self.method} {self.path!r}>"
