"""The apps of examples/ are those of the how-to pages, which tests/integration/test_readme.py follows to the end."""

import pytest

from tests.architecture.source import ROOT
from tests.integration.blocks import blocks

FRAMEWORKS = ("fastapi", "starlette", "litestar", "quart", "channels")


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_page_shows_the_example(framework) -> None:
    shown = {
        block.note.removeprefix("file: "): block.text
        for block in blocks(ROOT / f"docs/how-to/{framework}.md")
        if block.note.startswith("file: ") and block.note != "file: client.py"
    }
    folder = ROOT / "examples" / framework
    assert shown == {name: (folder / name).read_text(encoding="utf-8") for name in ("app.py", "doorward.toml")}
