"""The reference pages that are made from the program itself: every key of the configuration, every command.

tools/generate.py writes them.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

import typer.main

from doorward.cli import app
from doorward.config.not_built import NOT_BUILT
from doorward.config.show import json_schema

MADE: Final = "Made by `python -m tools.generate`: do not edit."

_INTRODUCTION: Final = f"""\
# The configuration

{MADE} The same in short, as comments of one example: `examples/full.toml`.

One file, `doorward.toml`, named by `-c` or `DOORWARD_CONFIG`. Relative file names in it start at its folder. Every key
can also come from the environment, which goes over the file: `server.listen` is `DOORWARD_SERVER__LISTEN`, lists and
tables as JSON, and a secret also as the name of a file that holds it (`…_FILE`). `doorward config env` prints that form
of every key, `doorward config show` what is in effect.

Durations are written `"30s"`, `"10m"`, `"12h"`, `"7d"`; sizes `"64KiB"`; rates `"100/min"`, or `"100/min burst 20"`
where the burst is not the count. A key that is left out has its default; an empty list means none. An unknown key is an
error. A key that says *not in this version* is accepted at its default, and refused otherwise: nothing is ignored.

`doorward check` shows every problem at once; SIGHUP makes a running gateway read the file again, all or nothing."""

_COMMANDS: Final = f"""\
# Commands

{MADE} `doorward COMMAND --help` says the same.

Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 could not start. Commands act through the store, not through a
process: they work on the machine where the store is, whether a gateway runs or not. Every command that needs the
configuration takes `-c FILE` or `DOORWARD_CONFIG`, and else reads `doorward.toml` where you are."""


def configuration_page() -> str:
    """docs/reference/configuration.md"""
    schema = json_schema()
    lines = [_INTRODUCTION, ""]
    for name, about in schema["properties"].items():
        lines += _section(name, about, schema["$defs"], at=(name,))
    return "\n".join(lines).rstrip("\n") + "\n"


def _section(name: str, about: dict[str, Any], tables: dict[str, Any], *, at: tuple[str, ...]) -> Iterator[str]:
    """One table of the file, then those inside it."""
    table, many = _table(about, tables)
    if table is None:
        # roles: names of the user's own
        yield from (f"## [{name}]", "", f"{_sentence(about['description'])} {_reason(at)}".rstrip(), "")
        return
    title = f"[[{'.'.join(at)}]]" if many else ".".join(at) if len(at) > 1 else f"[{name}]"
    yield from (f"{'#' * (len(at) + 1)} {title}", "", f"{_sentence(about['description'])} {_reason(at)}".rstrip(), "")
    if _reason(at):
        return
    inner: list[tuple[str, dict[str, Any]]] = []
    rows = []
    for key, field in table["properties"].items():
        if _table(field, tables)[0] is not None:
            inner.append((key, field))
            rows.append((f"`{key}`", "a table", _described((*at, key), field)))
            continue
        required = key in table.get("required", ())
        rows.append((f"`{key}`", "required" if required else _default(field), _described((*at, key), field)))
    yield from _rows(("key", "default", ""), rows)
    yield ""
    for key, field in inner:
        yield from _section(key, field, tables, at=(*at, key))


def _table(field: dict[str, Any], tables: dict[str, Any]) -> tuple[dict[str, Any] | None, bool]:
    """The table that a key holds, if it holds one, and whether it holds several."""
    for one in [field, *field.get("anyOf", ())]:
        reference = one.get("$ref") or one.get("items", {}).get("$ref")
        if reference is not None:
            return tables[reference.rpartition("/")[2]], "items" in one
    return None, False


def _default(field: dict[str, Any]) -> str:
    match field.get("default"):
        case None:
            return "–"
        case bool() as value:
            return f"`{str(value).lower()}`"
        case str() as value:
            return f'`"{value}"`'
        case list() as value:
            return f"`{json.dumps(value)}`"
        case dict():
            return "`{}`"
        case value:
            return f"`{value}`"


def _described(at: tuple[str, ...], field: dict[str, Any]) -> str:
    words = next((one["enum"] for one in [field, *field.get("anyOf", ()), field.get("items", {})] if "enum" in one), ())
    text = field.get("description", "")
    missing = [word for word in words if f'"{word}"' not in text and word != field.get("default")]
    if missing and "algorithms" in at:
        text += ": " + ", ".join(f"`{word}`" for word in words)
    return ". ".join(part for part in (text, _reason(at)) if part).replace("|", "\\|")


def _reason(at: tuple[str, ...]) -> str:
    """What this version does not carry out of a key, and why."""
    for entry in NOT_BUILT:
        if tuple(part for part in entry.key if part != "*") == at:
            return f"*Not in this version{_accepted(entry.accepted)}: {entry.reason}*"
    return ""


def _accepted(values: Sequence[object]) -> str:
    """A list of words of which some are carried out; one value is the default, which stands beside it."""
    return "" if len(values) < 2 else f" beyond {', '.join(f'`{value}`' for value in values)}"


def _sentence(text: str) -> str:
    return text if not text or text.endswith(".") else f"{text[0].upper()}{text[1:]}."


def _rows(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"| {' | '.join('---' for _ in heads)} |"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def commands_page() -> str:
    """docs/reference/commands.md"""
    lines = [_COMMANDS, ""]
    for words, command in _commands(typer.main.get_command(app), ()):
        lines += _command(words, command)
    return "\n".join(lines).rstrip("\n") + "\n"


def _commands(group: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that does something, in the order of `--help`."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, (*words, name))
        elif not command.hidden:
            yield (*words, name), command


def _command(words: tuple[str, ...], command: Any) -> Iterator[str]:
    text, _, example = " ".join((command.help or "").split()).partition("Example: ")
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    options = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    usage = " ".join(["doorward", *words, *(argument.metavar or argument.name for argument in arguments)])
    yield from (f"## {usage}", "", text.strip(), "")
    if example:
        yield from (f"    {example}", "")
    rows = [(f"`{argument.metavar}`", _sentence(argument.help or "")) for argument in arguments]
    for option in options:
        if option.hidden or (option.name == "config" and option.envvar):
            continue
        names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
        value = f" `{option.metavar}`" if option.metavar else ""
        default = option.default
        shown = "" if default in (None, "", False, True) or option.required else f" Default: `{default}`."
        needed = " Required." if option.required else ""
        rows.append((names + value, f"{_sentence(option.help or '')}{needed}{shown}"))
    if any(option.name == "config" and option.envvar for option in options):
        rows.append(("`-c`, `--config` `FILE`", "The configuration file."))
    if rows:
        yield from _rows(("", ""), rows)
        yield ""
