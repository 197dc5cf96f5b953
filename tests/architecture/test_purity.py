"""Values and core compute and nothing else. import-linter forbids by list; here what is not listed is forbidden."""

import ast

from tests.architecture.source import PACKAGE, imports, modules, name, tree

# Of the standard library, what has no clock, chance, environment, file, thread or log in it.
PURE = {
    "abc", "base64", "binascii", "bisect", "collections", "copy", "dataclasses", "datetime", "enum", "fnmatch",
    "functools", "hashlib", "heapq", "hmac", "html", "ipaddress", "itertools", "json", "math", "operator", "re",
    "string", "struct", "types", "typing", "unicodedata", "urllib.parse",
}  # fmt: skip
# datetime is here for arithmetic; these of its calls read the clock.
CLOCK = {"now", "utcnow", "today"}
# Built in, and yet a hand.
HANDS = {"print", "input", "open", "exec", "eval", "compile", "__import__", "breakpoint"}

PATHS = modules("values", "core")


def pure(imported: str, /) -> bool:
    top = imported.partition(".")[0]
    return top == "doorward" or (imported if top == "urllib" else top) in PURE


def test_only_pure_modules_are_imported() -> None:
    strangers = [
        f"{name(path)}:{line} imports {imported}"
        for path in PATHS
        for line, imported in imports(path)
        if not pure(imported)
    ]
    assert not strangers


def test_nothing_is_awaited_printed_opened_or_timed() -> None:
    found = [f"{name(path)}:{line} {what}" for path in PATHS for line, what in deeds(tree(path))]
    assert not found


def deeds(module: ast.Module) -> list[tuple[int, str]]:
    """(line, what it does) of everything that a pure module would not do."""
    found = []
    for node in ast.walk(module):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
            found.append((node.lineno, "is asynchronous"))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in HANDS:
            found.append((node.lineno, f"calls {node.func.id}"))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CLOCK:
            found.append((node.lineno, f"reads the clock by {node.func.attr}()"))
        elif isinstance(node, ast.Global):
            found.append((node.lineno, "changes what is global"))
    return found


def test_the_client_is_values_and_websockets() -> None:
    """The Python client ships to those who run no gateway: the standard library, websockets, values."""
    known = ("websockets", "doorward.values", "doorward.client")
    third_party = {"cryptography", "httptools", "httpx2", "joserfc", "prometheus_client", "pydantic", "starlette"}
    strangers = [
        f"{name(path)}:{line} imports {imported}"
        for path in modules("client")
        for line, imported in imports(path)
        if imported.partition(".")[0] in {"doorward", *third_party} and not imported.startswith(known)
    ]
    assert not strangers


def test_there_is_something_to_read() -> None:
    """An empty list above would pass every test."""
    assert PACKAGE / "core" / "__init__.py" in PATHS
