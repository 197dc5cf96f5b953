"""Plots as SVG by hand: bars and lines that are read on white and on black, without a script and without a library."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH: Final = 760
_LEFT: Final = 190
_RIGHT: Final = 120
_BAR: Final = 15
_GAP: Final = 4

COLOURS: Final = ("a", "b", "c", "d", "e", "f")
"""Classes of the style below. `a` is Doorward's, wherever it stands."""

_STYLE: Final = """
  text { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #24292f }
  .title { font-size: 14px; font-weight: 600 } .small { font-size: 11px; fill: #57606a }
  .axis { stroke: #8c959f; stroke-width: 1 } .grid { stroke: #d0d7de; stroke-width: 1 }
  .limit { stroke: #cf222e; stroke-width: 1.5; stroke-dasharray: 5 4 } .limit-text { fill: #cf222e; font-size: 11px }
  .spread { stroke: #24292f; stroke-width: 1; opacity: .55 }
  .a { fill: #0969da; stroke: #0969da } .b { fill: #1a7f37; stroke: #1a7f37 } .c { fill: #bf3989; stroke: #bf3989 }
  .d { fill: #9a6700; stroke: #9a6700 } .e { fill: #6e7781; stroke: #6e7781 } .f { fill: #bc4c00; stroke: #bc4c00 }
  .line { fill: none; stroke-width: 1.8; stroke-linejoin: round } rect { stroke: none }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .small { fill: #9198a1 } .axis { stroke: #6e7681 } .grid { stroke: #30363d }
    .limit { stroke: #ff7b72 } .limit-text { fill: #ff7b72 } .spread { stroke: #e6edf3 }
    .a { fill: #58a6ff; stroke: #58a6ff } .b { fill: #3fb950; stroke: #3fb950 } .c { fill: #f778ba; stroke: #f778ba }
    .d { fill: #d29922; stroke: #d29922 } .e { fill: #8b949e; stroke: #8b949e } .f { fill: #ffa657; stroke: #ffa657 }
    .line { fill: none }
  }
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar. `low` and `high` are its lowest and highest sample; `colour` one of COLOURS."""

    name: str
    value: float
    low: float
    high: float
    colour: str


@dataclass(frozen=True, slots=True)
class Group:
    """Bars on a scale of their own, under a heading."""

    heading: str
    bars: Sequence[Bar]


@dataclass(frozen=True, slots=True)
class Line:
    """One line through (x, y)."""

    name: str
    points: Sequence[tuple[float, float]]
    colour: str


@dataclass(frozen=True, slots=True)
class Axes:
    """What the axes of a plot of lines say, and the level that was to be kept (None: none)."""

    title: str
    x: str
    y: str
    limit: float | None = None
    limit_name: str = ""


def nice(least: float) -> float:
    """The least of 1, 2, 2.5 or 5 times a power of ten that is no less. `least` must be above 0."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= least * (1 - 1e-9))


def ticks(highest: float, *, about: int = 5) -> list[float]:
    """Round numbers from 0 to at least `highest`."""
    step = nice(max(highest, 1e-9) / about)
    return [step * number for number in range(max(1, math.ceil(highest / step - 1e-9)) + 1)]


def said(value: float) -> str:
    """A number with three figures that mean something."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def bars(title: str, groups: Sequence[Group]) -> str:
    """Horizontal bars; each group has its own scale, for only bars of one group are to be compared."""
    parts: list[str] = []
    y = 30
    inner = WIDTH - _LEFT - _RIGHT
    for group in groups:
        y += 22
        parts.append(_text(10, y, group.heading, kind="small"))
        y += 8
        top = max((bar.high for bar in group.bars), default=1.0) or 1.0
        for bar in group.bars:
            length = max(1.0, bar.value / top * inner)
            middle = y + _BAR / 2
            parts.append(_text(_LEFT - 8, y + 12, bar.name, anchor="end"))
            parts.append(
                f'<rect class="{bar.colour}" x="{_LEFT}" y="{y}" width="{length:.1f}" height="{_BAR}" rx="2"/>'
            )
            low, high = (_LEFT + each / top * inner for each in (bar.low, bar.high))
            if high - low > 1:
                parts.append(_segment(low, middle, high, middle, kind="spread"))
            parts.append(_text(max(high, _LEFT + length) + 6, y + 12, said(bar.value)))
            y += _BAR + _GAP
    return _document(title, y + 12, parts)


def lines(axes: Axes, drawn: Sequence[Line], *, height: int = 300) -> str:
    """Lines on common axes that begin at 0, the limit across them, the names below."""
    left, right, top, bottom = 64, 20, 52, 62
    points = [point for line in drawn for point in line.points]
    last = max((x for x, _ in points), default=1.0)
    x_ticks = [each for each in ticks(last) if each <= last * 1.001]
    lowest = min((x for x, _ in points), default=0.0)
    highest = max([y for _, y in points] + ([axes.limit * 1.1] if axes.limit is not None else []), default=1.0)
    y_ticks = ticks(highest)
    x_from = min(0.0, lowest)

    def across(x: float) -> float:
        return left + (x - x_from) / ((last - x_from) or 1) * (WIDTH - left - right)

    def up(y: float) -> float:
        return height - bottom - y / (y_ticks[-1] or 1) * (height - top - bottom)

    parts = [_text(10, 36, axes.y, kind="small")]
    for each in y_ticks:
        parts.append(_segment(left, up(each), WIDTH - right, up(each), kind="grid"))
        parts.append(_text(left - 8, up(each) + 4, _plain(each), anchor="end", kind="small"))
    for each in x_ticks:
        parts.append(_text(across(each), height - bottom + 18, _plain(each), anchor="middle", kind="small"))
    parts.append(_segment(left, up(0), WIDTH - right, up(0), kind="axis"))
    parts.append(_text(WIDTH - right, height - bottom + 36, axes.x, anchor="end", kind="small"))
    for line in drawn:
        path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in line.points)
        parts.append(f'<polyline class="line {line.colour}" style="fill:none" points="{path}"/>')
    if axes.limit is not None:
        parts.append(_segment(left, up(axes.limit), WIDTH - right, up(axes.limit), kind="limit"))
        parts.append(_text(WIDTH - right, up(axes.limit) - 5, axes.limit_name, anchor="end", kind="limit-text"))
    x = 10.0
    for line in drawn:
        parts.append(f'<rect class="{line.colour}" x="{x:.0f}" y="{height - 19}" width="11" height="11" rx="2"/>')
        parts.append(_text(x + 16, height - 9, line.name))
        x += 30 + 6.6 * len(line.name)
    return _document(axes.title, height, parts)


def _plain(value: float) -> str:
    return f"{value:,.10g}"


def _text(x: float, y: float, text: str, *, anchor: str = "start", kind: str = "") -> str:
    attributes = f' class="{kind}"' if kind else ""
    end = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text x="{x:.1f}" y="{y:.1f}"{attributes}{end}>{escape(text)}</text>'


def _segment(x1: float, y1: float, x2: float, y2: float, *, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _document(title: str, height: float, parts: Sequence[str]) -> str:
    body = "\n".join([_text(10, 18, title, kind="title"), *parts])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" '
        f'height="{height:.0f}" role="img" aria-label="{escape(title, quote=True)}">\n<style>{_STYLE}</style>\n'
        f"{body}\n</svg>\n"
    )
