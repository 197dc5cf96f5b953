"""One row a vector, one column a door: what each of them said, in `.reports/doors.md`."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from tests.architecture.source import ROOT
from tests.vectors.loading import vectors

FOLDER = ROOT / ".reports" / "doors"
LEGEND = """What each door said to each vector. *in*: it was let in. *as the core*: refused for the core's reason.
*server*: the server refused by itself, before it asked. *plain HTTP*: the server saw no upgrade in it. –: it does not
run there (spec/vectors/README.md)."""
PAGE = ROOT / ".reports" / "doors.md"


def record(vector: str, door: str, said: str) -> None:
    """One cell. Workers of one test run write files of their own."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / f"{os.getpid()}.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps([vector, door, said]) + "\n")


def cells(folder: Path) -> dict[str, dict[str, str]]:
    """vector -> door -> what it said; of two, the later one."""
    found: dict[str, dict[str, str]] = {}
    for path in sorted(folder.glob("*.jsonl"), key=lambda path: path.stat().st_mtime):
        for line in path.read_text(encoding="utf-8").splitlines():
            vector, door, said = json.loads(line)
            found.setdefault(vector, {})[door] = said
    return found


def page(found: Mapping[str, Mapping[str, str]]) -> str:
    """Every vector with what the core decides, and what each door said in the runs so far."""
    doors = sorted({door for row in found.values() for door in row})
    lines = [f"| vector | the core | {' | '.join(doors)} |", f"| --- | --- |{' --- |' * len(doors)}"]
    for vector in vectors():
        decision = f"{vector.expect['status']} {vector.expect.get('reason', '')}".strip()
        said = " | ".join(found.get(vector.id, {}).get(door, "–") for door in doors)
        lines.append(f"| {vector.id} | {decision} | {said} |")
    return f"# Doors\n\n{LEGEND}\n\n" + "\n".join(lines) + "\n"


def write() -> None:
    """Make the page of what was recorded so far."""
    found = cells(FOLDER)
    if found:
        PAGE.write_text(page(found), encoding="utf-8")
