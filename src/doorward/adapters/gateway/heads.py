"""A request head as it arrives, byte by byte: where it ends, and as soon as it can't be one any more, why not."""

import re
from typing import Final

from doorward.core.handshakes import MAX_HEAD, MAX_LEADING_LINES, MAX_LINE
from doorward.core.verifying import asked_target
from doorward.values.decision import Deny, Reason, Step

_END: Final = b"\r\n\r\n"
_MOST_LEADING: Final = 2 * MAX_LEADING_LINES
_LONE: Final = re.compile(rb"\r[^\n]|(?<!\r)\n")
_NO_REQUEST: Final = re.compile(rb"[^!#$%&'*+\-.^_`|~0-9A-Za-z\r]")  # what no method and no empty line begins with


class Head:
    """Collects one head. After `add` has said True, `head` is the head and `surplus` what came with it."""

    __slots__ = ("_data", "_looked", "head", "surplus")

    def __init__(self) -> None:
        self._data = b""
        self._looked = 0
        self.head = b""
        self.surplus = b""

    @property
    def begun(self) -> bool:
        """Has anything come at all?"""
        return self._data != b""

    @property
    def target(self) -> str:
        """What it asks for, as far as that can be told of one that may be no head: for how its refusal looks."""
        return asked_target(self.head or self._data)

    def add(self, data: bytes) -> bool | Deny:
        """True: the head is whole. False: more must come. A head that is whole may still be refused by its grammar."""
        self._data = data = self._data + data if self._data else data
        if _NO_REQUEST.match(data):
            return Deny(Reason.HEAD_GRAMMAR, Step.HEAD, note="it is no HTTP")
        start = 0
        while start <= _MOST_LEADING and data.startswith(b"\r\n", start):
            start += 2
        if start > _MOST_LEADING:
            return Deny(Reason.HEAD_GRAMMAR, Step.HEAD, note="empty lines before the request line")
        looked = max(start, self._looked - len(_END))
        end = data.find(_END, looked)
        size = len(data) if end < 0 else end + len(_END)
        if end < 0 and _LONE.search(data, looked):  # of a whole head the grammar says so
            return Deny(Reason.HEAD_GRAMMAR, Step.HEAD, note="line ends are CR LF only")
        if size > MAX_HEAD or (size > MAX_LINE and data.find(b"\r\n", start, start + MAX_LINE + 2) < 0):
            long_line = data.find(b"\r\n", start, start + MAX_LINE + 2) < 0
            return Deny(Reason.TARGET_TOO_LONG if long_line else Reason.HEAD_TOO_LARGE, Step.HEAD)
        self._looked = len(data)
        if end < 0:
            return False
        self.head, self.surplus = data[:size], data[size:]
        self._data = b"\x00"  # something has come; it is not kept twice
        return True
