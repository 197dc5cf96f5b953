"""`doorward config`: the configuration in effect, its JSON Schema, its environment form. Secrets are never printed."""

import typer

from doorward.cli.command import AsJson, ConfigFile, loaded, print_json

app = typer.Typer(no_args_is_help=True, help="The configuration in effect; its schema.")


@app.command()
def show(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Print the configuration in effect: flags, environment, file and defaults together, secrets masked.

    Example: doorward config show -c doorward.toml --json
    """
    from doorward.config.show import as_toml, derived, effective

    found = loaded(config, as_json=as_json)
    if as_json:
        print_json(effective(found))
    else:
        typer.echo(as_toml(effective(found), derived=derived(found)), nl=False)


@app.command()
def schema() -> None:
    """Print the JSON Schema of doorward.toml, for editors.

    Example: doorward config schema > doorward.schema.json
    """
    from doorward.config.show import json_schema

    print_json(json_schema())


@app.command()
def env() -> None:
    """Print the environment form of every key with its default. Lists and tables are JSON.

    Example: doorward config env | grep ORIGINS
    """
    from doorward.config.show import environment_lines

    for line in environment_lines():
        typer.echo(line)
