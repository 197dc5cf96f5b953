"""What `from doorward import …` gives is pinned, and `import doorward` alone loads nothing of it."""

import json
import subprocess
import sys

import pytest

import doorward

PUBLIC = {
    "Doorward",
    "Connection",
    "connection_of",
    "Principal",
    "Identity",
    "ConfigurationError",
    "Problem",
    "NoConnectionError",
}


def test_the_public_names() -> None:
    assert set(doorward.__all__) == PUBLIC
    for name in PUBLIC:
        assert getattr(doorward, name).__name__ == name


def test_importing_costs_nothing() -> None:
    look = "import doorward, json, sys; print(json.dumps(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", look], check=True, capture_output=True, text=True, timeout=30)
    watched = {"doorward", "starlette", "pydantic"}
    loaded = [name for name in json.loads(run.stdout) if name.partition(".")[0] in watched]
    assert loaded == ["doorward"]


def test_what_is_not_there_is_said_so() -> None:
    with pytest.raises(AttributeError, match="Doorword"):
        doorward.Doorword  # noqa: B018
