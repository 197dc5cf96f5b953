"""What the description says of the admin listener is so: schemathesis asks all that it allows, and what it forbids.

Every check that schemathesis has, on a real listener of two workers, with the same requests each time.
"""

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from pathlib import Path

import pytest
import pytest_asyncio

from tests.integration.admin.desk import WORKERS, Desk
from tests.integration.running import running

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
WITHIN = 240.0
# 422 is no 2xx, and no fault of the description's: the key of one revocation was used for another
SETTINGS = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "401", "403", "404", "422", "503"]
"""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def desk(tmp_path_factory):
    async with running(tmp_path_factory.mktemp("described"), server={"workers": WORKERS}) as gateway:
        yield await Desk(gateway).open()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("who", ["operator", "viewer", "nobody", "forger"])
async def test_it_is_as_described(desk, who, tmp_path) -> None:
    description = tmp_path / "openapi.json"
    description.write_text((await desk.get("/openapi.json")).text)
    (tmp_path / "schemathesis.toml").write_text(SETTINGS)
    token = {"operator": desk.operator, "viewer": desk.viewer, "nobody": "", "forger": desk.operator[:-8] + "AAAAAAAA"}
    shown = ["--header", f"Authorization: Bearer {token[who]}"] if token[who] else []
    known = who in {"operator", "viewer"}
    code, printed = await schemathesis(
        str(description),
        *("--url", desk.url),
        *shown,
        *(
            "--checks",
            "all",
            "--phases",
            "coverage,fuzzing" if known else "fuzzing",
            "--max-examples",
            "6" if known else "2",
        ),
        *("--generation-deterministic", "--workers", "1", "--no-color"),
        folder=tmp_path,
    )
    assert code == 0, printed
    assert desk.gateway.events(kind="fault") == []
    # it did ask: the operator's requests are on record, and so are those that were refused
    if who == "operator":
        done = {event["path"] for event in desk.gateway.events(kind="admin", outcome="done")}
        assert {"/api/bans", "/api/revocations"} <= done
    else:
        refused = desk.gateway.events(kind="admin" if who == "viewer" else "http", outcome="refused")
        assert {event["path"] for event in refused} >= {"/api/bans", "/api/revocations"}


async def schemathesis(*arguments: str, folder: Path) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *(str(SCHEMATHESIS), "run", *arguments),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
        cwd=folder,
        env={name: value for name, value in os.environ.items() if "SCHEMATHESIS" not in name},
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), WITHIN)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return process.returncode, output.decode()


async def test_every_operation_was_there_to_be_asked(desk) -> None:
    described = json.loads((await desk.get("/openapi.json")).text)["paths"]
    for path, operations in described.items():
        for method in operations:
            answer = await desk.ask(method.upper(), path.replace("{id}", "1"))
            assert answer.status_code not in {405, 500}, (method, path)
