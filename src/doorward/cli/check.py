"""`doorward check`: every problem at once, each with its place and a hint; nothing is started or changed."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from doorward.cli.command import (
    AsJson,
    ConfigFile,
    Exit,
    check_command,
    config_file,
    counted,
    print_json,
    print_problems,
    problems_as_json,
    say_next,
)

if TYPE_CHECKING:
    from doorward.config.config import Config, Form
    from doorward.config.problem import Problem


def check(
    config: ConfigFile = None,
    production: Annotated[
        bool, typer.Option("--production", help="Also what should be so before strangers may connect.")
    ] = False,
    middleware: Annotated[
        bool,
        typer.Option(
            "--middleware", help="As the middleware in your app reads it; so is a file that names no backend."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show every problem of the configuration at once.

    Exit 0 when it can start, 2 when it can't.

    Example: doorward check -c doorward.toml --production
    """
    from doorward.adapters.system import SystemClock
    from doorward.config.config import Form
    from doorward.config.problem import Severity
    from doorward.config.production import audit

    path = config_file(config)
    found, form = _read(path, middleware=middleware)
    if isinstance(found, list):
        problems = found
    elif production:
        problems = [*found.warnings, *audit(found, now=SystemClock().now(), user=os.getuid(), form=form)]
    else:
        problems = list(found.warnings)
    is_fit = not any(problem.severity is Severity.ERROR for problem in problems)
    if as_json:
        print_json({"file": str(path) if path else None, "ok": is_fit, "problems": problems_as_json(problems)})
    else:
        print_problems(problems)
        name = str(path) if path else "the configuration"
        here = form is Form.MIDDLEWARE
        begin = "start the application that Doorward stands around" if here else check_command(config, command="run")
        again = "check --middleware" if middleware else "check"
        if not is_fit:
            again = check_command(config, command=f"{again} --production" if production else again)
            say_next(f"{name}: {counted(problems)}. Mend the errors, then {again}.")
        elif production:
            say_next(f"{name} is fit to go live ({counted(problems)}). Next: {begin}.")
        else:
            say_next(
                f"{name} can start ({counted(problems)}). Next: {begin}, or before "
                f"going live {check_command(config, command=f'{again} --production')}."
            )
        servers = [] if isinstance(found, list) else _servers(found)
        if is_fit and servers:
            told = "your application's log" if here else check_command(config, command="run")
            say_next(f"No server was tried: whether those of {' and '.join(servers)} answer, {told} says.")
    raise typer.Exit(Exit.DONE if is_fit else Exit.USAGE)


def _servers(config: "Config") -> list[str]:
    """The keys that name a server."""
    return ["store.url"] * config.store_is_postgres + ["store.cluster_url"] * bool(config.cluster_url)


def _read(path: Path | None, *, middleware: bool) -> "tuple[Config | list[Problem], Form]":
    """What is there, and for which form it is to be fit: routes of which none has a backend are no gateway's."""
    from doorward.config.config import Config, Form
    from doorward.config.load import load

    in_app = load(path, environment=os.environ, form=Form.MIDDLEWARE)
    if middleware:
        return in_app, Form.MIDDLEWARE
    found = load(path, environment=os.environ)
    for config in (found, in_app):
        if isinstance(config, Config) and config.settings.routes and not config.backends:
            return in_app, Form.MIDDLEWARE
    return found, Form.EITHER
