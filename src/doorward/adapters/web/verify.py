"""GET /auth/verify: a proxy asks about its client's handshake, and is told 200 with who they are, 401, or 403.

The headers are always all there, empty where there is nothing to say: a proxy that copies them then overwrites whatever
the client had written in their place (ECOSYSTEM, traps 1 and 3).
"""

from typing import Final

from starlette.responses import Response

from doorward.adapters.web.answers import problem, respond
from doorward.adapters.web.desk import Doorstep
from doorward.core.forwarding import identity_headers
from doorward.core.verifying import verify_status
from doorward.values.decision import Deny
from doorward.values.handshake import Handshake
from doorward.values.peer import Wire

_OF_A_CONNECTION: Final = "X-Doorward-Connection"


async def verify(door: Doorstep, asked: Handshake | Deny, wire: Wire) -> Response:
    """`asked` is a Deny where not even the question could be read."""
    if isinstance(asked, Deny):
        door.refuse(wire, asked, verified=True)
        return unverified(asked)
    admission = await door.verify(asked, wire)
    if isinstance(admission, Deny):
        return unverified(admission)
    vouched = respond(200)
    for name, value in identity_headers(admission.principal, admission.connection):
        if name != _OF_A_CONNECTION:
            vouched.headers[name.lower()] = value
    return vouched


def unverified(deny: Deny) -> Response:
    """No, by a status that every proxy understands; the ending and the wait are in the body."""
    return problem(deny, status=verify_status(deny))
