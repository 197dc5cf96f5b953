"""A page of a foreign origin in real Chromium: it gets no socket, and sees nothing but 1006 (OR-14)."""

import asyncio

import pytest

from tests.browser.demos import running_demo

pytestmark = [pytest.mark.timeout(180), pytest.mark.asyncio(loop_scope="module")]

OPEN = """([url, protocols]) => new Promise(done => {
  const seen = []
  const socket = new WebSocket(url, protocols)
  socket.onopen = () => seen.push('open')
  socket.onmessage = () => seen.push('message')
  socket.onerror = () => seen.push('error')
  socket.onclose = end => done([...seen, end.code, end.reason])
})"""


async def _page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Somebody else's site."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 4\r\nConnection: close\r\n\r\nevil")
    await writer.drain()
    writer.close()


async def test_or14_a_page_of_another_origin_gets_no_socket(tmp_path, browser) -> None:
    foreign = await asyncio.start_server(_page, "127.0.0.1", 0)
    async with running_demo(tmp_path / "demo", token_seconds=60) as demo, foreign:
        url = f"{demo.socket}/chat/lobby"
        port = foreign.sockets[0].getsockname()[1]
        page = await browser.new_page()
        for site in (f"http://127.0.0.1:{port}/", f"http://localhost:{port}/", "data:text/html,evil"):
            await page.goto(site)
            for protocols in ([], ["doorward.v1"], ["doorward.token.eyJhbGciOiJub25lIn0", "doorward.plain"]):
                assert await page.evaluate(OPEN, [url, protocols]) == ["error", 1006, ""], (site, protocols)
        await page.close()
        events = await demo.audited(kind="handshake", path="/chat/lobby")
        # of a page without an origin Chromium may not even ask
        assert {event["reason"] for event in events} <= {"origin_unlisted", "origin_null"}
        assert len(events) >= 6
