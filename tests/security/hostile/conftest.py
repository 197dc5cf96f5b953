"""One gateway for all attacks that a rate would only hide; its own threats' tests start the others."""

from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite("tests.security.hostile.attacking", "tests.security.hostile.standing")

from tests.security.hostile.attacking import good_client  # noqa: E402 - its assertions are to speak
from tests.security.hostile.standing import Standing, standing  # noqa: E402

ROUTES = [
    {"path": "/ws/{room}"},
    {"path": "/admin/{room}", "permission": "admin:all"},
    {"path": "/mute/{room}"},
    {"path": "/deaf/{room}"},
    {"path": "/no/{room}"},
    {"path": "/dead/{room}", "backend": "ws://127.0.0.1:1"},
    {"path": "/push/{room}"},
    {"path": "/sink/{room}"},
    {"path": "/masked/{room}"},
    {"path": "/strict/{room}", "without_origin": "refuse"},
    {"path": "/close/{room}", "refuse_as": "close"},
    {"path": "/raw/{rest*}"},
    {"path": "/rated/{room}", "limits": {"messages": "5/s burst 5", "refusals_before_close": 3}},
    {"path": "/ping/{room}", "answer_json_ping": True},
    {"path": "/idle/{room}", "lease": {"idle": "2s"}},
    {"path": "/grace/{room}", "lease": {"in_grace": "refuse"}},
]


@pytest.fixture(scope="session")
def siege(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    """The gateway under attack, warm: what a first connection opens for good is open already."""
    with standing(
        tmp_path_factory.mktemp("siege"), routes=ROUTES, tokens={"audience": "chat", "ticket_ttl": "3s"}
    ) as gateway:
        for _ in range(3):
            good_client(gateway)
        yield gateway


@pytest.fixture(scope="session")
def lone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    """Another one, to be ill-treated, and to recover from it each time."""
    with standing(tmp_path_factory.mktemp("lone"), store={"live_when_unavailable": "keep"}) as gateway:
        for _ in range(2):
            good_client(gateway)
        yield gateway
