"""LG-05: a flood of refusals grows no file and hides nothing, and its count is right."""

from tests.unit.adapters.audit.test_floods import Stream


def test_lg_05_a_flood_grows_no_file_and_hides_nothing() -> None:
    """100,000 refusals in a minute, with a critical event in the middle."""
    stream = Stream()
    for number in range(100_000):
        if number == 50_000:
            stream.refuse(reason="ticket_spent", address="198.51.100.1")
        stream.refuse()
        if number % 1000 == 999:
            stream.clock.advance(0.6)
    stream.floods.close()
    assert len(stream.told) < 20
    assert ("198.51.100.1", "ticket_spent", 1) in stream.told
    assert sum(count for _, _, count in stream.told) == 100_001
