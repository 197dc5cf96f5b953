"""The verdicts of long runs, between the run and the page: a JSON file each."""

import json
from pathlib import Path

from tests.integration.autobahn.verdicts import Verdict, Verdicts

FOLDER = Path(".reports/conformance")


def _file(run: str) -> Path:
    return FOLDER / f"autobahn-{run.replace('/', '-')}.json"


def keep(run: str, verdicts: Verdicts, *, seconds: int) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    cases = {case: [said.behavior, said.close, said.code] for case, said in verdicts.items()}
    _file(run).write_text(json.dumps({"run": run, "seconds": seconds, "cases": cases}), encoding="utf-8")


def is_kept(run: str) -> bool:
    return _file(run).exists()


def kept(run: str) -> Verdicts:
    """Raises FileNotFoundError for one that was never made here."""
    cases = json.loads(_file(run).read_text(encoding="utf-8"))["cases"]
    return {case: Verdict(*said) for case, said in cases.items()}
