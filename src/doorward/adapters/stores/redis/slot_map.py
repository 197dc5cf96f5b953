"""Which node of a Redis Cluster serves a key: pure, from what CLUSTER SLOTS says (cluster specification)."""

from collections.abc import Sequence
from typing import Any, Final

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

SLOTS: Final = REDIS_CLUSTER_HASH_SLOTS
Node = tuple[str, int]


class SlotMapError(ValueError):
    """What a node said of its cluster is no map of all slots."""


def slot_of(key: str | bytes) -> int:
    return key_slot(key if isinstance(key, bytes) else key.encode())


def read_slots(answer: Any, *, asked: Node) -> list[Node]:
    """The master of each slot. A node that does not know its own name is the one that was `asked`.

    Raises SlotMapError, also when a slot is served by nobody.
    """
    masters: list[Node | None] = [None] * SLOTS
    try:
        for first, last, (host, port, *_), *_ in answer:
            node = (host.decode() if host else asked[0], int(port))
            if not 0 <= first <= last < SLOTS:
                raise ValueError(f"slots {first} to {last}")
            masters[first : last + 1] = [node] * (last + 1 - first)
    except (AttributeError, TypeError, ValueError) as error:
        raise SlotMapError("CLUSTER SLOTS was not understood") from error
    whole = [node for node in masters if node is not None]
    if len(whole) != SLOTS:
        raise SlotMapError(f"{SLOTS - len(whole)} slots of the cluster are served by nobody")
    return whole


def nodes_of(masters: Sequence[Node]) -> list[Node]:
    """Each master once."""
    return list(dict.fromkeys(masters))
