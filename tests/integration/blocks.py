"""A page of ours as a list of things to do: its code blocks, each with the invisible comment that stands before it.

A comment says how a block is followed, `<!-- terminal: gateway, until "gateway on" -->`; following.py knows them all.
Output that a page shows is compared with the real one, but for what differs from run to run.
"""

import re
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^```([a-z]*)\n(.*?)^```$", re.M | re.S)
COMMENT = re.compile(r"^<!-- (.+?) -->\n?", re.M)
ASIDES = {"bench"}
ANYTHING = "…"

# What differs from run to run, as it stands in a page.
VARIABLE = re.compile(
    r"""
    (?P<instant>\d{4}-\d\d-\d\d[ ]\d\d:\d\d:\d\d)
    | (?P<worker>(?<=:\d\d[ ][ ])[\w.-]+/\d+)
    | (?P<id>(?<![\w-])[A-Za-z0-9_-]{22}(?![\w-]))
    | (?P<key>(?<![\w-])[A-Za-z0-9_-]{43}(?![\w-]))
    | (?P<took>\b\d+(?=[ ]ms\b))
    | (?P<line>(?<=\.toml:)\d+)
    | (?P<count>\b\d+(?=[ ]warnings?\b))
    | (?P<epoch>\b17\d{8}\b)
    | (?P<space>(?<=\S)[ ]+)
    | (?P<anything>…)
    """,
    re.X,
)
REAL = {
    "instant": r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d",
    "worker": r"[\w.-]+/\d+",
    "id": r"[A-Za-z0-9_-]{22}",
    "key": r"[A-Za-z0-9_-]{43}",
    "took": r"\d+",
    "line": r"\d+",
    "count": r"\d+",
    "epoch": r"\d{10}",
    "space": r" +",
    "anything": r"[^\n]*?",
}


@dataclass(frozen=True, slots=True)
class Block:
    """`language` is "" for a comment that stands alone."""

    where: str
    language: str
    note: str
    text: str


def blocks(path: Path) -> list[Block]:
    """Everything on the page that is to be done, in order. Raises ValueError for a fence that does not end."""
    page = path.read_text(encoding="utf-8")
    fences = {found.start(): found for found in FENCE.finditer(page)}
    if len(re.findall(r"^ *```", page, re.M)) != 2 * len(fences):
        raise ValueError(f"{path.name}: a fence is indented, unclosed or has more than a language")
    found = []
    for comment in COMMENT.finditer(page):
        inside = any(fence.start() < comment.start() < fence.end() for fence in fences.values())
        if comment.end() not in fences and comment[1] not in ASIDES and not inside:
            found.append((comment.start(), Block(_where(path, page, comment.start()), "", comment[1], "")))
    notes = {comment.end(): comment[1] for comment in COMMENT.finditer(page)}
    for start, fence in fences.items():
        found.append((start, Block(_where(path, page, start), fence[1], notes.get(start, ""), fence[2])))
    return [block for _, block in sorted(found, key=lambda item: item[0])]


def _where(path: Path, page: str, offset: int) -> str:
    return f"{path.name}:{page.count(chr(10), 0, offset) + 1}"


def same(shown: str, real: str) -> bool:
    """Is `real` what the page shows? A line of its own with … stands for any lines, elsewhere … for any text."""
    wanted = "".join(_line(line) for line in shown.rstrip("\n").split("\n"))
    cleaned = "".join(f"{line.rstrip()}\n" for line in real.rstrip("\n").split("\n"))
    return re.fullmatch(wanted, cleaned) is not None


def _line(line: str) -> str:
    if line.strip() == ANYTHING:
        return r"(?:[^\n]*\n)*?"
    pattern, end = "", 0
    for found in VARIABLE.finditer(line):
        pattern += re.escape(line[end : found.start()]) + REAL[found.lastgroup or ""]
        end = found.end()
    return pattern + re.escape(line[end:]) + r" *\n"
