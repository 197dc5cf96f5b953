"""What a cluster has promised so far, and what `doorward revoke` said of it."""

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.integration.cluster.nodes import Node

_SUMMARY = re.compile(r"closed (\d+) connections? on (\d+) of (\d+) nodes? in \d+ ms")
_SILENT = re.compile(r"no answer from ([^;\n]+)")
_UNHEARD = re.compile(r"(\S+) not heard of for \d+ s")


@dataclass(frozen=True)
class Printed:
    """What `doorward revoke` said, and when it was called and had answered (monotonic)."""

    code: int
    text: str
    begun: float
    ended: float

    @property
    def is_done(self) -> bool:
        """Somebody was told; else the stores did not answer, and nothing was promised."""
        return _SUMMARY.search(self.text) is not None

    @property
    def figures(self) -> tuple[int, int, int]:
        """(connections closed, nodes that answered, nodes)"""
        found = _SUMMARY.search(self.text)
        assert found, self.text
        return int(found[1]), int(found[2]), int(found[3])

    @property
    def silent(self) -> list[str]:
        found = _SILENT.search(self.text)
        return found[1].split(", ") if found else []

    @property
    def unheard(self) -> list[str]:
        return _UNHEARD.findall(self.text)

    @property
    def is_durable(self) -> bool:
        return "not durable" not in self.text


@dataclass
class Ledger:
    """What the cluster has promised so far."""

    revoked: dict[str, str] = field(default_factory=dict)  # subject -> a token of before
    answered: dict[str, list[tuple["Node", int]]] = field(default_factory=dict)  # subject -> nodes, as which process
    spent: dict[str, int] = field(default_factory=dict)  # ticket -> how often it opened a connection
