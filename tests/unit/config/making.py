"""Configurations on disk for the tests: a folder with a key, and what load makes of a text."""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from doorward.config.config import Config
from doorward.config.load import load
from doorward.config.problem import Problem, Severity

OPEN_FILES = 20_000
KEY = base64.urlsafe_b64encode(hashlib.sha256(b"a master secret of the tests").digest()).decode().rstrip("=")
SECRET = "Zx7-qp2LmWc9RtYb4NfVh8KdJs3GaEuo5TiX"
ROUTE = '[[routes]]\npath = "/chat/{room}"\nbackend = "ws://127.0.0.1:9000"\n'
ISSUER = '[[issuers]]\nissuer = "https://login.test/"\naudience = "chat"\n'


def private(path: Path, text: str) -> Path:
    """A file that only its owner may read."""
    path.write_text(text)
    path.chmod(0o600)
    return path


def attempt(
    folder: Path,
    text: str,
    *,
    environment: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    open_files: int = OPEN_FILES,
) -> Config | list[Problem]:
    """Load a text as folder/doorward.toml, with a good key beside it unless one is there."""
    if not (folder / "doorward.key").exists():
        private(folder / "doorward.key", KEY + "\n")
    file = folder / "doorward.toml"
    file.write_text(text)
    return load(file, environment=environment or {}, overrides=overrides, open_files=open_files)


def good(folder: Path, text: str, **more: Any) -> Config:
    """The configuration that must come of it."""
    found = attempt(folder, text, **more)
    assert isinstance(found, Config), [str(problem) for problem in found]
    return found


def bad(folder: Path, text: str, **more: Any) -> list[Problem]:
    """The problems that must come of it."""
    found = attempt(folder, text, **more)
    assert isinstance(found, list)
    return found


def errors(folder: Path, text: str, **more: Any) -> list[tuple[str, str]]:
    """(path, text) of the errors; none where it loads."""
    found = attempt(folder, text, **more)
    return (
        [(problem.path, problem.text) for problem in found if problem.severity is Severity.ERROR]
        if isinstance(found, list)
        else []
    )


def warnings(folder: Path, text: str, **more: Any) -> list[tuple[str, str]]:
    """(path, text) of the warnings, whether it loads or not."""
    found = attempt(folder, text, **more)
    problems = found if isinstance(found, list) else found.warnings
    return [(problem.path, problem.text) for problem in problems if problem.severity is Severity.WARNING]
