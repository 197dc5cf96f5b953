"""The report: one JSON document that holds every sample, and Markdown tables that can be read in a minute."""

import os
import platform
import resource
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, assert_never

from bench.arithmetic import added, paired
from bench.peers import PEERS
from bench.processes import CORE_OF_LOAD, CORE_UNDER_TEST, BenchError
from bench.rows import Added as Extra
from bench.rows import AtMost, Row, Target, Times
from bench.run import Cell, Outcome, Plan, Results
from bench.studies import Figure, Limit, Study

SCHEMA: Final = 2
Report = dict[str, Any]

BUSY: Final = 0.05
"""The share of the machine that others may take before the report warns."""

_HOW: Final = (
    "Median (lowest–highest) of the samples; a ratio is the median of the rounds' ratios. CPU is user and system time "
    "of all threads of the process under test. How to read it: bench/README.md."
)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """When the run was made (ISO 8601), how long it took in seconds, and what share of the machine others had."""

    made_at: str
    seconds: float
    others: float


def build(plan: Plan, results: Results, circumstances: Circumstances) -> Report:
    """The whole report as plain values, of all that was found so far."""
    made_at = circumstances.made_at
    return {
        "schema": SCHEMA,
        "made_at": made_at,
        "seconds": round(circumstances.seconds, 1),
        "factor": plan.factor,
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3),
            "kernel": ".".join(platform.release().split(".")[:2]),
            "open_files": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
            "shared_core": CORE_UNDER_TEST == CORE_OF_LOAD,
            "others_percent": round(circumstances.others * 100, 1),
        },
        "versions": {name: _version(name) for name in plan.peers},
        "rows": [{"made_at": made_at, **_row(row, results.cells)} for row in plan.rows if results.cells.get(row.name)],
        "studies": [
            {"made_at": made_at, **_study(study, results.outcomes[study.name], plan.factor)}
            for study in plan.studies
            if study.name in results.outcomes
        ],
    }


def complete(report: Report, plan: Plan) -> bool:
    """Whether every figure that the plan asked for was taken, and no study lost what it had to keep."""
    cells = [cell for row in report["rows"] for cell in row["cells"].values()]
    took_all = len(report["studies"]) == len(plan.studies)
    lost = any(figure["must"] and not figure["met"] for each in report["studies"] for figure in each["figures"])
    return took_all and not lost and not any(each["fault"] for each in [*cells, *report["studies"]])


def doubts(report: Report) -> list[str]:
    """Why the figures of this report are not to be trusted; empty where they are."""
    found = []
    if report["factor"] < 1:
        found.append("small counts: a trial of the harness, not a measurement")
    if report["machine"]["shared_core"]:
        found.append("load and gateway shared one core")
    if report["machine"]["others_percent"] > BUSY * 100:
        found.append(f"other work took {report['machine']['others_percent']:.0f} % of the machine meanwhile")
    return found


def markdown(report: Report) -> str:
    """All tables."""
    versions = ", ".join(dict.fromkeys(report["versions"].values()))
    warning = "; ".join(doubts(report))
    parts = [
        "# Doorward beside its peers",
        f"{report['made_at']}, {report['seconds']:.0f} s, {report['machine']['processor']}; {versions}.",
        f"**Not to be trusted**: {warning}." if warning else "",
        *tables(report),
        _HOW,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def tables(report: Report) -> list[str]:
    """One table for the rows of each subject, then one for each study."""
    subjects = dict.fromkeys(row["subject"] for row in report["rows"])
    found = [rows_table([row for row in report["rows"] if row["subject"] == subject]) for subject in subjects]
    return found + [f"## {study['title']}\n\n{study_table(study)}" for study in report["studies"]]


def rows_table(rows: Sequence[Report]) -> str:
    """The table of rows with one subject, and its notes."""
    subject = rows[0]["subject"]
    peers = list(dict.fromkeys(name for row in rows for name in row["cells"]))
    others = [name for name in peers if any(name in row["ratios"] for row in rows)]
    notes: list[str] = []
    heads = ["work", "unit", *peers, *(f"÷ {name}" for name in others), "target", f"reached by {subject}"]
    lines = [line(heads), line(["---"] * 2 + ["---:"] * (len(heads) - 4) + ["---"] * 2)]
    for row in rows:
        figures = [_figure(row["cells"].get(name), notes) for name in peers]
        ratios = [_times(row["ratios"].get(name)) for name in others]
        targets = "; ".join(target["text"] for target in row["targets"])
        reached = "; ".join(target["verdict"] for target in row["targets"])
        lines.append(line([row["title"], row["unit"], *figures, *ratios, targets, reached]))
    said = [f"{number}. {note}" for number, note in enumerate(notes, 1)]
    return "\n".join(lines) + ("\n\n" + "\n".join(said) if said else "")


def study_table(study: Report) -> str:
    """The figures of one study; or why there are none."""
    if study["fault"]:
        return f"Not measured: {study['fault']}."
    lines = [line(["figure", "", "target", "reached"]), line(["---", "---:", "---", "---"])]
    for figure in study["figures"]:
        value = f"{figure['value']:,.{figure['digits']}f} {figure['unit']}".strip()
        lines.append(line([figure["title"], value, figure["text"], figure["verdict"]]))
    return "\n".join(lines) + (f"\n\n{study['note']}" if study["note"] else "")


def line(cells: Sequence[str]) -> str:
    """One line of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def verdict(got: float | None, limit: float, side: Limit = Limit.AT_MOST) -> dict[str, Any]:
    """Whether a figure lies on the right side of its limit, as values and in words."""
    if got is None:
        return {"limit": limit, "got": None, "met": None, "verdict": "not measured"}
    met = got <= limit if side is Limit.AT_MOST else got >= limit
    figure = f"{got:,.0f}" if got >= 1000 else f"{got:.4g}"
    said = f"yes ({figure})"
    if not met:
        off = f"{abs(got / limit - 1) * 100:.0f} % {'over' if got > limit else 'under'}" if limit else "over"
        said = f"**no**: {figure}, {off}"
    return {"limit": limit, "got": got, "met": met, "verdict": said}


def _row(row: Row, cells: dict[str, dict[str, Cell]]) -> Report:
    own = cells[row.name]
    subject = own.get(row.subject)
    others = {name: cell for name, cell in own.items() if row.compared and name not in (row.subject, "direct")}
    ratios = {name: _paired(subject, cell) for name, cell in others.items()}
    return {
        "name": row.name,
        "title": row.title,
        "unit": row.unit,
        "subject": row.subject,
        "cells": {name: _cell(cell, row.labels.get(name)) for name, cell in own.items()},
        "ratios": {name: ratio for name, ratio in ratios.items() if ratio is not None},
        "targets": [_target(target, row, cells) for target in row.targets],
    }


def _cell(cell: Cell, label: str | None) -> Report:
    values = [sample.value for sample in cell.samples]
    found = {"median": statistics.median(values), "low": min(values), "high": max(values)} if values else {}
    parts = dict.fromkeys(name for sample in cell.samples for name in sample.parts)
    return {
        **{name: round(value, 3) for name, value in found.items()},
        "parts": {name: round(statistics.median(each.parts[name] for each in cell.samples), 3) for name in parts},
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


def _target(target: Target, row: Row, cells: dict[str, dict[str, Cell]]) -> Report:
    """What was to be reached, what was, and the verdict in words."""
    own = cells[row.name].get(row.subject)
    match target:
        case Times():
            other = cells.get(target.row or row.name, {}).get(target.peer)
            got, limit = (_paired if target.row is None else _apart)(own, other), target.factor
        case Extra():
            other = cells[row.name].get(target.peer)
            got, limit = None if own is None or other is None else added(_values(own), _values(other)), target.limit
        case AtMost():
            got, limit = _median(own), target.limit
        case _:
            assert_never(target)
    text = str(target) if isinstance(target, Times) else f"{target} ({row.unit})"
    return {"text": text, **verdict(got, limit)}


def _study(study: Study, outcome: Outcome, factor: float) -> Report:
    finding = outcome.finding
    return {
        "name": study.name,
        "title": study.title,
        "fault": outcome.fault,
        "note": finding.note if finding else "",
        "figures": [_found(each, finding.figures[each.key], factor) for each in study.figures] if finding else [],
        "series": {name: list(values) for name, values in finding.series.items()} if finding else {},
    }


def _found(figure: Figure, value: float, factor: float) -> Report:
    said: Report = {"text": "", "limit": None, "got": value, "met": None, "verdict": ""}
    if figure.target is not None:
        limit = round(figure.target * factor) if figure.scaled else figure.target
        text = f"{figure.side} {limit:,.12g} {figure.unit}".strip()
        said = {"text": text, **verdict(value, limit, figure.side)}
    names = {name: getattr(figure, name) for name in ("key", "title", "unit", "digits", "must")}
    return {**names, "value": round(value, 4), **said}


def _values(cell: Cell) -> list[float]:
    return [sample.value for sample in cell.samples]


def _median(cell: Cell | None) -> float | None:
    return statistics.median(_values(cell)) if cell and cell.samples else None


def _paired(own: Cell | None, other: Cell | None) -> float | None:
    """Each pair was taken within seconds of one another."""
    return None if own is None or other is None else paired(_values(own), _values(other))


def _apart(own: Cell | None, other: Cell | None) -> float | None:
    """Own by other, where they stand in different rows."""
    a, b = _median(own), _median(other)
    return None if a is None or b is None or b <= 0 else a / b


def _figure(cell: Report | None, notes: list[str]) -> str:
    if cell is None:
        return "–"
    text = f"{cell['median']:.1f} ({cell['low']:.1f}–{cell['high']:.1f})" if "median" in cell else "–"
    apart = ", ".join(f"{name} {value:.0f}" for name, value in cell["parts"].items())
    note = cell["fault"] or cell["absent"] or cell["label"] or apart
    if not note:
        return text
    if note not in notes:
        notes.append(note)
    return f"{text} [{notes.index(note) + 1}]"


def _times(ratio: float | None) -> str:
    return "–" if ratio is None else f"{ratio:.2f}"


def _version(name: str) -> str:
    try:
        return PEERS[name].version()
    except (BenchError, OSError) as error:
        return f"{name}: {error}"


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
