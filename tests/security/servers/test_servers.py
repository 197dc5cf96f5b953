"""B1 to B5 against the middleware under each ASGI server: what a server lets through, the middleware refuses.

Who refuses what is a table, outcomes.json, made by `make attacks`; that page's reasons for what nobody can see stand in
spec/attacks.toml. A server that is new to an attack, or an attack that comes through, fails here.
"""

import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
import pytest_asyncio

from tests.integration.running import ISSUER, OTHER_ISSUER
from tests.security.hostile.attacking import frame, head, text
from tests.security.hostile.test_forwarded_headers import UNTRUSTED
from tests.security.hostile.test_frame_lies import LIES
from tests.security.hostile.test_head_smuggling import FORGED
from tests.security.hostile.test_origin_forgery import ROWS as ORIGINS
from tests.security.hostile.test_token_oracle import TOKENS
from tests.security.servers.storming import HANDSHAKES, Assailed, Attack, Outcome, Result, assailed

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

SERVERS = ("uvicorn", "uvicorn-wsproto", "granian", "hypercorn", "daphne")
TABLE = Path(__file__).parent / "outcomes.json"
WRITING = os.environ.get("ATTACKS_WRITE") == "1"
LETTERS = {
    Outcome.DOORWARD: "D",
    Outcome.SERVER: "S",
    Outcome.SILENCE: "W",
    Outcome.HTTP: "H",
    Outcome.IN: "I",
}


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=SERVERS)
async def under(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Assailed]:
    async with assailed(request.param, tmp_path_factory.mktemp(request.param)) as it:
        await it.settled()
        yield it
        await it.settled()
        written = b"".join(path.read_bytes() for path in it.door.folder.glob("audit*"))
        for canary in it.canaries:
            assert canary not in it.it.printed, "a server's log shows a token"
            assert canary.encode() not in written
        assert it.door.events(kind="fault") == []


async def agree(under: Assailed, attacks: Sequence[Attack]) -> list[Result]:
    """Each attack has the outcomes of the table, in the order of its variants."""
    table = json.loads(TABLE.read_text()) if TABLE.exists() else {}
    known = {} if WRITING else table.get(under.name, {})
    results = await under.assail(attacks, silent=range(len(attacks)) if WRITING else silent(attacks, known))
    got = told(results)
    if WRITING:
        table.setdefault(under.name, {}).update(got)
        TABLE.write_text(json.dumps(table, indent=1, sort_keys=True) + "\n")
    else:
        assert {name: known.get(name) for name in got} == got, "not as in outcomes.json: `make attacks` shows it"
    return results


def silent(attacks: Sequence[Attack], known: Mapping[str, str]) -> set[int]:
    """The places of those that the table knows to hear nothing: only they need not be waited for."""
    places: set[int] = set()
    variants = Counter[str]()
    for place, attack in enumerate(attacks):
        letters = known.get(attack.name, "")
        if letters[variants[attack.name] :].startswith(LETTERS[Outcome.SILENCE]):
            places.add(place)
        variants[attack.name] += 1
    return places


def told(results: Sequence[Result]) -> dict[str, str]:
    letters: dict[str, str] = {}
    for result in results:
        letters[result.attack.name] = letters.get(result.attack.name, "") + LETTERS[result.outcome]
    return letters


def refused_by_us(results: list[Result]) -> set[bytes]:
    """None is in; and what those that came to us were told, less what servers add."""
    assert [result.attack.name for result in results if result.outcome is Outcome.IN] == []
    ours = [result.said for result in results if result.outcome is Outcome.DOORWARD]
    return {said.partition(b"\r\n")[0] + said.partition(b"\r\n\r\n")[2] for said in ours}


async def test_handshakes(under: Assailed) -> None:
    await agree(under, HANDSHAKES)


async def test_origins(under: Assailed) -> None:
    """Judged before any credential: good, bad and no token are told the same."""
    attacks = [
        Attack(name, head(token=token, Origin=origin.replace("{port}", str(under.it.port))))
        for name, origin, _ in ORIGINS
        for token in ("@", "bad", None)
    ]
    results = await agree(under, attacks)
    assert len(refused_by_us(results)) == 1
    refused_by_us(await agree(under, [Attack("OR-08-missing", head("/strict/a", token="@", Origin=None))]))


async def test_jt45_tokens_are_one_class(under: Assailed) -> None:
    issuer = SimpleNamespace(secrets={ISSUER: under.door.secret, OTHER_ISSUER: "o" * 40})
    attacks = []
    for name, (forge, _) in TOKENS.items():
        if not name.startswith(("JT-12-own", "JT-13", "JT-49")):  # which need the gateway's own keys
            token = forge(issuer)  # type: ignore[arg-type]
            under.canaries.append(token) if len(token) > 40 else None
            attacks.append(Attack(name, head(token=token)))
    results = await under.assail(attacks)
    assert {result.outcome for result in results} <= {Outcome.DOORWARD, Outcome.SERVER}
    assert len(refused_by_us(results)) == 1


async def test_px05_px09_a_neighbour_that_forwards_untrusted(under: Assailed) -> None:
    attacks = [
        Attack("PX-05-untrusted" if "or: " in line.lower() else "PX-09-untrusted", head(token="@", extra=[line]))
        for line in UNTRUSTED
    ]
    results = await agree(under, attacks)
    refused_by_us(results)


async def test_hs30_px10_px12_px13_px18_nobody_brings_an_identity_of_his_own(under: Assailed) -> None:
    """Each spelling alone, since a server may refuse one: where the application is entered, it sees none of it."""
    attacks = [Attack("PX-13-forged", head(token="@", extra=[line])) for line in FORGED]
    results = await under.assail(attacks)
    assert Outcome.IN in {result.outcome for result in results}
    for result in results:
        if result.outcome is Outcome.IN:
            assert result.said.endswith(b" []"), (result.attack.octets, result.said[-200:])


@pytest.mark.parametrize("name", ["token", "access_token", "tok%65n"])
async def test_ts13_a_token_in_a_url(under: Assailed, name: str) -> None:
    token = under.door.token("leaky")
    refused_by_us(await under.assail([Attack("TS-13-url", head(f"/ws/a?{name}={token}"))]))


async def test_px01_hs46_behind_a_refusal_is_no_second_way_in(under: Assailed) -> None:
    """A server may go on to the next request of a connection: then that one is judged like any other."""
    attacks = [
        Attack("PX-01-second", head(token="bad") + head("/ws/b", token="bad")),
        Attack("PX-01-second", head(token="bad", Origin="https://evil.example") + head("/admin/b", token="@")),
        Attack("HS-41-frames", head(token="bad") + text("in") * 3),
        Attack("HS-41-frames", head(token=None) + frame(9, b"x") + text("in")),
    ]
    refused_by_us(await under.assail(attacks))


# granian takes a length in more bytes than it needs (RFC 6455 section 5.2); its payload is the one declared
TAKEN_ALL_THE_SAME = {"granian": {"FR-04-16-bit", "FR-04-64-bit", "FR-04-64-bit-long", "FR-06-long-ping-form"}}


async def test_fr34_frames_that_lie_end_it_and_nothing_behind_them_is_answered(under: Assailed) -> None:
    """Frames are the server's to judge here: docs/reference/middleware.md says what it does instead."""
    attacks = [Attack(name, head(token="@") + sent + text("pay-me") * 3) for name, sent, _, _ in LIES]
    taken = TAKEN_ALL_THE_SAME.get(under.name, set())
    results = await under.assail([attack for attack in attacks if attack.name not in taken])
    results += await under.assail(
        [attack for attack in attacks if attack.name in taken], enough=lambda said: b"pay-me" in said
    )
    assert {result.outcome for result in results} <= {Outcome.IN, Outcome.SERVER, Outcome.SILENCE}
    assert {result.attack.name for result in results if b"pay-me" in result.said} == taken
