"""What stops `doorward run` from starting is named, with the exit code of PRODUCT section 3."""

import asyncio
import fcntl
import socket
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from contextlib import closing

import pytest

from tests.integration.running import DOORWARD, ENVIRONMENT, free_port


async def doorward(folder, *arguments, **environment):
    process = await asyncio.create_subprocess_exec(
        *(*DOORWARD, *arguments),
        cwd=folder,
        env=ENVIRONMENT | environment,
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
    )
    printed, _ = await asyncio.wait_for(process.communicate(), 45)
    return process.returncode, printed.decode()


@pytest.mark.parametrize("taken", ["DOORWARD_SERVER__LISTEN", "DOORWARD_ADMIN__LISTEN"])
async def test_a_taken_port_is_named(taken, tmp_path) -> None:
    assert (await doorward(tmp_path, "init", "--backend", "ws://127.0.0.1:9000"))[0] == 0
    places = {name: f"127.0.0.1:{free_port()}" for name in ("DOORWARD_SERVER__LISTEN", "DOORWARD_ADMIN__LISTEN")}
    with closing(socket.create_server(("127.0.0.1", int(places[taken].rpartition(":")[2])))):
        code, printed = await doorward(tmp_path, "run", **places)
    assert code == 3, printed
    key = taken.removeprefix("DOORWARD_").lower().replace("__", ".")
    assert f"could not start: {key}: Address already in use: {places[taken]}" in printed
    assert "Traceback" not in printed


async def test_without_a_file_the_next_command_is_named(tmp_path) -> None:
    code, printed = await doorward(tmp_path, "run")
    assert code == 2, printed
    assert "doorward init --backend" in printed


async def test_a_second_gateway_in_the_same_folder_is_told_of_the_first(tmp_path) -> None:
    assert (await doorward(tmp_path, "init", "--backend", "ws://127.0.0.1:9000"))[0] == 0
    with (tmp_path / "audit.jsonl").open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        code, printed = await doorward(tmp_path, "run")
    assert code == 3, printed
    assert "could not start: a gateway is already running here: it writes to" in printed


async def test_a_store_that_is_no_database_is_the_one_thing_said(tmp_path) -> None:
    assert (await doorward(tmp_path, "init", "--backend", "ws://127.0.0.1:9000"))[0] == 0
    (tmp_path / "doorward.db").write_bytes(b"something else entirely, " * 100)
    code, printed = await doorward(tmp_path, "run")
    assert code == 3, printed
    assert "not a database" in printed
    assert "presence" not in printed
