"""B14, FX-09: a configuration that would let too much in does not start; the message names the key, never the value."""

import secrets
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from doorward.cli import app as program
from tests.integration.running import DOORWARD, ENVIRONMENT, written

SECRET = "canary-" + secrets.token_urlsafe(24)
ROUTE = {"path": "/ws/{room}", "backend": "ws://127.0.0.1:9"}
ISSUER = {"issuer": "https://i.test/", "audience": "chat", "algorithms": ["HS256"], "secret": SECRET}

UNSAFE: dict[str, tuple[dict[str, Any], str]] = {
    "FX-09-short-secret": ({"issuers": [{**ISSUER, "secret": "canary-short"}]}, "secret"),
    "JT-18-sample-secret": ({"issuers": [{**ISSUER, "secret": "your-256-bit-secret"}]}, "secret"),
    "JT-14-secret-and-jwks": ({"issuers": [{**ISSUER, "jwks_url": "https://i.test/jwks.json"}]}, "issuers"),
    "FX-09-no-algorithm": ({"issuers": [{**ISSUER, "algorithms": []}]}, "algorithms"),
    "FX-09-none": ({"issuers": [{**ISSUER, "algorithms": ["none"]}]}, "algorithms"),
    "FX-09-no-audience": ({"issuers": [{key: ISSUER[key] for key in ISSUER if key != "audience"}]}, "audience"),
    "FX-09-any-origin": ({"origins": {"allow": ["*"]}}, "origins.allow"),
    "FX-09-cookies": ({"routes": [{**ROUTE, "places": ["cookie"], "credentials": ["session"]}]}, "places"),
    "FX-09-public-without-tls": ({"server": {"listen": "0.0.0.0:8800", "public_url": "https://a.test"}}, "listen"),
    "FX-09-unknown-key": ({"server": {"listne": "127.0.0.1:1"}}, "listne"),
    "FX-09-protection-without-controls": (
        {"routes": [{**ROUTE, "protection": "signed", "control_messages": "never"}]},
        "protection",
    ),
}


@pytest.mark.parametrize("case", UNSAFE)
def test_it_does_not_start(tmp_path: Path, case: str) -> None:
    tables, key = UNSAFE[case]
    (tmp_path / "doorward.key").write_text(secrets.token_urlsafe(48) + "\n")
    (tmp_path / "doorward.key").chmod(0o600)
    settings = {"issuers": [ISSUER], "routes": [ROUTE], **tables}
    config = tmp_path / "doorward.toml"
    config.write_text(written(settings))
    config.chmod(0o600)
    ended = CliRunner().invoke(program, ["check", "-c", str(config)])
    assert ended.exit_code == 2, (ended.exit_code, ended.output, ended.exception)
    assert key in ended.output, ended.output
    assert "canary" not in ended.output


def test_run_refuses_what_check_refuses(tmp_path: Path) -> None:
    config = tmp_path / "doorward.toml"
    config.write_text(written({"issuers": [{**ISSUER, "algorithms": []}], "routes": [ROUTE]}))
    config.chmod(0o600)
    ended = subprocess.run(
        [*DOORWARD, "run", "-c", str(config)], capture_output=True, text=True, timeout=40, env=ENVIRONMENT
    )
    assert ended.returncode == 2
    assert "algorithms" in ended.stderr + ended.stdout
    assert "canary" not in ended.stderr + ended.stdout
