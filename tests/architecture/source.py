"""The repository as the architecture tests read it: its files, its modules, and what a module imports."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "doorward"


def modules(*folders: str) -> list[Path]:
    """Every Python file of Doorward, or of the named folders (or single modules) inside it, in a stable order."""
    starts = [PACKAGE / folder for folder in folders] or [PACKAGE]
    found = [path for start in starts for path in ([start] if start.is_file() else start.rglob("*.py"))]
    return sorted(found)


def name(path: Path) -> str:
    """A file as people say it: relative to the repository."""
    return str(path.relative_to(ROOT))


@cache
def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(text(path), filename=str(path))


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Everything in a module, however deep."""
    return tuple(ast.walk(tree(path)))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything that a module imports, wherever in the file."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or "")


@cache
def committed() -> tuple[Path, ...]:
    """Every file that git tracks and that is there; what is generated or installed is nobody's text."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, timeout=30).stdout
    paths = (ROOT / entry for entry in listed.decode().split("\0") if entry)
    return tuple(path for path in paths if path.is_file())
