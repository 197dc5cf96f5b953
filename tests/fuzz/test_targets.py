"""Every target over its seeds and over what fuzzers found before; and every seed cut short anywhere."""

import pytest

from tests.fuzz.seeds import DICTIONARY, FINDS, SEEDS
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_a_seed_and_whatever_is_cut_off_it(name: str) -> None:
    for seed in SEEDS[name]:
        for end in range(0, len(seed) + 1, max(1, len(seed) // 40)):
            TARGETS[name](seed[:end])
        TARGETS[name](seed)


@pytest.mark.parametrize("name", TARGETS)
def test_a_seed_with_a_word_put_in(name: str) -> None:
    for seed in SEEDS[name]:
        for number, word in enumerate(DICTIONARY.get(name, [b"\x00", b"\xff", b"%", b'"'])):
            at = (number * 37 + 11) % (len(seed) + 1)
            TARGETS[name](seed[:at] + word + seed[at:])


def test_what_was_found_before() -> None:
    for name, data in FINDS:
        TARGETS[name](data)


def test_every_target_has_seeds() -> None:
    assert set(SEEDS) == set(TARGETS)
    assert set(DICTIONARY) <= set(TARGETS)
