"""What the assembly makes of a configuration that no other test sees."""

from doorward.config.making import YEARS, revocation_life
from tests.unit.service.world import rules


def test_a_revocation_outlives_a_token_that_does_not_say_when_it_was_issued() -> None:
    assert revocation_life(rules()) >= YEARS
