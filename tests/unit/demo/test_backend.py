"""What the chat understands. Rooms and names are tested over sockets, in tests/integration/test_demo.py."""

import json

import pytest

from doorward.demo.backend import LONGEST, text_of


def say(text):
    return json.dumps({"type": "say", "text": text})


@pytest.mark.parametrize("text", ["hello", " a ", "<b>bold</b>", "é" * LONGEST])
def test_what_is_said_is_passed_on_as_it_is(text) -> None:
    assert text_of(say(text)) == text


@pytest.mark.parametrize(
    "message",
    [
        "", "{", "null", "[]", '"say"', "[" * 5000, b"\xff", b"", say(""), say("  "), say("x" * (LONGEST + 1)), say(1),
        '{"type":"say"}', '{"type":"shout","text":"x"}', '{"text":"x"}',
    ],
)  # fmt: skip
def test_everything_else_is_not_understood(message) -> None:
    assert text_of(message) is None
