"""The program in a folder of its own, with none of our environment."""

import os
import sys
from dataclasses import dataclass

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from doorward.cli import app

PROGRAM = get_command(app)
"""Made once: the runner's own `invoke` makes it anew for each command, and most commands take less than that."""


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
        with CliRunner().isolation(input=stdin, env=environment) as (out, err, _):
            with pytest.raises(SystemExit) as ended:
                PROGRAM.main(list(words), prog_name="doorward")
            sys.stdout.flush()
            sys.stderr.flush()
            texts = [stream.getvalue().decode(errors="replace") for stream in (out, err)]
        assert isinstance(ended.value.code, int)
        return Said(ended.value.code, *texts)

    return run
