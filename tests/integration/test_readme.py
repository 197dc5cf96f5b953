"""Every block of the README and of the how-to pages is true: a stranger follows them from the top."""

import pytest

from tests.architecture.source import ROOT
from tests.integration import given_stores, showing
from tests.integration.blocks import Block, blocks, same
from tests.integration.following import Stranger, UnfollowableError, follow, stranger
from tests.integration.ports import free_ports

NEED_STORES = {"several-nodes.md"}
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs/how-to").glob("*.md"))]


async def gateway(who: Stranger, block: Block) -> None:
    """What the README has set up when it comes to its first connection: a server, a gateway, a client to run."""
    seen = set()
    for step in blocks(ROOT / "README.md"):
        if step.note not in seen and step.note in GIVEN:
            seen.add(step.note)
            await who.follow(step)
    assert seen == GIVEN


async def client(who: Stranger, block: Block) -> None:
    """The client that the page about FastAPI has, and that the other frameworks' pages use."""
    file = "file: client.py"
    (found,) = [step for step in blocks(ROOT / "docs/how-to/fastapi.md") if step.note == file]
    await who.follow(found)


GIVEN = {
    "file: server.py",
    'terminal: server, until "listening"',
    'terminal: gateway, until "gateway on"',
    "file: client.py",
}
SHOWS = {
    "given: client": client,
    "given: gateway": gateway,
    "given: stores": given_stores.stores,
    "browser: renewal": showing.renewal,
    "nginx: rt.example.com": showing.nginx,
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=pytest.mark.servers if page.name in NEED_STORES else ()) for page in PAGES],
    ids=lambda page: page.name,
)
async def test_the_page_is_true(page, tmp_path) -> None:
    assert await follow(page, tmp_path / "here", SHOWS) == len(blocks(page))


# ---- the test itself: it must not let through what it should catch


async def test_a_block_that_nobody_knows_fails(tmp_path) -> None:
    async with stranger(tmp_path / "here", {}) as who:
        for block in [
            Block("x:1", "text", "", "no note says what this is\n"),
            Block("x:1", "js", "", "alert(1)\n"),
            Block("x:1", "sh", "sideways", "true\n"),
            Block("x:1", "", "stpo: gateway", ""),
        ]:
            with pytest.raises(UnfollowableError):
                await who.follow(block)


async def test_what_fails_or_differs_fails(tmp_path) -> None:
    async with stranger(tmp_path / "here", {}) as who:
        for block in [
            Block("x:1", "sh", "", "false\ntrue\n"),
            Block("x:1", "sh", "exits 2", "true\n"),
            Block("x:1", "sh", "", "pip install doorwart\n"),
            Block("x:1", "sh", "", "pip install doorward[everything]\n"),
            Block("x:1", "sh", 'terminal: one, until "never"', "echo once\n"),
        ]:
            with pytest.raises(UnfollowableError):
                await who.follow(block)
        await who.follow(Block("x:1", "sh", "", "echo one\n"))
        with pytest.raises(UnfollowableError):
            await who.follow(Block("x:1", "text", "output", "two\n"))
        await who.follow(Block("x:1", "sh", "", "doorward init --backend ws://127.0.0.1:9000 2>&1\n"))
        with pytest.raises(UnfollowableError):
            await who.follow(Block("x:1", "toml", "fragment", "[server]\nlisten_on = 1\n"))


def test_what_is_shown_may_differ_only_where_it_must() -> None:
    shown = "closed 1 connection on 1 of 1 node in 11 ms\n  alice of http://127.0.0.1:8800\n"
    assert same(shown, "closed 1 connection on 1 of 1 node in 7 ms\n  alice of http://127.0.0.1:8800\n")
    assert not same(shown, "closed 2 connections on 1 of 1 node in 7 ms\n  alice of http://127.0.0.1:8800\n")
    assert not same(shown, "closed 1 connection on 1 of 1 node in 7 ms\n  alicia of http://127.0.0.1:8800\n")
    assert not same(shown, shown + "and more\n")
    assert same("first\n…\nlast\n", "first\n1\n2\nlast\n")
    assert same("2026-11-22 15:04:05  a…z\n", "2031-01-01 00:00:00   abcz\n")
    assert not same("a…z\n", "a\nz\n")
    assert same("2026-11-22 15:04:05  gw-1/1  a\n", "2031-01-01 00:00:00  host.example-1f2e3d/2     a\n")
    assert not same("2026-11-22 15:04:05  gw-1/1  a\n", "2031-01-01 00:00:00  command  a\n")


def test_ports_are_never_the_same() -> None:
    assert len(set(free_ports(20))) == 20


def test_a_page_is_cut_into_its_blocks(tmp_path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A\n\n<!-- file: a.py -->\n```python\n1\n```\n\n<!-- stop: it -->\n\n```sh\n# <!-- x -->\n```\n")
    found = [(block.where, block.language, block.note, block.text) for block in blocks(page)]
    assert found == [
        ("page.md:4", "python", "file: a.py", "1\n"),
        ("page.md:8", "", "stop: it", ""),
        ("page.md:10", "sh", "", "# <!-- x -->\n"),
    ]
    page.write_text("```sh\nnever closed\n")
    with pytest.raises(ValueError, match="unclosed"):
        blocks(page)
