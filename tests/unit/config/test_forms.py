"""One configuration serves the gateway and the middleware: what one of them does not need is no obstacle to it."""

from pathlib import Path
from typing import Any

import pytest

from doorward.config.config import Config, Form
from doorward.config.load import load
from doorward.config.problem import Problem, Severity
from tests.unit.config.making import KEY, OPEN_FILES, ROUTE, private

BARE = '[[routes]]\npath = "/chat/{room}"\n'


def found(folder: Path, text: str, form: Form) -> Config | list[Problem]:
    private(folder / "doorward.key", KEY)
    (folder / "doorward.toml").write_text(text)
    return load(folder / "doorward.toml", environment={}, open_files=OPEN_FILES, form=form)


def errors(told: Config | list[Problem]) -> list[str]:
    problems = told if isinstance(told, list) else []
    return [problem.path for problem in problems if problem.severity is Severity.ERROR]


def warnings(told: Config | list[Problem]) -> list[str]:
    problems = told if isinstance(told, list) else told.warnings
    return [problem.path for problem in problems if problem.severity is Severity.WARNING]


def test_only_the_gateway_needs_a_backend(tmp_path) -> None:
    assert errors(found(tmp_path, BARE, Form.GATEWAY)) == ["routes[0].backend"]
    told = found(tmp_path, BARE, Form.EITHER)
    assert isinstance(told, Config)
    assert "routes[0].backend" not in warnings(told)
    told = found(tmp_path, ROUTE + BARE.replace("chat", "other"), Form.EITHER)
    assert errors(told) == []
    assert "routes[1].backend" in warnings(told)
    told = found(tmp_path, BARE, Form.MIDDLEWARE)
    assert isinstance(told, Config)
    assert "routes[0].backend" not in warnings(told)
    assert told.backends == {}


@pytest.mark.parametrize(
    "text",
    [
        '[server]\nlisten = "0.0.0.0:80"\npublic_url = "https://rt.example"\n',
        '[server]\nlisten = "127.0.0.1:8801"\n',
        "[server]\nmax_connections = 900000\n",
        "",
    ],
)
def test_listeners_are_the_gateways(tmp_path, text) -> None:
    route = ROUTE if text else ROUTE.replace("ws://127.0.0.1:9000", "ws://127.0.0.1:8800")
    assert errors(found(tmp_path, text + route, Form.GATEWAY))
    assert errors(found(tmp_path, text + route, Form.MIDDLEWARE)) == []


def test_the_middleware_reads_no_proxy_protocol(tmp_path) -> None:
    text = '[server]\ntrusted_proxies = ["10.0.0.0/8"]\nforwarded_header = "proxy-protocol"\n' + ROUTE
    assert errors(found(tmp_path, text, Form.GATEWAY)) == []
    assert errors(found(tmp_path, text, Form.MIDDLEWARE)) == ["server.forwarded_header"]


def code(tree: Any, **environment: str) -> Config | list[Problem]:
    return load(None, environment=environment, open_files=OPEN_FILES, form=Form.MIDDLEWARE, tree=tree)


def test_rules_in_code_are_the_files_grammar(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    key = private(tmp_path / "k", KEY)
    tree = {"tokens": {"key_file": key}, "routes": ({"path": "/a", "places": ("header",)},)}
    told = code(tree, DOORWARD_SERVER__NODE="n1", DOORWARD_CONFIG="elsewhere.toml")
    assert isinstance(told, Config), told
    assert (told.key_file, told.node, told.file) == (key, "n1", None)
    assert [route.path.text for route in told.settings.routes] == ["/a"]
    assert tree["tokens"] == {"key_file": key}


def test_a_problem_in_code_says_so(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = code({"rotes": [], "server": {"hosts": ["*"]}})
    assert isinstance(told, list)
    assert {(problem.path, problem.source) for problem in told if problem.severity is Severity.ERROR} == {
        ("rotes", "config"),
        ("server.hosts[0]", "config"),
        ("tokens.key_file", "config"),
    }
