"""A file, the environment and the flags -> one Config, or every problem at once. Nothing is started from half of it.

Flags go over the environment, that over the file, that over the defaults; tables are merged key by key, lists are
replaced. A reload calls this again and gets a whole new Config, or problems and keeps the old one.
"""

import re
import resource
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any, Final

from doorward.config import check, lines, not_built
from doorward.config import environment as environment_form
from doorward.config.config import Config, Form, Locations
from doorward.config.draft import Draft, validate
from doorward.config.problem import Fault, Key, Problem, Severity
from doorward.config.settle import Settling

LARGEST: Final = 1 << 20
# Deeper than any key of the schema; what lies deeper would only exhaust the stack of whoever walks it.
DEEPEST: Final = 32
_PLACE: Final = re.compile(r" \(at (?:line ([0-9]+), column [0-9]+|end of document)\)$")


def load(
    path: Path | None,
    *,
    environment: Mapping[str, str],
    overrides: Mapping[str, Any] | None = None,
    open_files: int | None = None,
    form: Form = Form.EITHER,
    tree: Mapping[str, Any] | None = None,
) -> Config | list[Problem]:
    """The configuration, or all its problems, at least one of them an error.

    `path` None: the file that DOORWARD_CONFIG names, else none at all. `overrides` are the flags, as a tree like the
    file's. `open_files` None: this process's soft RLIMIT_NOFILE. `form`: for what it is to be fit. `tree`: in place of
    any file, as tomllib would have read it.
    """
    if path is None and tree is None and environment.get(environment_form.CONFIG_VARIABLE):
        path = Path(environment[environment_form.CONFIG_VARIABLE])
    folder = path.absolute().parent if path is not None else Path.cwd()
    sources = _Sources()
    if path is not None:
        problem = sources.read_file(path)
        if problem is not None:
            return [problem]
    if tree is not None:
        sources.take(tree)
    sources.add_environment(environment, folder=folder)
    sources.add_flags(overrides or {})
    if _is_too_deep(sources.tree):
        return [Problem(path="", line=None, text="is nested deeper than any key", source=str(path or "environment"))]
    draft = validate(sources.tree)
    locations = sources.locations()
    limit = open_files if open_files is not None else _open_files()
    settling = Settling(draft.settings, folder)
    config = settling.config(file=path, open_files=limit, locations=locations)
    return _judged(config, draft, settling.faults, sources.faults, form=form, open_files=limit)


def _judged(
    config: Config,
    draft: Draft,
    settled: list[Fault],
    unread: list[tuple[str, Fault]],
    *,
    form: Form,
    open_files: int,
) -> Config | list[Problem]:
    """What was not built, what can't be read and what does not fit together, beside what is not in the grammar."""
    drawn = [*not_built.refusals(draft.settings), *settled, *check.faults(config, form=form, open_files=open_files)]
    found = [*draft.faults, *(fault for fault in drawn if draft.trusts(fault))]
    problems = [config.locations.problem(fault) for fault in found]
    problems += [replace(config.locations.problem(fault), source=name, line=None) for name, fault in unread]
    problems = in_order(problems)
    if any(problem.severity is Severity.ERROR for problem in problems):
        return problems
    return replace(config, warnings=tuple(problems))


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """As the user meets them: down the file, then what was written elsewhere; each once."""
    unique = dict.fromkeys(problems)
    return sorted(unique, key=lambda problem: (problem.line is None, problem.line or 0, problem.source, problem.path))


def _open_files() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def _is_too_deep(tree: object) -> bool:
    level = [tree]
    for _ in range(DEEPEST):
        inner = (part.values() if isinstance(part, dict) else part for part in level if isinstance(part, dict | list))
        level = [item for items in inner for item in items]
        if not level:
            return False
    return True


@dataclass(slots=True)
class _Sources:
    """The layers on their way into one tree, and where each key of it came from."""

    tree: dict[str, Any] = field(default_factory=dict)
    file: str = ""
    lines: dict[Key, int] = field(default_factory=dict)
    elsewhere: dict[Key, str] = field(default_factory=dict)
    faults: list[tuple[str, Fault]] = field(default_factory=list)

    def locations(self) -> Locations:
        return Locations(file=self.file, lines=self.lines, elsewhere=self.elsewhere)

    def read_file(self, path: Path) -> Problem | None:
        """Read the file. The problem when it is not TOML, since then nothing else can be said of it."""
        self.file = str(path)
        try:
            with path.open("rb") as file:
                octets = file.read(LARGEST + 1)
        except FileNotFoundError:
            hint = (
                "-c FILE or DOORWARD_CONFIG names another; `doorward init --backend ws://HOST:PORT` makes a new one,"
                " `doorward init` one for the middleware"
            )
            return self._whole(f"there is no such file: looked for {path.absolute()}", hint)
        except (OSError, ValueError) as error:
            return self._whole(f"can't be read: {getattr(error, 'strerror', None) or 'not a file name'}")
        if len(octets) > LARGEST:
            return self._whole("is larger than 1 MiB")
        try:
            text = octets.decode()
        except UnicodeDecodeError as error:
            return self._whole("is not UTF-8", "save it as UTF-8", line=octets.count(b"\n", 0, error.start) + 1)
        if text.startswith("\ufeff"):
            return self._whole("begins with a byte order mark", "save it as UTF-8 without one", line=1)
        try:
            self.tree = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            return self._syntax(str(error), last=text.rstrip().count("\n") + 1)
        except RecursionError:
            return self._whole("is nested deeper than any key")
        self.lines = lines.locate(text)
        return None

    def take(self, tree: Mapping[str, Any]) -> None:
        """Rules in code, in the place of a file. What is changed of it later changes nothing here."""
        self.file = "config"
        self.tree = _as_toml(tree)

    def _whole(self, text: str, hint: str = "", *, line: int | None = None) -> Problem:
        return Problem(path="", line=line, text=text, hint=hint, source=self.file)

    def _syntax(self, text: str, *, last: int) -> Problem:
        place = _PLACE.search(text)
        line = int(place[1]) if place is not None and place[1] else last
        text = text[: place.start()] if place is not None else text
        return self._whole(f"is not TOML: {text[:1].lower()}{text[1:]}", "https://toml.io/en/v1.0.0", line=line)

    def add_environment(self, environment: Mapping[str, str], *, folder: Path) -> None:
        layer = environment_form.read(environment, folder=folder)
        _merge(self.tree, layer.tree)
        self.elsewhere.update(layer.variables)
        self.faults.extend(layer.faults)

    def add_flags(self, overrides: Mapping[str, Any]) -> None:
        _merge(self.tree, overrides)
        self._mark_flags(overrides, ())

    def _mark_flags(self, tree: Mapping[str, Any], at: Key) -> None:
        for name, value in tree.items():
            if isinstance(value, Mapping):
                self._mark_flags(value, (*at, name))
            else:
                self.elsewhere[(*at, name)] = "flags"


def _as_toml(value: Any) -> Any:
    """A copy of a tree as tomllib makes it: tables, lists, and paths as their text."""
    match value:
        case Mapping():
            return {str(name): _as_toml(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_as_toml(inner) for inner in value]
        case PurePath():
            return str(value)
        case _:
            return value


def _merge(below: dict[str, Any], above: Mapping[str, Any]) -> None:
    """Put `above` over `below`: tables key by key, everything else whole."""
    for name, value in above.items():
        under = below.get(name)
        if isinstance(value, Mapping):
            table = under if isinstance(under, dict) else {}
            below[name] = table
            _merge(table, value)
        else:
            below[name] = value
