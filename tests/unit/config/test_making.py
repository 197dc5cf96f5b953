"""What the assembly makes of a configuration that no other test sees."""

from pathlib import Path
from typing import Any

import pytest

from doorward.adapters.crypto.master import load_key_file
from doorward.adapters.stores.cluster.told import Told
from doorward.adapters.stores.postgres.connecting import COMMANDS, HANDSHAKES
from doorward.adapters.stores.redis.link import COMMANDS_WITHIN, DEADLINE
from doorward.adapters.system import SystemClock, SystemEntropy
from doorward.config.making import YEARS, make_store, revocation_life
from tests.unit.config.making import ROUTE, good
from tests.unit.service.world import rules


def test_a_revocation_outlives_a_token_that_does_not_say_when_it_was_issued() -> None:
    assert revocation_life(rules()) >= YEARS


@pytest.mark.parametrize(
    ("follows", "durable", "shared"), [(True, HANDSHAKES, DEADLINE), (False, COMMANDS, COMMANDS_WITHIN)]
)
@pytest.mark.parametrize("cluster", ["", "redis://127.0.0.1"])
def test_a_command_waits_longer_for_the_stores_than_a_door(
    cluster: str, follows: bool, durable: object, shared: float, tmp_path: Path
) -> None:
    """`doorward revoke` said "not durable" of a server that was only busy."""
    text = f'[store]\nurl = "postgresql://doorward@127.0.0.1/doorward"\ncluster_url = "{cluster}"\n{ROUTE}'
    config = good(tmp_path, text)
    store: Any = make_store(
        config,
        clock=SystemClock(),
        entropy=SystemEntropy(),
        master=load_key_file(config.key_file),
        process="a:0",
        shared=False,
        follows=follows,
        told=Told(
            note=lambda line: None,
            refused=lambda why, count: None,
            made_durable=lambda revocation: None,
            fault=lambda where, error: None,
        ),
    )
    if cluster:
        assert store._link._deadline == shared
        store = store._durable
    assert store._place.patience == durable
    assert store._link._deadline == store._place.patience.answer
