"""The documentation says what is there: its links lead somewhere, its commands and keys exist, nothing is left out.

That its blocks do what they say is tests/integration/test_readme.py's to show.
"""

import re
from functools import cache
from pathlib import Path

import pytest
import typer.main

from doorward.cli import app
from doorward.config.environment import leaves
from doorward.core.endings import ENDINGS
from tests.architecture.source import ROOT, committed, name
from tests.integration.blocks import blocks
from tools.generate import GENERATED

PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\((?!https?://)([^)#\s]+)(#[^)\s]*)?\)")
COMMAND = re.compile(r"\bdoorward ((?:[a-z]+)(?: [a-z]+)?)((?: --?[a-z][a-z-]*)*)")


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


@cache
def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", text(page), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_its_links_lead_somewhere(page) -> None:
    broken = []
    for target, anchor in LINK.findall(text(page)):
        path = (page.parent / target).resolve()
        if not path.exists() or (anchor and anchor[1:] not in anchors(path)):
            broken.append(target + anchor)
    assert not broken


def test_every_page_is_in_the_index() -> None:
    indexes = [ROOT / "docs/README.md", ROOT / "docs/adr/README.md"]
    linked = {(index.parent / target).resolve() for index in indexes for target, _ in LINK.findall(text(index))}
    pages = {page for page in PAGES if page.is_relative_to(ROOT / "docs")}
    assert sorted(map(name, pages - linked - set(indexes))) == []


@cache
def options() -> dict[str, set[str]]:
    """Every command by its words, with its options."""
    found: dict[str, set[str]] = {}

    def walk(command, words) -> None:
        found[" ".join(words)] = {word for option in command.params for word in (*option.opts, *option.secondary_opts)}
        for word, inner in getattr(command, "commands", {}).items():
            walk(inner, (*words, word))

    walk(typer.main.get_command(app), ())
    return found


def typed(page: Path) -> list[str]:
    """What the page gives as commands: in its blocks, and as code in a line."""
    return [*(block.text for block in blocks(page) if block.language == "sh"), *re.findall(r"`([^`\n]+)`", text(page))]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_its_commands_and_options_exist(page) -> None:
    known = options()
    unknown = []
    for line in typed(page):
        for words, flags in COMMAND.findall(line):
            first = words.split(" ")[0]
            command = words if words in known else first
            if command not in known or not set(flags.split()) <= known[command] | {"--help", "-h"}:
                unknown.append(f"doorward {words}{flags}")
    assert not unknown


def test_the_reference_has_every_command_and_key() -> None:
    commands = text(ROOT / "docs/reference/commands.md")
    leaf = [words for words in options() if words and not any(other.startswith(words + " ") for other in options())]
    assert [words for words in leaf if f"## doorward {words}" not in commands] == []
    configuration = text(ROOT / "docs/reference/configuration.md")
    keys = {leaf.key for leaf in leaves()}
    assert [key for key in keys if f"`{key[-1]}`" not in configuration and f"[{key[-1]}]" not in configuration] == []


def test_what_is_made_says_so_and_is_fresh() -> None:
    for path, make in GENERATED.items():
        if path.endswith(".md"):
            assert "do not edit" in text(ROOT / path)
            assert text(ROOT / path) == make(), "run `python -m tools.generate`"


def test_the_close_codes_of_the_readme_are_those_of_the_endings() -> None:
    codes = {str(ending.close) for ending in ENDINGS.values()}
    said = set(re.findall(r"\b(?:4\d{3}|10[01]\d)\b", text(ROOT / "README.md")))
    # 1006 is no close code: it is what a browser says when there was none
    assert said - codes - {"1006"} == set()


def test_a_metric_that_is_spoken_of_exists() -> None:
    from prometheus_client import generate_latest

    from doorward.adapters.metrics import Meters

    there = generate_latest(Meters(connections=dict).registry).decode()
    said = {metric for page in PAGES for metric in re.findall(r"`(doorward_[a-z_]+)", text(page))}
    assert said
    assert [metric for metric in sorted(said) if f"# TYPE {metric} " not in there] == []


def test_the_readmes_nginx_is_the_example() -> None:
    example = text(ROOT / "examples/proxies/nginx.conf")
    assert [block.text for block in blocks(ROOT / "README.md") if block.language == "nginx"] == [example]


def test_an_example_is_spoken_of() -> None:
    """Whatever lies in examples/ is linked from some page."""
    linked = {(page.parent / target).resolve() for page in PAGES for target, _ in LINK.findall(text(page))}
    examples = {path for path in committed() if path.is_relative_to(ROOT / "examples")}
    reached = {path for path in examples if any(path.is_relative_to(target) for target in linked)}
    assert sorted(map(name, examples - reached)) == []
