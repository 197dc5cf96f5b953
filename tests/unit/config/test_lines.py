"""Every key of a file has its line, whatever way it is written."""

import tomllib

import pytest

from doorward.config.lines import locate
from tests.architecture.source import ROOT


def keys(value, at=()):
    """Every table, key and element of a document."""
    if at:
        yield at
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for part, inner in parts:
        yield from keys(inner, (*at, part))


TEXT = '''\
# a comment with = and [brackets]
top = 1
[server]          # comment
listen = "a # b = [c]"
"quoted key" = 'x'
dotted.deep . "er" = { a = 1, b = { c = [1, 2] } }
multi = """
[not.a.table]
x = 1
"""
after = \'\'\'
key = 2\'\'\'
list = [
  "one",   # first

  "two",
  { in = "it" },
]

[[routes]]
path = "/a"
[[routes.messages]]
type = "x"
[[routes.messages]]
type = "y"
[routes.lease]
grace = "1s"
[[routes]]
path = "/b"
[[routes.messages]]
type = "z"
[a.b.c]
d = -1.5e3
e = 2026-11-22T10:00:00Z
"esc\\u0061ped" = "\\"]"
'''


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_every_key_is_found_on_its_line(ends) -> None:
    text = TEXT.replace("\n", ends)
    found = locate(text)
    assert set(found) == set(keys(tomllib.loads(text)))
    lines = text.split("\n")
    for key, line in found.items():
        named = [part for part in key if isinstance(part, str)][-1]
        if isinstance(key[-1], str) and named not in {"escaped", "quoted key"}:
            assert named in lines[line - 1], key
    assert found["server", "list", 1] == 16
    assert found["routes", 1, "messages", 0, "type"] == 31
    assert found["a", "b", "c", "escaped"] == 35


@pytest.mark.parametrize("name", ["cluster.toml", "full.toml", "minimal.toml"])
def test_the_examples(name) -> None:
    text = (ROOT / "examples" / name).read_text(encoding="utf-8")
    assert set(locate(text)) == set(keys(tomllib.loads(text)))


@pytest.mark.parametrize("text", ["", "\n\n", "# only", "a = 1"])
def test_small_files(text) -> None:
    assert set(locate(text)) == set(keys(tomllib.loads(text)))


@pytest.mark.parametrize("text", ["[", "a", "a = ", "a = [", "a = {", '"', "= 1", "a = [1 2]", "a.=1", "]"])
def test_text_that_is_not_toml_is_left_where_it_is_lost(text) -> None:
    assert isinstance(locate(text), dict)
