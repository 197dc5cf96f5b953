"""The page of results in the documentation, made from one report or from several, of which the later wins.

`python -m bench.publish REPORT.json…` makes it again from what was measured before: a row that failed can be measured
alone, and its report named last.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.plots import pictures
from bench.report import Report, doubts, line, rows_table, study_table
from bench.rows import ROWS
from bench.studies import STUDIES

_ROOT: Final = Path(__file__).parents[1]
PAGE: Final = _ROOT / "docs/reference/numbers.md"
IMAGES: Final = _ROOT / "docs/images/numbers"

_SECTIONS: Final = (
    ("Through the gateway", "doorward", ("messages", "handshakes", "memory")),
    ("In the app: the middleware", "middleware", ("middleware",)),
)
_HOW: Final = (
    "**Trust ratios, not microseconds**: peers take turns in one run on one machine. CPU is user and system time of "
    "all processes under test, memory their proportional set size. What each row counts: "
    "[bench/README.md](../../bench/README.md)."
)
_ALT: Final = {
    "messages": "CPU per message for each gateway",
    "handshakes": "CPU per handshake for each gateway",
    "memory": "Memory per connection for each gateway",
    "middleware": "CPU with and without the middleware",
    "revocation-one": "How long after the call a revoked connection is closed",
    "revocation-all": "How many of all connections are closed by when",
    "loop": "Round trips of a live connection while all others are closed",
    "idle": "CPU over time while all connections are idle",
}
_PLOTS_OF: Final = {"on-duty": ("revocation-one", "revocation-all", "loop"), "scale-9500": ("idle",)}


def merged(reports: Sequence[Report]) -> Report:
    """One report: the last one's machine and versions, and every row and study as it was measured last."""
    last = reports[-1]
    rows = {row["name"]: row for each in reports for row in each["rows"]}
    studies = {study["name"]: study for each in reports for study in each["studies"]}
    versions = {name: version for each in reports for name, version in each["versions"].items()}
    return {
        **last,
        "factor": min(each["factor"] for each in reports),
        "seconds": sum(each["seconds"] for each in reports),
        "machine": {
            **last["machine"],
            "others_percent": max(each["machine"]["others_percent"] for each in reports),
            "shared_core": any(each["machine"]["shared_core"] for each in reports),
        },
        "versions": versions,
        "rows": [rows[row.name] for row in ROWS if row.name in rows],
        "studies": [studies[study.name] for study in STUDIES if study.name in studies],
    }


def targets(report: Report) -> list[tuple[str, str, Report]]:
    """Everything that was to be reached: what, how much, and whether."""
    found = [(row["title"], target["text"], target) for row in report["rows"] for target in row["targets"]]
    for study in report["studies"]:
        found += [
            (f"{figure['title']} ({study['title']})" if study["name"].startswith("scale") else figure["title"],
             figure["text"], figure)
            for figure in study["figures"]
            if figure["limit"] is not None
        ]  # fmt: skip
    return found


def page(report: Report, shown: Sequence[str]) -> str:
    """The page. `shown` are the names of the pictures that there are."""
    wanted = targets(report)
    versions = dict.fromkeys(report["versions"].values())
    met = sum(target["met"] is True for _, _, target in wanted)
    doubtful = "; ".join(doubts(report))
    dates = sorted({each["made_at"][:10] for each in [*report["rows"], *report["studies"]]})
    parts = [
        "# Numbers",
        "<!-- made by `make bench`, do not edit -->",
        f"Measured on {' and '.join(dates)} by `make bench`: {', '.join(versions)}. {_machine(report)}",
        f"**Not to be trusted**: {doubtful}." if doubtful else "",
        _HOW,
        f"## What was to be reached\n\n{met} of {len(wanted)}.",
        "\n".join([
            line(["work", "to reach", "reached"]), line(["---", "---", "---"]),
            *(line([what, text, target["verdict"]]) for what, text, target in wanted),
        ]),
    ]  # fmt: skip
    for heading, subject, plots in _SECTIONS:
        rows = [row for row in report["rows"] if row["subject"] == subject]
        if rows:
            parts += [f"## {heading}", *_images(plots, shown), rows_table(rows)]
    for study in report["studies"]:
        title = study["title"][0].upper() + study["title"][1:]
        parts += [f"## {title}", *_images(_PLOTS_OF.get(study["name"], ()), shown), study_table(study)]
    parts.append("Figures are medians, with the lowest and highest sample in brackets.")
    return "\n\n".join(part for part in parts if part) + "\n"


def _machine(report: Report) -> str:
    machine = report["machine"]
    return (
        f"The machine: {machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, Linux "
        f"{machine['kernel']}, at most {machine['open_files']:,} open files a process. All on loopback: what is under "
        "test has one core, load and backend share the other."
    )


def publish(reports: Sequence[Report]) -> Path:
    """Write the page and its pictures. Returns the page's path within the repository."""
    report = merged(reports)
    drawn = pictures(report)
    IMAGES.mkdir(parents=True, exist_ok=True)
    for old in IMAGES.glob("*.svg"):
        old.unlink()
    for name, text in drawn.items():
        (IMAGES / f"{name}.svg").write_text(text)
    PAGE.write_text(page(report, list(drawn)))
    return PAGE.relative_to(_ROOT)


def _images(names: Sequence[str], shown: Sequence[str]) -> list[str]:
    return [f"![{_ALT[name]}](../images/numbers/{name}.svg)" for name in names if name in shown]


if __name__ == "__main__":
    print(publish([json.loads(Path(name).read_text()) for name in sys.argv[1:]]))
