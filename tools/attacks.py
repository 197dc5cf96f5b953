"""The attack report: which test answers for each id of the hostile catalogue, and who refuses it at which door.

spec/attacks.toml has the ids; the tests carry them in their names, tables and docstrings; what each ASGI server lets
through is tests/security/servers/outcomes.json, written by `make attacks`.
"""

import json
import re
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
CATALOGUE: Final = ROOT / "spec/attacks.toml"
OUTCOMES: Final = ROOT / "tests/security/servers/outcomes.json"
GROUPS: Final = ("HS", "PX", "OR", "FR", "JT", "TS", "RV", "LG", "FX")
LETTERS: Final = {"D": "Doorward", "S": "server", "W": "silence", "H": "plain HTTP", "I": "**passes**"}

_ID: Final = re.compile(r"(?<![A-Za-z0-9])(HS|PX|OR|FR|JT|TS|RV|LG|FX)[-_]?([0-9]{2})(?![0-9])", re.IGNORECASE)
_IN_NAME: Final = re.compile(r"(?<=_)(hs|px|or|fr|jt|ts|rv|lg|fx)_?([0-9]{2})(?![0-9])")


_ABOVE: Final = """\
# The attacks

Made by `python -m tools.generate` from `spec/attacks.toml`, the tests and
`tests/security/servers/outcomes.json`; do not edit.

What the hostile suite does to Doorward, and what comes of it. At the gateway each refusal is followed to its end: the
status or close code, a body out of a list of constants, nothing at the backend, the end of the connection, exactly one
audit record with its reason, no secret in any output, every file closed again, and a good client that is served right
after. `GET /auth/verify` answers 401 or 403 to all of it that passes through a proxy
([forward_auth_questions](../../tests/security/hostile/test_forward_auth_questions.py)); the middleware has a table of
its own below. What a flood costs those who are in is measured by `make flood`; parsers are fuzzed by `make fuzz`
([what was found](fuzzing.md)).
"""
_UNDER: Final = """\
## Under the middleware

The same bytes, sent to five ASGI servers with the middleware behind them: who refuses. *Doorward*: the server let it
through, the middleware did not. *silence*: the server neither answers nor ends it. *plain HTTP*: the server takes it
for a request that is no upgrade, and the application's own HTTP answers; no socket opens. Several variants of an attack
are counted. Of identity headers that a client brings, in any spelling, the application sees none; fifty bad tokens get
one answer; behind a refusal no second request gets in; frames that lie end the connection, and nothing behind them is
delivered, but granian takes lengths in more bytes than they need (FR-04, and FR-06 in that form).
"""
_PASSES: Final = """
What passes, since neither the server refuses it nor ASGI shows it; the gateway refuses each, and so does a proxy in
front that is as strict:
"""


@cache
def catalogue() -> dict[str, Any]:
    return tomllib.loads(CATALOGUE.read_text(encoding="utf-8"))


def ids() -> Iterator[str]:
    for group in GROUPS:
        yield from (name for name in catalogue()[group] if name != "title")


@cache
def found() -> dict[str, tuple[str, ...]]:
    """The files that name each id: those of the hostile suite, else any test, else a vector."""
    named: dict[str, set[str]] = {}
    for path in sorted((ROOT / "tests").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        for match in (*_ID.finditer(text), *_IN_NAME.finditer(text)):
            named.setdefault(f"{match[1].upper()}-{match[2]}", set()).add(str(path.relative_to(ROOT)))
    for path in sorted((ROOT / "spec/vectors").glob("*.toml")):
        of_vector = _ID.match(path.name)
        if of_vector is not None:
            named.setdefault(f"{of_vector[1].upper()}-{of_vector[2]}", set()).add("spec/vectors")
    return {name: tuple(_nearest(files)) for name, files in named.items()}


def _nearest(files: Iterable[str]) -> list[str]:
    files = sorted(files)
    hostile = [file for file in files if file.startswith("tests/security/") and "/test_" in file]
    tables = [file for file in files if file.startswith("tests/security/")]
    return hostile or tables or files


def tests_of(name: str) -> list[str]:
    also = catalogue()["also"].get(name, [])
    return list(dict.fromkeys([*found().get(name, ()), *(str(one).partition("::")[0] for one in also)]))


def missing() -> list[str]:
    """Ids with neither a test nor a reason."""
    return [name for name in ids() if name not in catalogue()["not_applicable"] and not tests_of(name)]


def outcomes() -> dict[str, dict[str, str]]:
    read: dict[str, dict[str, str]] = json.loads(OUTCOMES.read_text(encoding="utf-8"))
    return read


def passing() -> dict[str, list[str]]:
    """By id, the servers under which something of it comes through."""
    through: dict[str, list[str]] = {}
    for server, told in outcomes().items():
        for attack, letters in told.items():
            if "I" in letters and server not in through.setdefault(attack[:5], []):
                through[attack[:5]].append(server)
    return through


def _cell(letters: str) -> str:
    parts = [(letters.count(letter), LETTERS[letter]) for letter in LETTERS if letter in letters]
    return parts[0][1] if len(parts) == 1 else " · ".join(f"{count} {word}" for count, word in parts)


def _shown(file: str) -> str:
    return f"[{Path(file).name.removesuffix('.py').removeprefix('test_')}](../../{file})"


def attacks_page() -> str:
    """docs/explain/attacks.md"""
    lines = [_ABOVE]
    reasons = catalogue()["not_applicable"]
    for group in GROUPS:
        rows = catalogue()[group]
        lines += [
            f"## {rows['title']}",
            "",
            "| id | what is sent | what comes of it | tests |",
            "| --- | --- | --- | --- |",
        ]
        for name in (name for name in rows if name != "title"):
            sent, comes = rows[name]
            if name in reasons:
                lines.append(f"| {name} | {sent} | n/a: {reasons[name]} | |")
            else:
                lines.append(f"| {name} | {sent} | {comes} | {', '.join(map(_shown, tests_of(name)))} |")
        lines.append("")
    return "\n".join([*lines, *_servers()]) + "\n"


def _servers() -> Iterator[str]:
    table = outcomes()
    servers = sorted(table)
    yield _UNDER
    yield f"| attack | {' | '.join(servers)} |"
    yield f"| --- |{' --- |' * len(servers)}"
    for attack in sorted({attack for told in table.values() for attack in told}):
        yield f"| {attack} | {' | '.join(_cell(table[server].get(attack, '')) for server in servers)} |"
    yield _PASSES
    for name, where in sorted(passing().items()):
        yield f"- **{name}** ({', '.join(sorted(where))}): {catalogue()['unseen'][name]}"
