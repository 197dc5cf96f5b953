"""A client's attempt to come in by a handshake: a socket, or what it got instead."""

import json
from collections.abc import Iterable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidMessage, InvalidStatus

from tests.integration.running import WITHIN, Refused


async def attempt(
    url: str,
    *,
    token: str | None = None,
    headers: Iterable[tuple[str, str]] = (),
    protocols: Iterable[str] = (),
    **settings: Any,
) -> ClientConnection | Refused:
    """With a bearer token, if there is one, after the headers. `settings` are those of websockets' `connect`."""
    shown = [*headers, *([] if token is None else [("Authorization", f"Bearer {token}")])]
    settled: Any = {"compression": None, "ping_interval": None, "max_size": 1 << 24, "proxy": None, **settings}
    offered: Any = list(protocols) or None
    try:
        return await connect(url, subprotocols=offered, additional_headers=shown, open_timeout=WITHIN, **settled)
    except InvalidStatus as refused:
        answer = refused.response
        try:
            reason = json.loads(bytes(answer.body or b"{}")).get("reason", "")
        except ValueError:
            reason = ""
        return Refused(answer.status_code, reason, dict(answer.headers.raw_items()))
    except (OSError, EOFError, InvalidMessage):
        return Refused(0)
