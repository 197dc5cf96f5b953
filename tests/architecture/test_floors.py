"""The floors hold: import-linter's contracts, as pyproject.toml states them, reasons beside them."""

import subprocess
import sys
from pathlib import Path

from tests.architecture.source import ROOT


def test_every_contract_is_kept() -> None:
    linter = [str(Path(sys.executable).parent / "lint-imports"), "--no-logo", "--no-cache"]
    run = subprocess.run(linter, cwd=ROOT, check=False, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "3 kept, 0 broken" in run.stdout
