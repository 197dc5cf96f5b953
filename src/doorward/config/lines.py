"""Where each key of a TOML file stands: tomllib gives no lines, and a problem without one sends the user searching.

It reads text that tomllib has already accepted, so it can be small: it finds ends, not faults. Whatever it does not
understand it leaves out, and a key without a line is shown without one.
"""

import re
from collections.abc import Iterator
from typing import Final

from doorward.config.problem import Key

_BLANK: Final = re.compile(r"[ \t\r\n]*(?:#[^\n]*[ \t\r\n]*)*")
_SPACE: Final = re.compile(r"[ \t]*")
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_\-]+")
_SCALAR: Final = re.compile(r"[^,\]}#\n]+")
_BASIC: Final = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
_LITERAL: Final = re.compile(r"'([^'\n]*)'")
_LONG_BASIC: Final = re.compile(r'"""(?:[^\\"]|\\.|"(?!""))*"{3,5}', re.DOTALL)
_LONG_LITERAL: Final = re.compile(r"'''(?:[^']|'(?!''))*'{3,5}", re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))", re.DOTALL)
_ESCAPED: Final = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "e": "\x1b"}


class _LostError(Exception):
    """Not understood from here on."""


def locate(text: str) -> dict[Key, int]:
    """The line of every table, key and element, by its path. The text must be valid TOML."""
    scanner = _Scanner(text)
    try:
        scanner.run()
    except (_LostError, RecursionError):
        return scanner.found
    return scanner.found


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.found: dict[Key, int] = {}
        self._line = 1
        self._counted = 0
        self._elements: dict[Key, int] = {}

    def run(self) -> None:
        table: Key = ()
        self._skip(_BLANK)
        while self.at < len(self.text):
            if self.text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_BLANK)

    def _line_here(self) -> int:
        self._line += self.text.count("\n", self._counted, self.at)
        self._counted = self.at
        return self._line

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self.text, self.at)
        if match is not None:
            self.at = match.end()

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str]:
        match = pattern.match(self.text, self.at)
        if match is None:
            raise _LostError
        self.at = match.end()
        return match

    def _expect(self, mark: str) -> None:
        if not self.text.startswith(mark, self.at):
            raise _LostError
        self.at += len(mark)

    def _header(self) -> Key:
        line = self._line_here()
        is_array = self.text.startswith("[[", self.at)
        mark = 2 if is_array else 1
        self.at += mark
        parts = list(self._dotted())
        self._expect("]" * mark)
        parent = self._resolved((), parts[:-1], line)
        path = (*parent, parts[-1])
        if is_array:
            self.found.setdefault(path, line)
            self._elements[path] = self._elements.get(path, -1) + 1
            path = (*path, self._elements[path])
            self.found[path] = line
        else:
            path = self._entered(path)
            self.found.setdefault(path, line)
        return path

    def _resolved(self, base: Key, parts: list[str], line: int) -> Key:
        """The table that dotted parts name: of an array of tables it is the last."""
        path = base
        for part in parts:
            path = self._entered((*path, part))
            self.found.setdefault(path, line)
        return path

    def _entered(self, path: Key) -> Key:
        return (*path, self._elements[path]) if path in self._elements else path

    def _dotted(self) -> Iterator[str]:
        while True:
            self._skip(_SPACE)
            yield self._name()
            self._skip(_SPACE)
            if not self.text.startswith(".", self.at):
                return
            self.at += 1

    def _name(self) -> str:
        mark = self.text[self.at : self.at + 1]
        if mark == '"':
            return _ESCAPE.sub(_unescape, self._take(_BASIC)[1])
        if mark == "'":
            return self._take(_LITERAL)[1]
        return self._take(_BARE_KEY)[0]

    def _pair(self, table: Key) -> None:
        line = self._line_here()
        parts = list(self._dotted())
        self._expect("=")
        path = (*self._resolved(table, parts[:-1], line), parts[-1])
        self.found.setdefault(path, line)
        self._skip(_SPACE)
        self._value(path)

    def _value(self, path: Key) -> None:
        if self.text.startswith('"""', self.at):
            self._take(_LONG_BASIC)
        elif self.text.startswith("'''", self.at):
            self._take(_LONG_LITERAL)
        elif self.text.startswith('"', self.at):
            self._take(_BASIC)
        elif self.text.startswith("'", self.at):
            self._take(_LITERAL)
        elif self.text.startswith("[", self.at):
            self._array(path)
        elif self.text.startswith("{", self.at):
            self._inline(path)
        else:
            self._take(_SCALAR)

    def _array(self, path: Key) -> None:
        self.at += 1
        index = 0
        while True:
            self._skip(_BLANK)
            if self.text.startswith("]", self.at):
                self.at += 1
                return
            element = (*path, index)
            self.found[element] = self._line_here()
            self._value(element)
            index += 1
            self._skip(_BLANK)
            if not self.text.startswith("]", self.at):
                self._expect(",")

    def _inline(self, path: Key) -> None:
        self.at += 1
        while True:
            self._skip(_BLANK)
            if self.text.startswith("}", self.at):
                self.at += 1
                return
            self._pair(path)
            self._skip(_BLANK)
            if not self.text.startswith("}", self.at):
                self._expect(",")


def _unescape(match: re.Match[str]) -> str:
    digits = match[1] or match[2]
    return chr(int(digits, 16)) if digits else _ESCAPED.get(match[3], match[3])
