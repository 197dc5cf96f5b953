"""Floor 6: test helpers that ship. They fake time and chance, and nothing that Doorward runs imports them."""

from doorward.testing.clock import START, FakeClock
from doorward.testing.driver import GOOD_DAY, Played, Reaction, play
from doorward.testing.entropy import FakeEntropy

__all__ = ["GOOD_DAY", "START", "FakeClock", "FakeEntropy", "Played", "Reaction", "play"]
