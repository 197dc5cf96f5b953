"""Every vector through `GET /auth/verify` of a real `doorward run`: the same decision, told as 200, 401 or 403.

A proxy of ours asks as real ones do: it names the original URI in a header and, where a vector is about the request
line, in the path as well. What it can't tell is in the table of spec/vectors/README.md, with what is answered then.
"""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from fnmatch import fnmatchcase
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from doorward.adapters.stores.sqlite.store import SqliteStore
from doorward.core.endings import ENDINGS
from doorward.values.decision import Reason
from tests.doors import matrix, raw
from tests.doors.test_gateway import IDENTITY, Door, Doors, Process
from tests.vectors.loading import FOLDER, Base, Vector, vectors

pytestmark = pytest.mark.asyncio(loop_scope="module")

VECTORS = vectors(lambda vector: "gateway" in vector.doors)
PROXY = "127.0.0.250"
FORMS = ("header", "path")
_REQUEST = re.compile(rb"((?:\r?\n)*[^ \r\n]+ )([^ \r\n]+)( [^\r\n]*)")


def exceptions() -> dict[str, str]:
    """The table's patterns, with what is answered: a status, or "–" where there is no way to ask."""
    text = (FOLDER / "README.md").read_text(encoding="utf-8").partition("## Through `GET /auth/verify`")[2]
    rows = re.findall(r"^\| (`.*) \| (200|401|403|–) \|", text, re.M)
    return {name: answer for names, answer in rows for name in re.findall(r"`([^`]+)`", names)}


EXCEPTIONS = exceptions()
SECRETS: set[str] = set()


def exception(vector: Vector) -> str | None:
    return next((answer for name, answer in EXCEPTIONS.items() if fnmatchcase(vector.id, name)), None)


def question(head: bytes, form: str, told: list[str]) -> bytes | None:
    """A handshake's head as the question about it. None: there is no target in it that could be named."""
    found = _REQUEST.match(head)
    if found is None or (form == "path" and not found[2].startswith(b"/")):
        return None
    method, target, rest = found.groups()
    lines = [line.encode("latin-1") for line in told]
    if form == "header":
        lines.append(b"X-Original-URI: " + target)
        target = b""
    added = b"".join(line + b"\r\n" for line in lines)
    return method + b"/auth/verify" + target + rest + b"\r\n" + added + head[found.end() + 2 :]


class Asked(Process):
    """A gateway that may be asked: where the base trusts no proxy, it trusts the one that the clients come through."""

    def __init__(self, folder: Path, on: Base, backend: raw.Backend) -> None:
        super().__init__(folder, on, backend)
        if "trusted_proxies" not in self.text:
            self.text = self.text.replace("[server]\n", f'[server]\ntrusted_proxies = ["{PROXY}/32"]\n')
        self.write()


class VerifyDoor(Door):
    """Knocks by asking. `form`: where the original URI stands. What the audit must say is looked up at the end: it is
    written in batches, and nobody waits for each."""

    lets_in = 200
    form = FORMS[0]

    def __init__(self, on: Base, process: Process, backend: raw.Backend, store: SqliteStore) -> None:
        super().__init__(on, process, backend, store)
        self._asked: list[tuple[Vector, raw.Heard]] = []
        self._clients = count()
        self._is_direct = on.rules().trusted_proxies != ()

    async def knock(self, vector: Vector, head: bytes) -> tuple[raw.Heard, dict[str, Any]]:
        answer = await self.send(vector, head)
        self._asked.append((vector, answer))
        return answer, {}

    async def audited(self) -> list[tuple[Vector, raw.Heard, dict[str, Any]]]:
        """Each question with its one record: neither none nor two."""
        events: list[dict[str, Any]] = []
        with suppress(TimeoutError):
            async with asyncio.timeout(raw.WITHIN):
                while len(events) < len(self._asked):
                    await asyncio.sleep(0.02)  # another process writes the file
                    events += self._new_handshakes()
        assert len(events) == len(self._asked), f"{len(events)} records of {len(self._asked)} questions"
        return [(vector, answer, event) for (vector, answer), event in zip(self._asked, events, strict=True)]

    def _client(self, vector: Vector) -> str:
        """Whom the proxy names. Each refused one is another's: of a flood from one, records are put together."""
        told: str = vector.wired()["address"]
        return told if vector.wire or vector.expect["status"] == 101 else f"127.7.0.{next(self._clients) % 250 + 1}"

    async def send(self, vector: Vector, head: bytes) -> raw.Heard:
        wired, direct = vector.wired(), self._is_direct
        told = [] if direct else [f"X-Forwarded-For: {self._client(vector)}", "X-Forwarded-Proto: https"]
        asked = question(head, self.form, told)
        assert asked is not None
        before = raw.proxy_header(wired, port=self.process.port) if "proxied" in wired else b""
        source = wired["address"] if direct else PROXY
        return await raw.exchange(self.process.port, before + asked + vector.after(), source=source)

    def _is_new(self, event: dict[str, Any]) -> bool:
        return event["kind"] in ("handshake", "verify")


class VerifyDoors(Doors):
    process_type = Asked
    door_type = VerifyDoor

    def opened(self) -> list[VerifyDoor]:
        return [door for door in self._open.values() if isinstance(door, VerifyDoor)]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def doors(tmp_path_factory) -> AsyncIterator[VerifyDoors]:
    found = VerifyDoors(tmp_path_factory.mktemp("verify"))
    yield found
    try:
        wrong = [line for door in found.opened() for line in await differences(door)]
        assert wrong == [], "the audit says otherwise"
    finally:
        await found.stop()
        matrix.write()


def cases() -> list[Any]:
    """Each vector in the forms in which it is asked."""
    found = []
    for vector in VECTORS:
        both = {"request", "raw"} & set(vector.handshake) and not vector.tickets and not vector.wire
        for form in FORMS if both else FORMS[:1]:
            if exception(vector) != "–" and question(vector.head(now=0), form, []) is not None:
                found.append(pytest.param(vector, form, id=f"{vector.id}-{form}"))
    return found


@pytest.mark.parametrize(("vector", "form"), cases())
async def test_verify_decides_as_the_vector_says(vector, form, doors) -> None:
    door: VerifyDoor = await doors.of(vector.base)
    door.form = form
    now = time.time()
    codes = await door.prepare(vector, now)
    answer, _ = await door.knock(vector, vector.head(now=now, codes=codes))
    matrix.record(vector.id, "verify", told(answer))
    assert door.backend.heads == []
    shown = [vector.token(name, now=now) for name in vector.tokens] + list(codes.values())
    assert [secret for secret in shown if secret.encode() in answer.raw] == []
    SECRETS.update(shown)
    assert answer.raw.count(b"HTTP/1.1 ") == 1, "it answered what came after the head"
    assert "close" in answer.headers["connection"]
    assert answer.headers["cache-control"] == "no-store"
    excepted = exception(vector)
    if excepted is not None:
        assert str(answer.status) == excepted, answer.raw
    elif vector.expect["status"] == 101:
        vouched_for(vector, answer)
    else:
        refused(vector, answer)


def told(answer: raw.Heard) -> str:
    return f"{answer.status} {answer.problem['reason']}" if answer.rest else str(answer.status)


def vouched_for(vector: Vector, answer: raw.Heard) -> None:
    """200 with all seven headers, which say what the vector says."""
    assert (answer.status, answer.rest) == (200, b""), answer.raw
    names = {f"x-doorward-{name.lower()}" for name in IDENTITY if name != "Connection"}
    assert {name for name in answer.headers if name.startswith("x-doorward-")} == names
    shown = {
        "subject": answer.headers["x-doorward-subject"],
        "tenant": answer.headers["x-doorward-tenant"],
        "roles": [role for role in answer.headers["x-doorward-roles"].split(",") if role],
        "permissions": [name for name in answer.headers["x-doorward-permissions"].split(",") if name],
    }
    wanted = {name: value for name, value in vector.expect.get("admission", {}).items() if name in shown}
    assert {name: shown[name] for name in wanted} == wanted


def refused(vector: Vector, answer: raw.Heard) -> None:
    """401 or 403, with the ending's name."""
    ending = ENDINGS[Reason(vector.expect["reason"])]
    status = 401 if vector.expect["status"] == 401 else 403
    assert answer.status == status, answer.raw
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers.keys().isdisjoint({"server", "location", "set-cookie", "allow", "upgrade"})
    assert [name for name in answer.headers if name.startswith("x-doorward-")] == []
    assert ("www-authenticate" in answer.headers) is (status == 401)
    if not vector.head(now=0).startswith(b"HEAD "):
        assert (answer.problem["reason"], answer.problem["status"]) == (ending.name, status)


async def differences(door: VerifyDoor) -> list[str]:
    """Where the audit of all that was asked is not what the vectors say."""
    found = []
    for vector, answer, event in await door.audited():
        expect = vector.expect
        if answer.status == 200:
            wanted = {"kind": "verify", "outcome": "allowed", "status": 200}
            names = {"address": "address", "origin": "origin", "kind": "credential", "place": "place"}
            wanted |= {names[name]: value for name, value in expect.get("admission", {}).items() if name in names}
        else:
            wanted = {"kind": "handshake", "outcome": "refused", "status": answer.status}
            if exception(vector) is None and expect["status"] != 101:
                wanted |= {"reason": expect["reason"], "ending": ENDINGS[Reason(expect["reason"])].name}
        said = {name: event.get(name, "") for name in wanted}
        if said != wanted:
            found.append(f"{vector.id}: {said}, not {wanted}")
        found += [f"{vector.id}: a secret is written" for secret in SECRETS if secret in json.dumps(event)]
    return found


async def test_the_table_says_nothing_idle() -> None:
    assert EXCEPTIONS
    assert [name for name in EXCEPTIONS if not any(fnmatchcase(vector.id, name) for vector in VECTORS)] == []
    asked = {case.values[0].id for case in cases()}
    idle = [vector.id for vector in VECTORS if vector.id not in asked and exception(vector) != "–"]
    assert idle == [], "neither asked, nor said why not"
