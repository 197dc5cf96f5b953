"""Where a key lies in a Redis Cluster, and what a map must say to be one."""

from typing import Any

import pytest

from doorward.adapters.stores.redis.call import key_of
from doorward.adapters.stores.redis.slot_map import SLOTS, SlotMapError, nodes_of, read_slots, slot_of

ASKED = ("asked.example", 6379)


def test_keys_of_one_tag_are_in_one_slot() -> None:
    assert slot_of("123456789") == 12739  # the cluster specification's own example of its CRC16
    assert slot_of("doorward:{s}:live") == slot_of(b"doorward:{s}:p:x") == slot_of("s")


def test_a_map_names_the_master_of_each_slot() -> None:
    answer = [
        [0, 99, [b"10.0.0.1", 7000, b"id", []], [b"10.0.0.9", 7009, b"replica"]],
        [100, SLOTS - 1, [b"", 7001, b"id"]],
    ]
    masters = read_slots(answer, asked=ASKED)
    assert len(masters) == SLOTS
    assert masters[99] == ("10.0.0.1", 7000)
    assert masters[100] == ("asked.example", 7001)
    assert nodes_of(masters) == [("10.0.0.1", 7000), ("asked.example", 7001)]


@pytest.mark.parametrize(
    "answer",
    [
        [],
        None,
        b"OK",
        [[0, SLOTS - 2, [b"h", 1]]],
        [[0, SLOTS, [b"h", 1]]],
        [[9, 1, [b"h", 1]]],
        [[0, SLOTS - 1]],
        [[0, SLOTS - 1, [b"h"]]],
        [[0, SLOTS - 1, [b"\xff", 1]]],
        [[0, SLOTS - 1, [b"h", b"port"]]],
        [["a", "b", [b"h", 1]]],
    ],
)
def test_what_is_no_map(answer: Any) -> None:
    with pytest.raises(SlotMapError):
        read_slots(answer, asked=ASKED)


@pytest.mark.parametrize(
    ("command", "key"),
    [
        (("GET", "k"), "k"),
        (("EVAL", "return 1", 2, "a", "b", "argument"), "a"),
        (("EVALSHA", "sha", 1, b"a"), b"a"),
        (("XREAD", "COUNT", 5, "BLOCK", 1, "STREAMS", "stream", "0-0"), "stream"),
        (("XREVRANGE", "stream", "+", "-", "COUNT", 1), "stream"),
        (("PING",), ""),
    ],
)
def test_the_key_of_a_command(command: tuple[Any, ...], key: str | bytes) -> None:
    assert key_of(command) == key
