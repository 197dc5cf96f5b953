"""Where the nodes of a test are."""

import pytest

from tests.unit.adapters.stores.nodes import Place


@pytest.fixture
def place() -> Place:
    return Place()
