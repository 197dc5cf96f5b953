"""Values as JSON text: whole on the way back, and anything else than a value is a StoreError."""

import pytest

from doorward.adapters.stores.rows import principal_of, principal_text, texts, texts_of
from doorward.ports import StoreError
from tests.stores.made import principal


def test_a_principal_comes_back_whole() -> None:
    for one in (
        principal(),
        principal(issued_at=None, expires_at=None, claims={}, permissions=frozenset(), roles=()),
        principal("\x00'\"\\ \u2028 \ud800"),
    ):
        assert principal_of(principal_text(one)) == one


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{}", '{"identity": 7}', principal_text(principal()).replace("token", "x")]
)
def test_no_principal(text: str) -> None:
    with pytest.raises(StoreError):
        principal_of(text)


def test_lists_of_text() -> None:
    for values in ((), ("a", "b,c", "")):
        assert texts_of(texts(values)) == values
    for text in ("", "{}", "7"):
        with pytest.raises(StoreError):
            texts_of(text)
