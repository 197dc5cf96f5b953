"""From a tree of raw values to settings, and every fault on the way. A broken key does not hide what stands beside it.

What is broken is taken out and the rest validated again, so that the rules across keys still see all that is sound.
An element that can't stand without its broken key is replaced by a harmless one, for the others to keep their index;
findings about it are dropped, and nothing with a fault is ever started.
"""

import copy
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from doorward.config.environment import table_at
from doorward.config.grammar import GrammarError
from doorward.config.problem import Fault, Key
from doorward.config.schema import Settings

_STAND_INS: Final[Mapping[str, Any]] = {
    "issuers": {
        "issuer": "https://broken-{}.invalid",
        "audience": "broken",
        "algorithms": ["ES256"],
        "jwks_url": "https://broken.invalid",
    },
    "routes": {"path": "/broken-{}", "backend": "wss://broken.invalid"},
    "providers": {"name": "broken", "issuer": "https://broken.invalid", "client_id": "broken"},
    "alerts": {"when": []},
}
_KINDS: Final = {
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "string_type": "must be text in quotes",
    "tuple_type": "must be a list",
    "model_type": "must be a table",
    "dict_type": "must be a table",
    "missing": "is required",
    "string_too_short": "is empty",
    "string_too_long": "is too long",
    "string_pattern_mismatch": "holds characters that it may not",
}


@dataclass(frozen=True, slots=True)
class Draft:
    """Settings that may only be started when there are no faults. `broken` are the keys that do not say what the user
    wrote: findings that rest on one of them are worth nothing."""

    settings: Settings
    faults: tuple[Fault, ...] = ()
    broken: frozenset[Key] = frozenset()

    def trusts(self, fault: Fault) -> bool:
        return not any(_overlap(key, broken) for key in (fault.key, *fault.needs) for broken in self.broken)


def _overlap(one: Key, other: Key) -> bool:
    return all(mine == theirs for mine, theirs in zip(one, other, strict=False))


def validate(tree: Mapping[str, Any]) -> Draft:
    """The settings, with what is broken at its default, and all the faults."""
    rest = copy.deepcopy(dict(tree))
    faults: dict[Key, Fault] = {}
    broken: set[Key] = set()
    for attempt in range(_ATTEMPTS):
        try:
            return Draft(Settings.model_validate(rest), tuple(faults.values()), frozenset(broken))
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False)
        for one in found:
            key = _trimmed(one["loc"], rest if attempt else tree)
            if attempt == 0:
                faults.setdefault(key, _fault(key, dict(one)))
            broken.add(_take_out(rest, key, attempt))
    return Draft(Settings(), tuple(faults.values()), frozenset({()}))


_ATTEMPTS: Final = 4


def _trimmed(loc: tuple[int | str, ...], tree: Mapping[str, Any]) -> Key:
    """pydantic adds the names of a union's members: the key ends where the tree does, or one name below it."""
    key: Key = ()
    node: Any = tree
    for part in loc:
        if isinstance(node, dict):
            key, node = (*key, part), node.get(part)
        elif isinstance(node, list) and isinstance(part, int) and part < len(node):
            key, node = (*key, part), node[part]
        else:
            break
    return key


def _take_out(tree: dict[str, Any], key: Key, attempt: int) -> Key:
    """First the key itself; if that was not enough, the element it stands in; then its section. Returns what went."""
    section = str(key[0]) if key else ""
    if attempt == 0 or not key:
        return _delete(tree, key)
    if attempt == 1 and len(key) > 1 and isinstance(key[1], int) and section in _STAND_INS:
        tree[section][key[1]] = {
            name: value.format(key[1]) if isinstance(value, str) else value
            for name, value in _STAND_INS[section].items()
        }
        return key[:2]
    if attempt == 1 and len(key) > 1:
        return _delete(tree, key[:-1])
    tree.pop(section, None)
    return (section,)


def _delete(tree: dict[str, Any], key: Key) -> Key:
    """Take a key out. An element of a list takes its list with it, except among tables, where the others stay."""
    node: Any = tree
    for part in key[:-1]:
        try:
            node = node[part]
        except (KeyError, IndexError, TypeError):
            return key
    last = key[-1] if key else ""
    if isinstance(node, dict):
        node.pop(last, None)
    elif isinstance(node, list) and isinstance(last, int):
        if len(key) != 2 or key[0] not in _STAND_INS:
            return _delete(tree, key[:-1])
        node[last] = {}
    return key


def _fault(key: Key, error: Mapping[str, Any]) -> Fault:
    kind, about = error["type"], error.get("ctx", {})
    wrong = about.get("error")
    if isinstance(wrong, GrammarError):
        return Fault(key, str(wrong), wrong.hint)
    if kind == "extra_forbidden":
        return Fault(key, "is no key of the configuration", _suggestion(key))
    if kind in {"greater_than_equal", "less_than_equal"}:
        bound = "at least" if kind == "greater_than_equal" else "at most"
        return Fault(key, f"must be {bound} {about.get('ge', about.get('le'))}")
    if kind == "literal_error":
        return Fault(key, f"must be {about['expected']}".replace("'", '"'))
    if kind == "tuple_type" and len(key) == 1 and key[0] in _STAND_INS:
        return Fault(key, "must be an array of tables", f"with two brackets: [[{key[0]}]]")
    if kind == "too_short":
        return Fault(key, "is an empty list")
    return Fault(key, _KINDS.get(kind, "is not what this key takes"))


def _suggestion(key: Key) -> str:
    table = table_at(key[:-1])
    names = list(table.model_fields) if table is not None else []
    near = difflib.get_close_matches(str(key[-1]), names, n=1)
    if near:
        return f'did you mean "{near[0]}"?'
    elsewhere = _elsewhere(str(key[-1]), Settings)
    return f"it stands in {elsewhere}" if elsewhere else "`doorward config env` lists them all"


def _elsewhere(name: str, table: type[BaseModel], at: str = "") -> str:
    """A key that was written in the wrong table is a common slip: where it belongs."""
    for field in table.model_fields:
        inner = table_at((field,), table)
        here = f"{at}.{field}" if at else field
        if inner is None:
            continue
        if name in inner.model_fields:
            return f"[{here}]"
        deeper = _elsewhere(name, inner, here)
        if deeper:
            return deeper
    return ""
