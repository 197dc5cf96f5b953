"""A doorward.toml in a folder of its own, tokens that it accepts, and the commands that one types beside it."""

import asyncio
import json
import secrets
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from doorward.cli import app as program
from tests.integration.running import AUDIENCE, ISSUER, mint, written

ORIGIN = "https://app.test"
ROUTES: list[dict[str, Any]] = [
    {"path": "/chat/small", "limits": {"message_size": "1KiB", "messages": "off"}},
    {"path": "/chat/limited", "limits": {"messages": "1/s burst 3", "refusals_before_close": 1}},
    {"path": "/chat/plain", "control_messages": "never"},
    {"path": "/chat/asked", "lease": {"grace": "4s"}},
    {"path": "/chat/closing", "refuse_as": "close"},
    {"path": "/chat/{room}", "limits": {"connections_per_subject": 1000}},
    {"path": "/push"},
    {"path": "/reject"},
    {"path": "/bytes"},
    {"path": "/unserved"},
]


class Door:
    """What the middleware of one app is configured with. `more` are tables of the file, put over the usual ones."""

    def __init__(self, folder: Path, **more: Any) -> None:
        self.folder = folder
        self.config = folder / "doorward.toml"
        self.secret = secrets.token_urlsafe(32)
        folder.mkdir(parents=True, exist_ok=True)
        key = folder / "doorward.key"
        key.write_text(secrets.token_urlsafe(48) + "\n")
        key.chmod(0o600)
        settings: dict[str, Any] = {
            "origins": {"allow": [ORIGIN], "without_origin": "allow"},
            "cluster_limits": {
                "connections_per_subject": 1000,
                "connections_per_address": 1000,
                "refusals_per_address": "100000/min",
                "pending_per_address": 500,
            },
            "issuers": [
                {
                    "issuer": ISSUER,
                    "audience": AUDIENCE,
                    "algorithms": ["HS256"],
                    "secret": self.secret,
                    "skew": "0s",
                    "claims": {"tenant": "tenant"},
                }
            ],
            "routes": ROUTES,
        }
        for name, members in more.items():
            settings[name] = members if isinstance(members, list) else {**settings.get(name, {}), **members}
        self.config.write_text(written(settings))

    @property
    def environment(self) -> dict[str, str]:
        """What the app under test reads."""
        return {"APP_CONFIG": str(self.config)}

    def token(self, subject: str, life: float = 60.0, **claims: Any) -> str:
        return mint(self.secret, subject=subject, life=life, **claims)

    async def command(self, *arguments: str) -> tuple[int, str]:
        """(exit code, what it printed) of `doorward …`, as typed beside the running app; in a thread of ours."""
        ended = await asyncio.to_thread(CliRunner().invoke, program, [*arguments, "-c", str(self.config)])
        if ended.exception is not None and not isinstance(ended.exception, SystemExit):
            raise ended.exception
        return ended.exit_code, ended.output

    def events(self, **wanted: object) -> list[dict[str, Any]]:
        """What the audit files hold by now and whose members are as wanted."""
        found = []
        for path in sorted(self.folder.glob("audit*.jsonl")):
            for line in path.read_text().splitlines():
                event = json.loads(line)
                if all(event.get(name) == value for name, value in wanted.items()):
                    found.append(event)
        return found
