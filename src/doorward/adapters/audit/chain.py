"""Each line is bound to the one before it: what is changed, taken out or put elsewhere no longer fits.

docs/reference/audit.md states the format; tests/unit/adapters/audit/following.py follows it without this module.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Final

from doorward.adapters.audit.appending import Tail

NOTHING: Final = "0" * 64
_END: Final = re.compile(rb',"chain":"([0-9a-f]{64})"\}\Z')
_NUMBER: Final = re.compile(rb',"(?:sequence|after)":([0-9]{1,18})')


class Chain:
    """The link of the line written last. `after` is the newest sequence that the file holds."""

    __slots__ = ("after", "link")

    def __init__(self, link: str = NOTHING, after: int = 0) -> None:
        self.link = link
        self.after = after

    def bind(self, line: str) -> bytes:
        """A JSON object, given its link: SHA-256 over the link before it and its own text up to the link."""
        body = line[:-1].encode("utf-8", "backslashreplace")
        self.link = hashlib.sha256(self.link.encode("ascii") + body).hexdigest()
        return b'%b,"chain":"%b"}\n' % (body, self.link.encode("ascii"))


@dataclass(frozen=True, slots=True)
class Torn:
    """What a killed or full machine left of a line. It stays where it is, known by its digest."""

    bytes: int
    sha256: str


def resume(tail: Tail) -> tuple[Chain, Torn | None]:
    """The chain that a file's last whole line ends (a new one if that has no link), and what stands torn behind it.

    A line that lacks only its line end is whole: its link says so.
    """
    lines, torn = tail.whole, None
    if _END.search(tail.torn):
        lines = lines + b"\n" + tail.torn
    elif tail.torn:
        torn = Torn(len(tail.torn), hashlib.sha256(tail.torn).hexdigest())
    # a quote within a member is escaped, so these are the members themselves; the last line need not have the newest
    after = max(map(int, _NUMBER.findall(lines)), default=0)
    end = _END.search(lines)
    return Chain(end[1].decode("ascii") if end is not None else NOTHING, after), torn


def opening(chain: Chain, *, at: float, node: str, worker: int, torn: Torn | None) -> str:
    """The line that begins every stretch of a file: which chain goes on here, and over what torn bytes.

    `at` is epoch seconds. A stretch begins when a process starts and when a rotated file is left for a new one.
    """
    members: dict[str, object] = {
        "kind": "file",
        "at": round(at, 6),
        "node": node,
        "worker": worker,
        "after": chain.after,
        "previous": chain.link,
    }
    if torn is not None:
        members["torn"] = {"bytes": torn.bytes, "sha256": torn.sha256}
    return json.dumps(members, separators=(",", ":"))
