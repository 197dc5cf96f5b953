"""The environment form of every key: DOORWARD_SERVER__LISTEN. It goes over the file and under the flags.

Lists and tables are JSON. A key that holds a secret can also be given as …_FILE, the name of a file that holds it.
"""

import difflib
import json
import re
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, get_args, get_origin

from pydantic import BaseModel

from doorward.config import files
from doorward.config.fields import Text
from doorward.config.problem import Fault, Key
from doorward.config.schema import Settings
from doorward.values.secret import Secret

START: Final = "DOORWARD_"
CONFIG_VARIABLE: Final = "DOORWARD_CONFIG"
# What Kubernetes sets in every pod for a Service whose name begins with doorward: not ours, and no mistake of anyone's.
_SERVICE_LINK: Final = re.compile(
    r"(?:[A-Z0-9]+_)*?(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT(?:_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)"
)
# Keys whose text can hold a password, though they are no secrets by type.
_SECRET_TEXTS: Final = frozenset({("store", "url"), ("store", "cluster_url")})


@dataclass(frozen=True, slots=True)
class Leaf:
    """A key of the schema that the environment can set. `is_json`: its text there is JSON. `in_optional`: setting it
    brings a table into being that is not there by default, such as [server] tls."""

    key: tuple[str, ...]
    is_json: bool
    is_secret: bool
    default: object
    description: str
    in_optional: bool

    @property
    def variable(self) -> str:
        return START + "__".join(part.upper() for part in self.key)


@dataclass(slots=True)
class Layer:
    """What the environment says: a tree as of TOML, the variable that set each key, and what could not be read."""

    tree: dict[str, Any] = field(default_factory=dict)
    variables: dict[Key, str] = field(default_factory=dict)
    faults: list[tuple[str, Fault]] = field(default_factory=list)


def leaves() -> Iterator[Leaf]:
    """Every key, tables that may be given whole left out."""
    yield from _leaves(Settings, (), in_optional=False)


def _leaves(table: type[BaseModel], at: tuple[str, ...], *, in_optional: bool) -> Iterator[Leaf]:
    for name, about in table.model_fields.items():
        key = (*at, name)
        inner = _table_of(about.annotation)
        if inner is not None:
            yield from _leaves(inner, key, in_optional=in_optional or about.get_default() is None)
            continue
        annotated = [about.annotation, *about.metadata]
        yield Leaf(
            key=key,
            is_json=_is_json(about.annotation, about.metadata),
            is_secret=key in _SECRET_TEXTS or any(part is Secret for part in _parts(annotated[0])),
            default=about.get_default() if not about.is_required() else None,
            description=about.description or "",
            in_optional=in_optional,
        )


def _parts(annotation: Any) -> Iterator[Any]:
    """The alternatives of a type, without None and without what Annotated adds."""
    if get_origin(annotation) is Annotated:
        yield from _parts(get_args(annotation)[0])
    elif get_origin(annotation) in {types.UnionType, typing.Union}:
        for one in get_args(annotation):
            yield from _parts(one)
    elif annotation is not type(None):
        yield annotation


def _table_of(annotation: Any) -> type[BaseModel] | None:
    return next((part for part in _parts(annotation) if isinstance(part, type) and issubclass(part, BaseModel)), None)


def table_at(key: Key, table: type[BaseModel] = Settings) -> type[BaseModel] | None:
    """The table that a key names, elements of arrays of tables included; None when it is none."""
    current = table
    for part in key:
        if isinstance(part, int):
            continue
        about = current.model_fields.get(part)
        inner = (_table_of(about.annotation) or _element_of(about.annotation)) if about is not None else None
        if inner is None:
            return None
        current = inner
    return current


def _element_of(annotation: Any) -> type[BaseModel] | None:
    """The table that a list holds."""
    for part in _parts(annotation):
        if get_origin(part) is tuple:
            return _table_of(get_args(part)[0])
    return None


def _is_json(annotation: Any, metadata: list[Any]) -> bool:
    """A grammar of ours reads text; so does a string. Numbers, booleans, lists and free tables are JSON."""
    if any(isinstance(one, Text) for one in (*metadata, *_metadata(annotation))):
        return False
    return not all(part is str for part in _parts(annotation))


def _metadata(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Annotated:
        yield from get_args(annotation)[1:]
    elif get_origin(annotation) in {types.UnionType, typing.Union}:
        for one in get_args(annotation):
            yield from _metadata(one)


def read(environment: Mapping[str, str], *, folder: Path) -> Layer:
    """The layer that the environment makes. Relative names in …_FILE variables start at `folder`."""
    layer = Layer()
    known = {leaf.variable: leaf for leaf in leaves()}
    tables = _table_variables(known)
    # whole tables first, so that a single key goes over them
    ours = sorted((name for name in environment if name.startswith(START)), key=lambda name: (name.count("__"), name))
    for name in ours:
        if name == CONFIG_VARIABLE:
            continue
        leaf = known.get(name)
        of_file = known.get(name.removesuffix("_FILE")) if name.endswith("_FILE") else None
        if leaf is not None:
            _set_leaf(layer, leaf, name, environment[name])
        elif name in tables:
            _set_table(layer, tables[name], name, environment[name])
        elif of_file is not None and of_file.is_secret:
            if of_file.variable in environment:
                layer.faults.append((name, Fault(of_file.key, "is given twice", f"unset this or {of_file.variable}")))
            else:
                _set_from_file(layer, of_file, name, folder / environment[name])
        elif "__" in name or not _SERVICE_LINK.fullmatch(name.removeprefix(START)):
            layer.faults.append((name, Fault((), "is no key of the configuration", _suggestion(name, known, tables))))
    return layer


def _table_variables(known: Mapping[str, Leaf]) -> dict[str, tuple[str, ...]]:
    """Tables can be given whole, as JSON: DOORWARD_SERVER__TLS."""
    found: dict[str, tuple[str, ...]] = {}
    for leaf in known.values():
        for depth in range(1, len(leaf.key)):
            found[START + "__".join(part.upper() for part in leaf.key[:depth])] = leaf.key[:depth]
    return found


def _suggestion(name: str, known: Mapping[str, Leaf], tables: Mapping[str, tuple[str, ...]]) -> str:
    near = difflib.get_close_matches(name, [*known, *tables], n=1)
    return f"did you mean {near[0]}?" if near else "`doorward config env` lists them all"


def _set_leaf(layer: Layer, leaf: Leaf, name: str, text: str) -> None:
    if not leaf.is_json:
        _put(layer, leaf.key, name, text)
        return
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        layer.faults.append((name, Fault(leaf.key, "is not JSON", "lists, numbers and true or false are JSON here")))
        return
    _put(layer, leaf.key, name, value)


def _set_table(layer: Layer, key: tuple[str, ...], name: str, text: str) -> None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        layer.faults.append((name, Fault(key, "is not a table in JSON", 'such as {"key": "value"}')))
        return
    _put(layer, key, name, value)


def _set_from_file(layer: Layer, leaf: Leaf, name: str, path: Path) -> None:
    found = files.secret_file(path, leaf.key)
    if isinstance(found, Fault):
        layer.faults.append((name, found))
        return
    _put(layer, leaf.key, name, found.expose())


def _put(layer: Layer, key: tuple[str, ...], name: str, value: object) -> None:
    table = layer.tree
    for part in key[:-1]:
        inner = table.setdefault(part, {})
        if not isinstance(inner, dict):
            layer.faults.append((name, Fault(key, "stands under something that is not a table")))
            return
        table = inner
    if isinstance(value, dict) and value:
        for part, inner in value.items():
            _put(layer, (*key, part), name, inner)
        return
    table[key[-1]] = value
    layer.variables[key] = name
