"""`doorward audit`: the newest events, who wrote each, and that there are more."""

import json
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from doorward.core.auditing import to_json
from doorward.values.audit import AuditEvent, EventKind, Outcome

EVENT = AuditEvent(EventKind.CLOSE, Outcome.DONE, at=1790000000.0, node="gw-1", worker=1, subject="alice")


@pytest.fixture
def made(doorward):
    assert doorward("init", "--backend", "ws://127.0.0.1:9001").code == 0
    assert doorward("token", "issue", "alice").code == 0
    return doorward


def happened(folder, *events: AuditEvent) -> None:
    rows = [(event.at, event.kind, event.subject, event.reason, to_json(event)) for event in events]
    with closing(sqlite3.connect(folder / "doorward.db")) as connection, connection:
        connection.executemany("INSERT INTO audit (at, kind, subject, reason, line) VALUES (?, ?, ?, ?, ?)", rows)


def closes(folder, count: int) -> None:
    happened(folder, *(replace(EVENT, sequence=n) for n in range(1, count + 1)))


def test_the_newest_are_found_oldest_first_and_that_there_are_more_is_said(made, tmp_path) -> None:
    closes(tmp_path, 7)
    said = made("audit", "query", "--kind", "close", "--limit", "3", "--json")
    assert [json.loads(line)["sequence"] for line in said.out.splitlines()] == [5, 6, 7]
    assert said.err == "the newest 3; there are older ones: --limit N, --since, --kind, --subject, --reason\n"
    assert made("audit", "query", "--kind", "close", "--limit", "3").err == said.err


def test_all_of_them_say_nothing_more(made, tmp_path) -> None:
    closes(tmp_path, 3)
    said = made("audit", "query", "--kind", "close", "--limit", "3", "--json")
    assert [json.loads(line)["sequence"] for line in said.out.splitlines()] == [1, 2, 3]
    assert said.err == ""


@pytest.mark.parametrize("since", ["0s", "0d"])
def test_nothing_is_looked_for_since_now(made, since) -> None:
    said = made("audit", "query", "--since", since)
    assert (said.code, said.out) == (2, "")
    assert "--since" in said.err


def test_each_line_says_who_wrote_it(made, tmp_path) -> None:
    happened(tmp_path, EVENT, replace(EVENT, node="gw-2", worker=2), replace(EVENT, node="command", worker=0))
    for words in (("query", "--kind", "close"), ("tail", "--no-follow", "-n", "3")):
        lines = [line.split() for line in made("audit", *words).out.splitlines()]
        assert [line[2:4] for line in lines] == [["gw-1/1", "close"], ["gw-2/2", "close"], ["command", "close"]]
