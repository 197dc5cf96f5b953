"""Real Chromium, and a page that keeps an account of everything it complained about."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

from tests.browser.chromium import CHROMIUM, FLAGS
from tests.browser.demos import Demo

# a token lives for seconds here, and two cores are shared
expect.set_options(timeout=20_000)

REPORT = "addEventListener('securitypolicyviolation', e => console.error('CSP', e.violatedDirective, e.blockedURI));"


@dataclass
class Window:
    """One user's browser, with nothing of another's in it."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def note(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.type}: {message.text} ({message.location.get('url')})")

    async def sign_in(self, demo: Demo, name: str, *, password: str | None = None) -> None:
        await self.page.goto(f"{demo.page}/")
        await self.again(demo, name, password=password)

    async def again(self, demo: Demo, name: str, *, password: str | None = None) -> None:
        """Sign in on the page as it stands."""
        await self.page.get_by_label(name, exact=True).check()
        await self.page.get_by_label("Password").fill(demo.accounts[name] if password is None else password)
        await self.page.get_by_role("button", name="Sign in").click()

    async def say(self, text: str) -> None:
        await self.page.get_by_label("Message", exact=True).fill(text)
        await self.page.get_by_role("button", name="Send").click()

    def told(self, kind: str):
        """The entries of that kind in the timeline."""
        return self.page.locator(f"#timeline li[data-kind='{kind}']")

    def heard(self, text: str):
        return self.page.locator("#messages li", has_text=text)

    @property
    def state(self):
        return self.page.locator("#state")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def window(browser):
    """Makes windows; at the end none may have complained of anything that its test did not take away."""
    made: list[Window] = []

    async def make() -> Window:
        context = await browser.new_context(viewport={"width": 1280, "height": 900})
        page = await context.new_page()
        page.set_default_timeout(15_000)
        window = Window(page)
        page.on("console", window.note)
        page.on("pageerror", lambda error: window.complaints.append(f"exception: {error}"))
        await page.add_init_script(REPORT)
        made.append(window)
        return window

    yield make
    for one in made:
        await one.page.context.close()
    assert [complaint for window in made for complaint in window.complaints] == []
