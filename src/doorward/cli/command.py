"""What every command shares: where the configuration is, what an exit code means, how a problem is printed.

Nothing heavy is imported before a command runs: `doorward --help` answers at once.
"""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from enum import IntEnum, unique
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import typer

if TYPE_CHECKING:
    from doorward.config.config import Config, Form
    from doorward.config.problem import Problem

DEFAULT_FILE: Final = "doorward.toml"


@unique
class Exit(IntEnum):
    """PRODUCT section 3."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_STARTED = 3


ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "-c",
        "--config",
        envvar="DOORWARD_CONFIG",
        metavar="FILE",
        help=f"The configuration file; {DEFAULT_FILE} here when left out.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def config_file(path: Path | None) -> Path | None:
    """The file that a command reads: the one that was named, else doorward.toml here; none where only the environment
    speaks."""
    if path is not None or Path(DEFAULT_FILE).is_file():
        return path or Path(DEFAULT_FILE)
    return None if any(name.startswith("DOORWARD_") for name in os.environ) else Path(DEFAULT_FILE)


def loaded(
    path: Path | None,
    *,
    overrides: dict[str, Any] | None = None,
    as_json: bool = False,
    warn: bool = False,
    form: "Form | None" = None,
) -> "Config":
    """The configuration; `warn` prints its warnings. Exits with USAGE and every problem when it can't start.

    `form`: what it is to be fit for; None where the command starts nothing.
    """
    from doorward.config.config import Form
    from doorward.config.load import load

    found = load(config_file(path), environment=os.environ, overrides=overrides, form=form or Form.EITHER)
    if isinstance(found, list):
        if as_json:
            print_json({"ok": False, "problems": problems_as_json(found)})
        else:
            print_problems(found)
            if len(found) > 1:
                say_next(f"{counted(found)}. {check_command(path)} shows them again.")
        raise typer.Exit(Exit.USAGE)
    if warn:
        print_problems(found.warnings)
    return found


def check_command(path: Path | None, *, command: str = "check") -> str:
    """`doorward check`, with the file where it is not the one that lies here."""
    return f"`doorward {command}`" if path is None else f"`doorward {command} -c {path}`"


def print_problems(problems: Iterable["Problem"]) -> None:
    """Each with its place, what is wrong, and what to do, on stderr."""
    colours = {"error": typer.colors.RED, "warning": typer.colors.YELLOW}
    for problem in problems:
        where = f"{problem.source}:{problem.line}" if problem.line is not None else problem.source
        head = ": ".join(part for part in (where, problem.path) if part)
        mark = typer.style(problem.severity.value, fg=colours[problem.severity.value], bold=True)
        typer.echo(f"{head + ': ' if head else ''}{mark}: {problem.text}", err=True)
        if problem.hint:
            typer.echo(f"    {problem.hint}", err=True)


def counted(problems: Sequence["Problem"]) -> str:
    """`2 errors, 1 warning`."""
    parts = []
    for word in ("error", "warning"):
        count = sum(problem.severity.value == word for problem in problems)
        if count:
            parts.append(f"{count} {word}{'' if count == 1 else 's'}")
    return ", ".join(parts) or "no problems"


def problems_as_json(problems: Iterable["Problem"]) -> list[dict[str, object]]:
    return [
        {
            "severity": problem.severity.value,
            "source": problem.source,
            "line": problem.line,
            "path": problem.path,
            "text": problem.text,
            "hint": problem.hint,
        }
        for problem in problems
    ]


def print_json(value: object) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=not _speaks_utf8()))


def _speaks_utf8() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def say_next(text: str) -> None:
    """The next step, on stderr, so that stdout holds nothing but the answer."""
    typer.echo(text, err=True)


def warn(text: str) -> None:
    """Say on stderr what was done all the same, and may not be what was meant."""
    typer.echo(f"{typer.style('warning', fg=typer.colors.YELLOW, bold=True)}: {text}", err=True)


def fail(text: str, *, hint: str = "", code: Exit = Exit.FAILED) -> NoReturn:
    """Say what went wrong and what to do, and exit."""
    typer.echo(f"{typer.style('error', fg=typer.colors.RED, bold=True)}: {text}", err=True)
    if hint:
        typer.echo(f"    {hint}", err=True)
    raise typer.Exit(code)
