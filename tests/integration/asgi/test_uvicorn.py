"""What a real server writes to its own log about what we refuse: no error, and no credential of anybody's."""

import json

import pytest

from tests.doors import raw
from tests.integration.frameworks.serving import served
from tests.unit.config.making import KEY, private
from tests.vectors.loading import base

CODE = "Q" * 43
HEAD = (
    "GET /chat/lobby?ticket={code}&room=1 HTTP/1.1\r\nHost: gw.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nOrigin: https://app.example\r\n{more}\r\n"
)


@pytest.mark.timeout(120)
async def test_its_log_has_no_error_of_ours_and_no_secret_of_theirs(tmp_path) -> None:
    on = base("plain")
    private(tmp_path / "doorward.key", KEY)
    (tmp_path / "doorward.toml").write_text((on.folder / "doorward.toml").read_text())
    environment = {"DOORS_NOTES": str(tmp_path / "notes"), "DOORS_CONFIG": str(tmp_path / "doorward.toml")}
    more = ["--log-level", "info"]
    async with served("uvicorn", "tests.doors.answering:app", *more, environment=environment) as it:
        spoilt = "Sec-WebSocket-Protocol: a,,b\r\n"
        for extra, status in (("", 403), (spoilt, 400)):
            head = HEAD.format(code=CODE, more=extra).encode()
            assert (await raw.knock(it.port, head, source="127.0.0.1")).status == status
        await it.prints('"WebSocket /chat/lobby?room=1" 403')
    assert CODE not in it.printed
    assert "ERROR" not in it.printed, it.printed
    assert json.loads((tmp_path / "notes").read_text().splitlines()[-1]) == {"passed": "websocket"}
