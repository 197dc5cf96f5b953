"""Totals pytest's JUnit reports into one closing line: `N passed, M failed`, with skips listed before it.

A test that ran in several reports counts once, and is failed if it failed in any of them. Exits 1 when a test failed,
when none ran, or when a report is missing or unreadable: that run ended before pytest could close it.

`--again REPORT`, any number of them: a second run, alone, of what had failed. What it passes counts as passed, and
is listed as unsteady, so that nobody can overlook it.
"""

import sys
from pathlib import Path
from xml.etree import ElementTree

OUTCOMES = ("skipped", "passed", "failed")  # the worst of a test's outcomes is the one that counts


def outcomes(report: Path) -> dict[str, str]:
    """Test id -> outcome. A fault in set-up or tear-down fails its test, as pytest's own summary has it."""
    found: dict[str, str] = {}
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314  our own pytest wrote it
        name = f"{case.get('classname')}::{case.get('name')}"
        tags = {child.tag for child in case}
        outcome = "failed" if tags & {"failure", "error"} else "skipped" if "skipped" in tags else "passed"
        found[name] = max(found.get(name, outcome), outcome, key=OUTCOMES.index)
    return found


def main(arguments: list[str]) -> int:
    paths: list[str] = arguments
    again: dict[str, str] = {}
    while paths[:1] == ["--again"]:
        again |= outcomes(Path(paths[1]))
        paths = paths[2:]
    total: dict[str, str] = {}
    lost = 0
    for path in map(Path, paths):
        try:
            found = outcomes(path)
        except (OSError, ElementTree.ParseError) as error:
            print(f"no report {path}: {error}")
            lost += 1
            continue
        for name, outcome in found.items():
            total[name] = max(total.get(name, outcome), outcome, key=OUTCOMES.index)
    for name, its in sorted(total.items()):
        if its == "failed" and again.get(name) == "passed":
            print(f"unsteady: {name} failed, and passed alone")
            total[name] = "passed"
    for outcome in ("skipped", "failed"):
        for name in sorted(name for name, its in total.items() if its == outcome):
            print(f"{outcome}: {name}")
    counts = {outcome: list(total.values()).count(outcome) for outcome in OUTCOMES}
    failed = counts["failed"] + lost
    skipped = f", {counts['skipped']} skipped" if counts["skipped"] else ""
    print(f"{counts['passed']} passed, {failed} failed{skipped}")
    return 1 if failed or not counts["passed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
