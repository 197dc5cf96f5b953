"""Doorward: a WebSocket authentication gateway that stays on duty on the live connection.

What stands in `__all__` is public; it is imported when it is first asked for, so that `import doorward` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from doorward.adapters.asgi.connection import Connection, NoConnectionError, connection_of
    from doorward.config.middleware import ConfigurationError, Doorward
    from doorward.config.problem import Problem
    from doorward.values.principal import Identity, Principal

__version__ = "0.1.0"

__all__ = [
    "Doorward",
    "Connection",
    "connection_of",
    "Principal",
    "Identity",
    "ConfigurationError",
    "Problem",
    "NoConnectionError",
]

_HOMES = {
    "Doorward": "doorward.config.middleware",
    "Connection": "doorward.adapters.asgi.connection",
    "connection_of": "doorward.adapters.asgi.connection",
    "Principal": "doorward.values.principal",
    "Identity": "doorward.values.principal",
    "ConfigurationError": "doorward.config.middleware",
    "Problem": "doorward.config.problem",
    "NoConnectionError": "doorward.adapters.asgi.connection",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(home), name)
    return found
