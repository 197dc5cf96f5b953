"""The plots are drawn to scale, and nothing in them can be taken for markup."""

import re
from xml.etree import ElementTree

import pytest

from bench import svg

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(
    ("least", "expected"), [(1.0, 1), (1.01, 2), (2.2, 2.5), (3.0, 5), (5.1, 10), (0.03, 0.05), (700, 1000)]
)
def test_a_step_is_a_round_number(least, expected) -> None:
    assert svg.nice(least) == pytest.approx(expected)


@pytest.mark.parametrize("highest", [0.0, 0.004, 1.0, 3.7, 9.99, 100.0, 12345.0])
def test_ticks_reach_from_nothing_to_the_highest(highest) -> None:
    found = svg.ticks(highest)
    assert found[0] == 0
    assert found[-1] >= highest * (1 - 1e-6)
    assert 2 <= len(found) <= 7


@pytest.mark.parametrize(("value", "text"), [(0.123, "0.12"), (9.994, "9.99"), (12.34, "12.3"), (1234.5, "1,234")])
def test_a_label_has_three_figures(value, text) -> None:
    assert svg.said(value) == text


def drawn(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text)


def test_bars_of_a_group_share_a_scale_and_groups_do_not() -> None:
    groups = [
        svg.Group("µs", [svg.Bar("one", 10, 9, 11, "a"), svg.Bar("half", 5, 5, 5, "b")]),
        svg.Group("KiB", [svg.Bar("alone", 1, 1, 1, "c")]),
    ]
    widths = [float(bar.get("width", "0")) for bar in drawn(svg.bars("t", groups)).iter(f"{SVG}rect")]
    one, half, alone = widths
    assert one == pytest.approx(2 * half, abs=0.3)
    assert alone == pytest.approx(one * 1.1, abs=0.2), "the whisker of the longest reaches the end"


def test_names_are_text_whatever_stands_in_them() -> None:
    root = drawn(svg.bars('a "quoted" <title>', [svg.Group("<b>", [svg.Bar("x & y", 1, 1, 1, "a")])]))
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert texts[:3] == ['a "quoted" <title>', "<b>", "x & y"]
    assert root.get("aria-label") == 'a "quoted" <title>'


def test_lines_and_the_limit_stand_on_one_scale() -> None:
    axes = svg.Axes("t", "s", "ms", limit=10.0, limit_name="10 ms")
    root = drawn(svg.lines(axes, [svg.Line("it", [(0.0, 0.0), (1.0, 10.0)], "a")]))
    (line,) = root.iter(f"{SVG}polyline")
    first, last = (point.split(",") for point in line.get("points", "").split())
    (limit,) = [each for each in root.iter(f"{SVG}line") if each.get("class") == "limit"]
    axis = next(each for each in root.iter(f"{SVG}line") if each.get("class") == "axis")
    assert last[1] == limit.get("y1")
    assert first[1] == axis.get("y1")


def test_a_limit_above_all_is_seen() -> None:
    axes = svg.Axes("t", "s", "ms", limit=50.0)
    root = drawn(svg.lines(axes, [svg.Line("it", [(0.0, 1.0), (1.0, 2.0)], "a")]))
    (limit,) = [each for each in root.iter(f"{SVG}line") if each.get("class") == "limit"]
    assert float(limit.get("y1", "0")) > 0


def test_it_is_read_on_black_as_well() -> None:
    text = svg.lines(svg.Axes("t", "x", "y"), [svg.Line("it", [(0.0, 1.0)], "a")])
    light, dark = text.split("prefers-color-scheme: dark")
    named = set(re.findall(r"\.([a-z-]+) \{ (?:fill|stroke)", light))
    assert named - {"line"} <= set(re.findall(r"\.([a-z-]+) \{ (?:fill|stroke)", dark))
