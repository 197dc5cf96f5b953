"""Doorward as users make it: every problem at once, before anything serves; nothing opened until something does."""

import asyncio
import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from doorward.adapters.asgi.parts import CannotStartError
from doorward.adapters.stores.sqlite import SqliteStore
from doorward.config.config import Config, Form
from doorward.config.load import load
from doorward.config.middleware import (
    ConfigurationError,
    Doorward,
    MiddlewareAssembly,
    middleware_rules,
    node_of,
)
from doorward.testing import FakeClock
from doorward.values.decision import Deny, Reason, Step
from doorward.values.peer import Wire
from tests.unit.config.making import KEY, OPEN_FILES, private

TREE: dict[str, Any] = {
    "store": {"url": "memory:"},
    "origins": {"without_origin": "allow"},
    "routes": [{"path": "/chat/{room}", "backend": "ws://127.0.0.1:9000", "backend_host": "chat.internal"}],
}


async def app(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("entered")


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    private(tmp_path / "doorward.key", KEY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def config_of(tree: dict[str, Any]) -> Config:
    found = load(None, environment={}, open_files=OPEN_FILES, form=Form.MIDDLEWARE, tree=tree)
    assert isinstance(found, Config), found
    return found


def assembly(tree: dict[str, Any], notes: list[str] | None = None) -> MiddlewareAssembly:
    config = config_of(tree)
    return MiddlewareAssembly(config, load=lambda: config, note=(notes if notes is not None else []).append)


def test_all_problems_come_at_once_with_their_hints(tmp_path) -> None:
    (tmp_path / "doorward.toml").write_text('[servr]\n[[routes]]\npath = "bad"\n')
    with pytest.raises(ConfigurationError) as raised:
        Doorward(app, config=tmp_path / "doorward.toml")
    assert {problem.path for problem in raised.value.problems} == {"servr", "routes[0].path", "tokens.key_file"}
    assert isinstance(raised.value, ValueError)
    assert 'did you mean "server"?' in str(raised.value)
    assert "doorward.toml:1" in str(raised.value)


def test_warnings_are_logged_and_nothing_is_opened(folder, caplog) -> None:
    with caplog.at_level(logging.WARNING, logger="doorward"):
        Doorward(app, config={"routes": [{"path": "/a", "credentials": []}]})
    assert "routes[0].credentials: is empty" in caplog.text
    assert sorted(path.name for path in folder.iterdir()) == ["doorward.key"]


def test_the_environment_goes_over_code(folder, monkeypatch) -> None:
    monkeypatch.setenv("DOORWARD_ROUTES", "[]x")
    with pytest.raises(ConfigurationError, match="DOORWARD_ROUTES"):
        Doorward(app, config=TREE)


def test_a_backend_is_none_of_the_middlewares_business(folder) -> None:
    route = middleware_rules(config_of(TREE)).routes[0]
    assert (route.backend, route.backend_host) == (None, None)


def test_a_node_is_the_process_group(folder) -> None:
    assert node_of(config_of(TREE)).endswith(f"-{os.getpgid(0):x}")
    assert node_of(config_of({**TREE, "server": {"node": "n1"}})) == "n1"


async def test_it_starts_answers_for_itself_and_stops(folder) -> None:
    it = assembly(TREE)
    await it.start()
    assert it.is_ours("/auth/ticket")
    assert it.is_ours("/.well-known/jwks.json")
    assert not it.is_ours("/healthz")
    assert it.route_of("/chat/a") is not None
    assert it.route_of("/elsewhere") is None
    assert b"doorward_connections" in it.metrics()
    assert await it.reload()
    await it.drain()
    assert it.door.is_shut
    await it.stop()


async def test_each_process_writes_an_audit_file_of_its_own(folder) -> None:
    tree = {**TREE, "audit": {"file": "audit.jsonl"}}
    one, two = assembly(tree), assembly(tree)
    for it in (one, two):
        await it.start()
    for it in (one, two):
        await it.stop()
    assert {path.name for path in folder.glob("audit*")} == {"audit.jsonl", "audit.2.jsonl"}


async def test_what_was_counted_is_in_the_store_when_it_stops(folder) -> None:
    it = assembly({**TREE, "store": {"url": "sqlite:///doorward.db"}})
    await it.start()
    for _ in range(3):  # the first has a record of its own, and the others are counted until their window is over
        it.door.refuse(Wire(address=None), Deny(Reason.ADDRESS_BANNED, Step.ADDRESS))
    await it.stop()
    store = SqliteStore(folder / "doorward.db", clock=FakeClock(), process="after", shared=False)
    await store.open()
    try:
        lines = [json.loads(line) for _, line in await store.audit.query(after=0, limit=100)]
    finally:
        await store.close()
    told = [(line["kind"], line.get("count", 1)) for line in lines]
    assert told == [("started", 1), ("handshake", 1), ("handshake", 2), ("stopped", 1)]


async def test_what_cannot_start_says_why(folder) -> None:
    (folder / "doorward.db").write_text("this is no database, and long enough to be seen as none of ours at all")
    it = assembly({**TREE, "store": {"url": "sqlite:///doorward.db"}})
    with pytest.raises(CannotStartError, match="database"):
        await it.start()
    await it.stop()
    config = config_of(TREE)
    (folder / "doorward.key").unlink()
    with pytest.raises(CannotStartError, match=r"doorward\.key"):
        MiddlewareAssembly(config, load=lambda: config, note=print)


@pytest.mark.parametrize("prefix", ["/auth", ""])
def test_without_a_prefix_our_endpoints_are_off(folder, prefix) -> None:
    asked: list[str] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        asked.append(scope["path"])

    door = Doorward(inner, config={**TREE, "server": {"prefix": prefix}})
    told: list[Any] = []

    async def send(message: Any) -> None:
        told.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def ask(path: str) -> None:
        scope = {
            "type": "http",
            "method": "GET",
            "http_version": "1.1",
            "scheme": "http",
            "path": path,
            "headers": [],
            "raw_path": path.encode(),
            "query_string": b"",
            "client": ("127.0.0.1", 5),
        }
        await door(scope, receive, send)

    async def all_of_them() -> None:
        for path in ("/auth/ticket", "/.well-known/jwks.json", "/healthz", "/"):
            await ask(path)

    asyncio.run(all_of_them())
    assert asked == (["/healthz", "/"] if prefix else ["/auth/ticket", "/.well-known/jwks.json", "/healthz", "/"])
    assert [message["status"] for message in told if "status" in message] == ([400, 400] if prefix else [])
