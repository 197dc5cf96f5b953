"""A worker's row is read as it was written, and so is one that a node of before has written."""

import json

from doorward.adapters.stores.redis.presence import _node, _node_row
from doorward.ports import PresentNode

NODE = PresentNode("gw-1", 2, 7, 10.5, 12.25, 3, 4, "1.2.3", ready=False, ahead=-0.5)


def test_a_row_is_read_as_it_was_written() -> None:
    assert _node(json.loads(_node_row(NODE))) == NODE


def test_a_node_of_before_says_less() -> None:
    row = json.loads(_node_row(NODE))[:7]
    assert _node(row) == PresentNode("gw-1", 2, 7, 10.5, 12.25, 3, 4)
