"""What the five apps under test share: they differ in how they speak to their framework, and in nothing else."""

import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from doorward import Doorward, connection_of

CLOSES = (4321, "the app's own")
TICK = 0.05


def behind_doorward(app: Any) -> Any:
    """The app as the tests serve it. Without APP_CONFIG it stands alone: what the server itself does is seen so."""
    config = os.environ.get("APP_CONFIG")
    return app if config is None else Doorward(app, config=config)


def note(line: str) -> None:
    """Printed, for the test to find: `served` follows what the server prints."""
    sys.stdout.write(f"app: {line}\n")
    sys.stdout.flush()


def seen(scope: Mapping[str, Any]) -> str:
    """What the app was shown of a handshake, as its first message tells the client."""
    connection = connection_of(scope) if "APP_CONFIG" in os.environ else None
    return json.dumps(
        {
            "subject": None if connection is None else connection.subject,
            "roles": [] if connection is None else list(connection.principal.roles),
            "connection": None if connection is None else connection.connection,
            "path": scope["path"],
            "query": scope["query_string"].decode(),
            "subprotocols": list(scope["subprotocols"]),
            "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]],
        }
    )


def choice(offers: list[str]) -> str | None:
    """The app has one subprotocol of its own."""
    return "chat.v2" if "chat.v2" in offers else None
