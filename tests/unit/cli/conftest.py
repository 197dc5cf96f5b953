"""The program in a folder of its own, with none of our environment."""

import os
from dataclasses import dataclass

import pytest
from typer.testing import CliRunner

from doorward.cli import app


@dataclass(frozen=True)
class Said:
    """What a command left: its exit code, and what it wrote where."""

    code: int
    out: str
    err: str


@pytest.fixture
def doorward(tmp_path, monkeypatch):
    """Run `doorward …` in tmp_path."""
    for name in [name for name in os.environ if name.startswith("DOORWARD_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def run(*words: str, stdin: str = "", **environment: str) -> Said:
        result = CliRunner().invoke(app, list(words), env=environment, input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Said(result.exit_code, result.stdout, result.stderr)

    return run
