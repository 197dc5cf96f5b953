"""A secret never shows itself: not in repr, not in str, not by ==."""

import hmac
from typing import Final, NoReturn

MASK: Final = "***"


class Secret:
    """A credential's text, held so that it can't slip into a log, an error or a comparison.

    `expose()` is the one way to read it, so that a search for the word finds every place that does.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def expose(self) -> str:
        """The text itself. Callers hash it, verify it or send it to its owner; nothing else."""
        return self._text

    def matches(self, other: str) -> bool:
        """Compare in constant time over the bytes of both (RFC 6749 section 10.10 asks that guesses cost)."""
        return hmac.compare_digest(self._text.encode(), other.encode())

    def __len__(self) -> int:
        return len(self._text)

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return MASK

    def __eq__(self, other: object) -> NoReturn:
        raise TypeError("secrets are compared by matches(), which takes constant time")

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")
