"""The configuration as text: what is in effect, with secrets masked; its JSON Schema; the environment form of each key.

What is printed as TOML or as variables is read again by `load`, the masked secrets aside.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from doorward.config.config import Config
from doorward.config.environment import leaves
from doorward.config.schema import Settings
from doorward.values.secret import MASK

_USER: Final = re.compile(r"(?<=://)\S*@")  # to the last @: a / or @ in a password that should be escaped hides nothing
_OPTION: Final = re.compile(r"(?<=[?&])([a-z_]*(?:password|secret)=)[^&]*", re.IGNORECASE)
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_\-]+")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_ESCAPES: Final = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}
DERIVED: Final = "derived"


def effective(config: Config) -> dict[str, Any]:
    """The tree in effect, as in the file: what was left out is derived, secrets are ***."""
    tree = config.settings.model_dump(mode="json")
    server = tree["server"]
    server["public_url"] = config.public_url
    server["hosts"] = list(config.hosts)
    server["max_connections"] = config.max_connections
    for route in tree["routes"]:
        if route["without_origin"] is None:
            route["without_origin"] = tree["origins"]["without_origin"]
    for name in ("url", "cluster_url"):
        tree["store"][name] = _OPTION.sub(rf"\1{MASK}", _USER.sub(f"{MASK}@", tree["store"][name]))
    found = _without_none(tree)
    if not isinstance(found, dict):
        raise TypeError("settings are a table")
    return found


def derived(config: Config) -> frozenset[tuple[str, str]]:
    """(section, key) of what `effective` shows and nobody wrote."""
    server = config.settings.server
    names = ("public_url", "hosts", "max_connections")
    return frozenset(("server", name) for name in names if getattr(server, name) is None)


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_none(inner) for name, inner in value.items() if inner is not None}
    return [_without_none(inner) for inner in value] if isinstance(value, list) else value


def as_toml(tree: Mapping[str, Any], *, derived: frozenset[tuple[str, str]] = frozenset()) -> str:
    """A tree as TOML: sections in their order, deeper tables inline, arrays of tables with two brackets."""
    lines: list[str] = []
    for section, value in tree.items():
        if _is_tables(value):
            for element in value:
                lines += _table((section,), element, header=f"[[{_key(section)}]]", derived=derived)
        elif isinstance(value, Mapping):
            lines += _table((section,), value, header=f"[{_key(section)}]", derived=derived)
    return "\n".join(lines)


def _table(
    path: tuple[str, ...], table: Mapping[str, Any], *, header: str, derived: frozenset[tuple[str, str]]
) -> Iterator[str]:
    yield header
    for name, value in table.items():
        if not _is_tables(value):
            note = f"  # {DERIVED}" if (path[0], name) in derived else ""
            yield f"{_key(name)} = {_value(value)}{note}"
    yield ""
    for name, value in table.items():
        if _is_tables(value):
            inner = (*path, name)
            for element in value:
                yield from _table(inner, element, header=f"[[{'.'.join(map(_key, inner))}]]", derived=frozenset())


def _is_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else _text(name)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_key(name)} = {_value(item)}" for name, item in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return str(value)


def _text(text: str) -> str:
    """A basic string (TOML 1.0)."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{_CONTROL.sub(_escape, escaped)}"'


def _escape(found: re.Match[str]) -> str:
    return _ESCAPES.get(found[0], f"\\u{ord(found[0]):04x}")


def json_schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of the file."""
    schema = Settings.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "doorward.toml"} | {
        name: value for name, value in schema.items() if name != "title"
    }


def environment_lines() -> Iterator[str]:
    """Each key's variable with its default, a comment above it; commented out where nothing is the default."""
    for leaf in leaves():
        secret = f" (or {leaf.variable}_FILE)" if leaf.is_secret else ""
        yield f"# {leaf.description}{secret}"
        default = "" if leaf.default is None else json.dumps(leaf.default) if leaf.is_json else leaf.default
        out = "# " if leaf.default is None or leaf.in_optional else ""
        yield f"{out}{leaf.variable}={default}"
