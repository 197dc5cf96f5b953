"""The plots of the page: which figures of a report stand in which picture."""

from collections.abc import Sequence
from typing import Any, Final

from bench import svg
from bench.report import Report

COLOUR_OF: Final = {
    "doorward": "a",
    "middleware": "a",
    "nginx": "b",
    "envoy": "c",
    "haproxy": "d",
    "nginx+fastapi": "f",
    "uvicorn": "e",
}

BARS: Final = (
    ("messages", "CPU per message, there and back", ("message-128", "message-16k")),
    ("handshakes", "CPU per handshake", ("handshake", "handshake-ticket", "refused")),
    ("memory", "Memory per connection", ("idle-plain", "idle-tls", "kept-60k")),
    ("middleware", "The middleware, and the same app without it", ("middleware-message", "middleware-handshake")),
)
"""Picture, title, and its rows."""


def pictures(report: Report) -> dict[str, str]:
    """Every picture that the report has the figures for: its name and the SVG."""
    rows = {row["name"]: row for row in report["rows"]}
    studies = {study["name"]: study for study in report["studies"] if not study["fault"]}
    found: dict[str, str] = {}
    for name, title, wanted in BARS:
        groups = [group for row in wanted if row in rows and (group := _group(rows[row])).bars]
        if groups:
            found[name] = svg.bars(title, groups)
    if (duty := studies.get("on-duty")) is not None:
        found |= _on_duty(duty, studies.get("on-duty-2"))
    idle = [study for name, study in studies.items() if name.startswith("scale-")]
    if idle:
        found["idle"] = _idle(idle)
    return found


def _group(row: Report) -> svg.Group:
    bars = [
        svg.Bar(
            name + (" (no authentication)" if cell["label"] == "no authentication" else ""),
            cell["median"], max(0.0, cell["low"]), cell["high"], COLOUR_OF.get(name, "e"),
        )
        for name, cell in row["cells"].items()
        if "median" in cell
    ]  # fmt: skip
    return svg.Group(f"{row['title']} · {row['unit']}", bars)


def _on_duty(study: Report, across: Report | None) -> dict[str, str]:
    series = study["series"]
    figures = {figure["key"]: figure for figure in study["figures"]}
    count = f"{figures['connections']['value']:,.0f}"
    one, closed = series["one_ms"], series["all_ms"]
    ones = [svg.Line(f"close frame at the client, one node, {len(one)} revocations", _shares(one), "a")]
    if across is not None:
        far = across["series"]["one_ms"]
        ones.append(svg.Line(f"the same across two nodes, {len(far)} revocations", _shares(far), "b"))
    beats = list(zip(series["beat_at_ms"], series["beat_ms"], strict=True))
    return {
        "revocation-one": svg.lines(
            svg.Axes(
                f"One identity revoked among {count} connections", "milliseconds from the call", "share closed, %",
            ),
            ones,
        ),
        "revocation-all": svg.lines(
            svg.Axes(f"All {count} connections revoked at once", "milliseconds from the call", "share closed, %"),
            [svg.Line("close frame at its client", _shares(closed), "a")],
        ),
        "loop": svg.lines(
            svg.Axes(
                f"What somebody else waits for while {count} connections are closed", "milliseconds from the call",
                "round trip of a ping of his, ms", limit=10.0, limit_name="10 ms",
            ),
            [svg.Line("a ping each millisecond", beats, "a")],
        ),
    }  # fmt: skip


def _shares(values: Sequence[float]) -> list[tuple[float, float]]:
    """What share was over by when."""
    ordered = sorted(values)
    return [(0.0, 0.0), *((value, number / len(ordered) * 100) for number, value in enumerate(ordered, 1))]


def _idle(studies: Sequence[dict[str, Any]]) -> str:
    drawn = []
    for number, study in enumerate(studies):
        values, seconds = study["series"]["idle_percent"], study["series"]["window_seconds"][0]
        points = [(seconds * (place + 1), value) for place, value in enumerate(values)]
        drawn.append(svg.Line(study["title"].replace(" idle authenticated connections", ""), points, "abcdef"[number]))
    axes = svg.Axes(
        "CPU while all connections are idle", "seconds after they were opened", "% of a core, all processes"
    )
    return svg.lines(axes, drawn)
