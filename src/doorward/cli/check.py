"""`doorward check`: every problem at once, each with its place and a hint; nothing is started or changed."""

import os
from typing import Annotated

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


def check(
    config: ConfigFile = None,
    production: Annotated[
        bool, typer.Option("--production", help="Also what should be so before strangers may connect.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show every problem of the configuration at once.

    Exit 0 when it can start, 2 when it can't.

    Example: doorward check -c doorward.toml --production
    """
    from doorward.adapters.system import SystemClock
    from doorward.config.load import load
    from doorward.config.problem import Severity
    from doorward.config.production import audit

    path = config_file(config)
    found = load(path, environment=os.environ)
    if isinstance(found, list):
        problems = found
    else:
        problems = [*found.warnings, *(audit(found, now=SystemClock().now(), user=os.getuid()) if production else ())]
    is_fit = not any(problem.severity is Severity.ERROR for problem in problems)
    if as_json:
        print_json({"file": str(path) if path else None, "ok": is_fit, "problems": problems_as_json(problems)})
    else:
        print_problems(problems)
        name = str(path) if path else "the configuration"
        serves = isinstance(found, list) or found.backends != {}
        begin = check_command(config, command="run") if serves else "start the application that Doorward stands around"
        if not is_fit:
            again = check_command(config, command="check --production" if production else "check")
            say_next(f"{name}: {counted(problems)}. Mend the errors, then {again}.")
        elif production:
            say_next(f"{name} is fit to go live ({counted(problems)}). Next: {begin}.")
        else:
            say_next(
                f"{name} can start ({counted(problems)}). Next: {begin}, or before "
                f"going live {check_command(config, command='check --production')}."
            )
    raise typer.Exit(Exit.DONE if is_fit else Exit.USAGE)
