"""The report: one JSON document that holds every sample, and one Markdown table that can be read in a minute."""

import platform
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, assert_never

from bench.peers import PEERS
from bench.processes import CORE_OF_LOAD, CORE_UNDER_TEST, BenchError
from bench.rows import LATER, SUBJECT, AtMost, Row, Target, Times
from bench.run import Cell, Cells, Plan

SCHEMA: Final = 1


def build(plan: Plan, cells: Cells, *, made_at: str, seconds: float) -> dict[str, Any]:
    """The whole report as plain values. `made_at` is ISO 8601; `seconds` is how long the run took."""
    return {
        "schema": SCHEMA,
        "made_at": made_at,
        "seconds": round(seconds, 1),
        "trustworthy": plan.factor >= 1 and CORE_UNDER_TEST != CORE_OF_LOAD,
        "factor": plan.factor,
        "machine": {"processor": _processor(), "kernel": platform.release(), "shared_core": _shared_core()},
        "versions": {name: _version(name) for name in plan.peers},
        "rows": [_row(row, plan, cells) for row in plan.rows],
        "later": list(LATER),
    }


def complete(report: dict[str, Any]) -> bool:
    """Whether every figure that the plan asked for was taken."""
    return not any(cell["fault"] for row in report["rows"] for cell in row["cells"].values())


def markdown(report: dict[str, Any]) -> str:
    """The table."""
    peers = list(report["versions"])
    others = [name for name in peers if name not in (SUBJECT, "direct")]
    head = ["work", "unit", *peers, *(f"÷ {name}" for name in others), "target", "reached"]
    notes: list[str] = []
    lines = [_line(head), _line(["---"] * 2 + ["---:"] * (len(head) - 4) + ["---"] * 2)]
    for row in report["rows"]:
        figures = [_figure(row["cells"][name], notes) for name in peers]
        ratios = [_times(row["ratios"].get(name)) for name in others]
        targets = "; ".join(target["text"] for target in row["targets"])
        reached = "; ".join(target["verdict"] for target in row["targets"])
        lines.append(_line([row["title"], row["unit"], *figures, *ratios, targets, reached]))
    versions = ", ".join(report["versions"].values())
    parts = [
        "# Doorward beside its peers",
        f"{report['made_at']}, {report['seconds']:.0f} s, {report['machine']['processor']}; {versions}.",
    ]
    if not report["trustworthy"]:
        parts.append("**A trial of the harness, not a measurement**: small counts, or one core for everything.")
    parts.append("\n".join(lines))
    parts.append("\n".join(f"{number}. {note}" for number, note in enumerate(notes, 1)))
    parts.append(
        "Median (lowest–highest) of the samples; a ratio is the median of the rounds' ratios. CPU is user and system "
        "time of all threads of the process under test. How to read it: bench/README.md."
    )
    parts.append("Not measured by this version: " + "; ".join(report["later"]) + ".")
    return "\n\n".join(part for part in parts if part) + "\n"


def _row(row: Row, plan: Plan, cells: Cells) -> dict[str, Any]:
    own = cells[row.name]
    subject = own.get(SUBJECT)
    others = {name: cell for name, cell in own.items() if row.compared and name not in (SUBJECT, "direct")}
    return {
        "name": row.name,
        "title": row.title,
        "unit": row.unit,
        "cells": {name: _cell(cell, row.labels.get(name)) for name, cell in own.items()},
        "ratios": {name: ratio for name, cell in others.items() if (ratio := _paired(subject, cell)) is not None},
        "targets": [_target(target, row, cells) for target in row.targets],
    }


def _cell(cell: Cell, label: str | None) -> dict[str, Any]:
    values = [sample.value for sample in cell.samples]
    found = {"median": statistics.median(values), "low": min(values), "high": max(values)} if values else {}
    return {
        **{name: round(value, 3) for name, value in found.items()},
        "label": label,
        "absent": cell.absent,
        "fault": cell.fault,
        "samples": [
            {
                "value": round(sample.value, 3),
                "count": sample.count,
                "cpu_seconds": sample.cpu_seconds,
                "wall_seconds": sample.wall_seconds,
            }
            for sample in cell.samples
        ],
    }


def _target(target: Target, row: Row, cells: Cells) -> dict[str, Any]:
    """What was to be reached, what was, and the verdict in words."""
    match target:
        case Times():
            subject, other = cells[row.name].get(SUBJECT), cells.get(target.row or row.name, {}).get(target.peer)
            same_round = target.row is None
            got = _paired(subject, other) if same_round else _apart(subject, other)
            limit = target.factor
        case AtMost():
            got, limit = _median(cells[row.name].get(SUBJECT)), target.limit
        case _:
            assert_never(target)
    if got is None:
        verdict = "not measured"
    elif got <= limit:
        verdict = f"yes ({got:.2f})"
    else:
        verdict = f"**no**: {got:.2f}, {(got / limit - 1) * 100:.0f} % over"
    met = None if got is None else got <= limit
    return {"text": str(target), "limit": limit, "got": got, "met": met, "verdict": verdict}


def _median(cell: Cell | None) -> float | None:
    return statistics.median(sample.value for sample in cell.samples) if cell and cell.samples else None


def _paired(own: Cell | None, other: Cell | None) -> float | None:
    """The median over the rounds of own by other, each pair taken within seconds of one another."""
    if own is None or other is None:
        return None
    pairs = [(a.value, b.value) for a, b in zip(own.samples, other.samples, strict=False)]
    # Memory that a peer gave back instead of keeping is no divisor.
    return statistics.median(a / b for a, b in pairs) if pairs and all(b > 0 for _, b in pairs) else None


def _apart(own: Cell | None, other: Cell | None) -> float | None:
    """Own by other, where they stand in different rows."""
    a, b = _median(own), _median(other)
    return None if a is None or b is None or b <= 0 else a / b


def _figure(cell: dict[str, Any], notes: list[str]) -> str:
    text = f"{cell['median']:.1f} ({cell['low']:.1f}–{cell['high']:.1f})" if "median" in cell else "–"
    note = cell["fault"] or cell["absent"] or cell["label"]
    if note is None:
        return text
    if note not in notes:
        notes.append(note)
    return f"{text} [{notes.index(note) + 1}]"


def _times(ratio: float | None) -> str:
    return "–" if ratio is None else f"{ratio:.2f}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _version(name: str) -> str:
    try:
        return PEERS[name].version()
    except (BenchError, OSError) as error:
        return f"{name}: {error}"


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _shared_core() -> bool:
    return CORE_UNDER_TEST == CORE_OF_LOAD
