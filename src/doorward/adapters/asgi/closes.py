"""A Close leaves whatever the server: one that can't send a code gets the nearest that it can.

daphne sends 1000 and 3000 to 4999 only. For any other code it raises where nobody hears it, and the connection stays.
"""

from typing import Final

from doorward.adapters.asgi.parts import Message, Scope, Send

STOPS: Final = 4400
RECONNECTS: Final = 4408

# of PRODUCT section 7: what the client does is what has to survive
_STOPPING: Final = frozenset({1002, 1003, 1007, 1008, 1009, 1010})


def carried(code: int) -> int:
    """The nearest of 1000 and 3000 to 4999: a client stops, or comes back, as for `code`."""
    if code == 1000 or 3000 <= code < 5000:
        return code
    return STOPS if code in _STOPPING else RECONNECTS


def sender(scope: Scope, send: Send) -> Send:
    """`send`, mended where the server needs it: daphne is the one that tells no `spec_version`."""
    if "spec_version" in scope.get("asgi", {}):
        return send

    async def mended(message: Message) -> None:
        if message["type"] == "websocket.close":
            message = {**message, "code": carried(message.get("code") or 1000)}
        await send(message)

    return mended
