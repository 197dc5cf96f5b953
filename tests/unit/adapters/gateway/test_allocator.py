"""On this C library the setting is taken."""

from doorward.adapters.gateway.allocator import keep_large_blocks_apart


def test_it_is_taken():
    assert keep_large_blocks_apart()
