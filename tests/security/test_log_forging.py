"""LG-01 to LG-03: nothing that a client writes makes a second record, moves a terminal, or hides in a line.

CVE-2020-7694: uvicorn printed escape sequences from the path to the terminal.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.adapters.audit.chain import Chain
from doorward.adapters.audit.console import masked
from doorward.adapters.audit.plain import plain_line
from doorward.core.auditing import connection_event, handshake_event, to_json
from doorward.service.live import Live
from doorward.testing import START
from doorward.values.admission import Admission
from doorward.values.audit import EventKind, Outcome, Trail
from doorward.values.credential import Kind, Place
from doorward.values.decision import Deny, Reason, Step
from doorward.values.lease import Lease
from doorward.values.peer import Peer
from doorward.values.principal import Identity, Principal
from tests.security.logging_world import ORIGIN, Outputs, Watched, watched
from tests.unit.adapters.audit.following import follow
from tests.unit.service.world import route, token

FORGED = '{"kind":"handshake","outcome":"allowed","subject":"admin"}'
NASTY = {
    "CR LF": f"bob\r\n{FORGED}",
    "LF": f"bob\n{FORGED}",
    "CR": f"bob\r{FORGED}",
    "quote": f'bob","outcome":"allowed"}}\n{FORGED}',
    "ESC": "\x1b[2J\x1b]0;pwn\x07\x1b[8m",
    "C1": "\x9b2J\x9d0;pwn\x9c",
    "NEL": f"bob\x85{FORGED}",
    "line separator": f"bob\u2028{FORGED}\u2029{FORGED}",
    "bidi": "bob\u202e}nimda\u2066\u2069\u200f\u061c",
    "zero width": "b\u200bo\u200cb\u200d\u2060\ufeff",
    "NUL": "bob\x00admin",
    "backspace": "admin\x08\x08\x08\x08\x08bob",
    "DEL": "bob\x7f",
    "vertical": f"bob\x0b{FORGED}\x0c{FORGED}\x1c\x1d\x1e",
    "surrogate": "bob\ud800",
    "tags": "bob\U000e0041\U000e007f\u00ad\ufff9",
    "chain": 'bob","chain":"' + "0" * 64 + '"}',
    "long": "a" * 100_000,
    "format": "%s%n${jndi:ldap://x}{0}{{7*7}}",
}


def lines_of(outputs: Outputs) -> list[str]:
    found = follow(outputs.audit)
    assert found.faults == []
    whole = outputs.audit.decode().split("\n")
    assert whole.pop() == ""
    assert len(whole) == len(found.records), "a line that is no record"
    assert [json.loads(line)["sequence"] for line in outputs.stored] == [event["sequence"] for event in found.events]
    plain = outputs.plain.split("\n")
    assert plain.pop() == ""
    return whole + outputs.stored + plain + outputs.console.splitlines()


def harmless(line: str) -> None:
    """Every character can be seen, and none moves another."""
    assert line.isprintable()
    assert len(line) < 8192


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Watched]:
    async with watched(tmp_path) as one:
        yield one


@pytest.mark.parametrize("name", NASTY)
async def test_in_a_token(world: Watched, name: str) -> None:
    """In every claim that is recorded, with a good signature: an issuer may have let anybody choose a name."""
    text = NASTY[name]
    shown: list[dict[str, Any]] = [
        {"sub": text},
        {"iss": text},
        {"sid": text},
        {"jti": text},
        {"scope": text},
        {"org": text},
        {"aud": text},
    ]
    for claims in shown:
        decided = await world.knock(f"Authorization: Bearer {token(**claims)}")
        if isinstance(decided, Live):
            decided.close_by_operator()
    outputs = await world.outputs()
    for line in lines_of(outputs):
        harmless(line)
    assert sum('"kind":"handshake"' in line for line in outputs.stored) == len(shown)
    assert not any('"subject":"admin"' in line for line in outputs.stored)


@pytest.mark.parametrize("name", NASTY)
async def test_in_a_header(world: Watched, name: str) -> None:
    """What the grammar lets through is escaped; what it doesn't is refused before it is anything."""
    text = NASTY[name].encode("utf-8", "surrogatepass").decode("latin-1")
    for line in (f"User-Agent: {text}", f"Sec-WebSocket-Protocol: {text}", f"X-Forwarded-For: {text}"):
        assert isinstance(await world.knock(line), Deny)
    assert isinstance(await world.knock(origin=text), Deny)
    outputs = await world.outputs()
    for line in lines_of(outputs):
        harmless(line)
    assert len(outputs.stored) == 4
    assert len(outputs.plain.splitlines()) == 4


@pytest.mark.parametrize(
    "path", ["%0d%0aforged", "%1b%5b2J", "%c2%9b2J", "%e2%80%a8x", "%e2%80%aex", "%00", "%7f", "a%0bb"]
)
async def test_in_the_path(world: Watched, path: str) -> None:
    for target in (f"/chat/{path}", f"/{path}", f"/chat/a?{path}"):
        assert isinstance(await world.knock(target=target), Deny)
    await world.ask("POST", f"/auth/{path}", ("content-type", "application/json"), body=b"{}")
    outputs = await world.outputs()
    for line in lines_of(outputs):
        harmless(line)
    assert len(outputs.stored) == 4


@pytest.mark.parametrize("name", NASTY)
async def test_on_a_live_connection(world: Watched, name: str) -> None:
    """A close reason of a peer's, a control message, a renewal's id."""
    live = await world.knock(f"Authorization: Bearer {token()}", "Sec-WebSocket-Protocol: doorward.v1")
    assert isinstance(live, Live)
    payload = json.dumps(
        {"type": "doorward.auth", "token": NASTY[name], "id": NASTY[name][:100]}, separators=(",", ":")
    )
    live.control(payload.encode())
    await world.world.watch.errands.finish(1.0)
    live.peer_closed(4000, NASTY[name])
    outputs = await world.outputs()
    for line in lines_of(outputs):
        harmless(line)


TEXT = st.text(alphabet=st.characters(), max_size=300) | st.sampled_from(list(NASTY.values()))


@given(origin=TEXT, agent=TEXT, path=TEXT, issuer=TEXT, subject=TEXT, tenant=TEXT, note=TEXT)
def test_whatever_a_handshake_shows_is_one_line(
    origin: str, agent: str, path: str, issuer: str, subject: str, tenant: str, note: str
) -> None:
    trail = Trail(origin=origin, user_agent=agent, path=path, identity=Identity(issuer, subject, tenant))
    event = handshake_event(trail, Deny(Reason.TOKEN_CLAIMS, Step.PROVE, note=note), duration=None)
    line = Chain().bind(to_json(event)).decode()
    assert line.endswith("\n")
    harmless(line[:-1])
    assert json.loads(line)["reason"] == "token_claims"
    plain = plain_line(event)
    assert plain is not None
    harmless(plain[:-1])
    harmless(masked(f"{origin} {agent} {note}"))


@given(issuer=TEXT, subject=TEXT, tenant=TEXT, session=TEXT, origin=TEXT, detail=TEXT)
def test_whatever_a_connection_is_called_is_one_line(
    issuer: str, subject: str, tenant: str, session: str, origin: str, detail: str
) -> None:
    principal = Principal(
        identity=Identity(issuer, subject, tenant), kind=Kind.TOKEN, issued_at=START, expires_at=None, session=session
    )
    admission = Admission(
        connection="c",
        principal=principal,
        lease=Lease(START, None, None, None),
        route=route(),
        path="/chat/a",
        parameters=(),
        peer=Peer(None, None, secure=True),
        origin=origin,
        kind=Kind.TOKEN,
        place=Place.HEADER,
        controls=False,
        renewable=False,
    )
    event = connection_event(EventKind.CLOSE, Outcome.DONE, admission, principal, detail=detail)
    line = Chain().bind(to_json(event)).decode()
    harmless(line[:-1])
    json.loads(line)


async def test_lg_01_a_name_with_a_record_in_it_is_a_name(world: Watched) -> None:
    live = await world.knock(f"Authorization: Bearer {token(sub=NASTY['CR LF'])}")
    outputs = await world.outputs()
    records = [json.loads(line) for line in outputs.stored]
    if isinstance(live, Live):
        assert records[0]["subject"] == f"bob\\u000d\\u000a{FORGED}"
    assert len(records) == 1


async def test_the_world_lets_a_good_one_in(world: Watched) -> None:
    assert isinstance(await world.knock(f"Authorization: Bearer {token()}", origin=ORIGIN), Live)
