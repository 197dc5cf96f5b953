"""Every source file opens with its law, stays short, says a thing's name, and has its tests beside it."""

import ast
import re

from tests.architecture.source import PACKAGE, ROOT, modules, name, nodes, text, tree

MAXIMUM_LINES = 400
# path -> why it is long all the same. "It grew" is no reason: split at a seam.
LONG: dict[str, str] = {}

# They say that something is there, and not what (PRODUCT, section 2, has the words).
EMPTY_WORDS = {"Manager", "Handler", "Helper", "Util", "Utils", "Context", "Info", "Data"}
EMPTY_MODULES = {"common", "data", "handlers", "helpers", "info", "managers", "misc", "util", "utils"}


def test_a_file_opens_with_its_law() -> None:
    laws = {name(path): ast.get_docstring(tree(path)) or "" for path in modules()}
    assert [path for path, law in laws.items() if not law.partition("\n")[0].strip()] == []


def test_no_file_is_long_without_a_reason() -> None:
    lines = {name(path): len(text(path).splitlines()) for path in modules()}
    long = {path for path, count in lines.items() if count > MAXIMUM_LINES}
    assert long - LONG.keys() == set(), "split these at a seam"
    assert LONG.keys() - long == set(), "these are short by now: take them off the list"
    assert all(LONG.values())


def test_names_say_something() -> None:
    classes = [
        f"{name(path)}:{node.lineno} class {node.name}"
        for path in modules()
        if any(word in text(path) for word in EMPTY_WORDS)
        for node in nodes(path)
        if isinstance(node, ast.ClassDef) and EMPTY_WORDS & set(re.findall(r"[A-Z][a-z0-9]*", node.name))
    ]
    assert not classes
    assert [name(path) for path in modules() if path.stem in EMPTY_MODULES] == []


def test_every_module_of_the_core_has_its_tests() -> None:
    """tests/unit mirrors src: core/reading.py is tested in tests/unit/core/test_reading.py, or test_reading_*.py."""
    untested = []
    for path in modules("core"):
        folder = ROOT / "tests" / "unit" / path.parent.relative_to(PACKAGE)
        if path.stem != "__init__" and not [
            *folder.glob(f"test_{path.stem}.py"),
            *folder.glob(f"test_{path.stem}_*.py"),
        ]:
            untested.append(name(path))
    assert not untested
