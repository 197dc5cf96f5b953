"""What the application sees of its connection: who is there now, and until when. It changes with every renewal."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import HTTPConnection

from doorward.core.permissions import permits
from doorward.service.live import Live
from doorward.values.principal import Principal
from doorward.values.question import OpenBackend

KEY: Final = "doorward"

if TYPE_CHECKING:
    Asked = Mapping[str, Any]  # an ASGI scope; Starlette's connections are mappings over theirs
else:
    Asked = HTTPConnection  # what FastAPI injects by its type: Depends(connection_of)


class NoConnectionError(LookupError):
    """This scope did not pass through Doorward as a WebSocket."""


class Connection:
    """One connection that was let in. It stands in the scope's state as `doorward`.

    Every property is of this moment: a renewal, or a change of the account's roles, counts from the next look.
    """

    __slots__ = ("_asked", "_live")

    def __init__(self, asked: OpenBackend) -> None:
        self._asked = asked
        self._live: Live | None = None

    def join(self, live: Live) -> None:
        """It was admitted, and is live from now on."""
        self._live = live

    @property
    def connection(self) -> str:
        """Its id, as in the audit and in `doorward connections list`."""
        return self._asked.connection

    @property
    def principal(self) -> Principal:
        """Who is there: identity, roles, permissions, session, claims that routes require."""
        return self._asked.principal if self._live is None else self._live.principal

    @property
    def issuer(self) -> str:
        return self.principal.identity.issuer

    @property
    def subject(self) -> str:
        return self.principal.identity.subject

    @property
    def tenant(self) -> str:
        """Empty where there is none."""
        return self.principal.identity.tenant

    @property
    def expires_at(self) -> float | None:
        """When the credential in force ends, in epoch seconds; None where it has no end."""
        return self.principal.expires_at

    @property
    def route(self) -> str:
        """The path pattern that matched, as in the configuration."""
        return self._asked.route.name

    @property
    def parameters(self) -> Mapping[str, str]:
        """What the pattern's parameters took of the path, decoded once."""
        return dict(self._asked.parameters)

    def permits(self, permission: str) -> bool:
        """May the identity do this, as of now? "chat:send" is given by itself, by "chat:*" and by "*"."""
        return permits(self.principal.permissions, permission)

    def __repr__(self) -> str:
        return f"<Connection {self.connection} of {self.subject!r}>"


def connection_of(connection: Asked) -> Connection:
    """The Connection of an ASGI scope, of Starlette's WebSocket, or of anything that has a `scope`.

    A FastAPI dependency as it stands: `Annotated[Connection, Depends(connection_of)]`. Raises NoConnectionError where
    there is none: over plain HTTP, or where Doorward does not stand around the application.
    """
    scope = getattr(connection, "scope", connection)
    found = scope.get(KEY)
    if not isinstance(found, Connection):
        raise NoConnectionError(
            "this is no WebSocket that came through Doorward: wrap the outermost application, app = Doorward(app, …)"
        )
    return found
