"""What is known to differ, and why: explained.toml, read and held against two runs."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from tests.integration.autobahn.verdicts import Verdict, Verdicts, in_order

HERE = Path(__file__).with_name("explained.toml")


@dataclass(frozen=True, slots=True)
class Cause:
    """One reason for the cases of some runs to end in one verdict. `always`: each of them has to."""

    runs: tuple[str, ...]
    cases: tuple[str, ...]
    verdict: Verdict
    always: bool
    why: str

    def covers(self, run: str, case: str) -> bool:
        return any(fnmatchcase(run, one) for one in self.runs) and any(fnmatchcase(case, one) for one in self.cases)


def causes() -> tuple[Cause, ...]:
    tables = tomllib.loads(HERE.read_text(encoding="utf-8"))["cause"]
    return tuple(
        Cause(
            tuple(table["runs"]),
            tuple(table["cases"]),
            Verdict(table["verdict"][0], table["verdict"][1], table["verdict"][2] or None),
            table["always"],
            table["why"],
        )
        for table in tables
    )


def cause_of(run: str, case: str, verdict: Verdict | None) -> Cause | None:
    return next((one for one in causes() if one.covers(run, case) and one.verdict == verdict), None)


def unexplained(run: str, without: Verdicts, through: Verdicts) -> list[str]:
    """In words: what differs and is not listed, and what is listed and does not differ."""
    return [*_unlisted(run, without, through), *_untrue(run, without, through)]


def _unlisted(run: str, without: Verdicts, through: Verdicts) -> Iterator[str]:
    for case in in_order(without.keys() | through.keys()):
        before, after = without.get(case), through.get(case)
        if before != after and cause_of(run, case, after) is None:
            yield f"{case}: {before} without; {after} through"


def _untrue(run: str, without: Verdicts, through: Verdicts) -> Iterator[str]:
    for cause in causes():
        for case in in_order(through.keys()):
            if cause.always and cause.covers(run, case) and without.get(case) == through[case]:
                yield f"{case}: does not differ, but is explained by: {cause.why}"
