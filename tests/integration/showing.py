"""What a page shows and a terminal can't: a page in a real browser, and a real nginx in front of the gateway."""

import asyncio
import os
import shutil
import ssl
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from playwright.async_api import Page, async_playwright
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.browser.chromium import CHROMIUM, FLAGS
from tests.integration.blocks import Block
from tests.integration.following import WITHIN, Stranger, UnfollowableError, kill
from tests.integration.gateway.certificates import Authority

BLANK = b"<!doctype html><title>An application</title>"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(BLANK)

NGINX = """\
{user}
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/doorward.conf;
}}
"""


async def renewal(who: Stranger, block: Block) -> None:
    """The page's script enters by a ticket, renews when asked, and hears of its end."""
    bought: list[str] = []

    async def fresh_token() -> str:
        await who.type("doorward token issue alice")
        bought.append(who.output.strip())
        return bought[-1]

    async with _application(who.ports[5173]) as address, _browser() as page:
        await page.expose_function("freshToken", fresh_token)
        await page.goto(address)
        await page.add_script_tag(content=who.here(block.text))
        await page.evaluate(
            "async () => { window.heard = []; window.ended = null;"
            " window.socket = await enter(data => heard.push(data), (...end) => { ended = end; }); }"
        )
        await _heard(page, "hello, alice")
        await who.type("doorward revoke --subject alice --effect renew")
        await who.type("doorward audit query --kind renewal --subject alice --since 1m")
        while " allowed " not in who.output:
            await who.type("doorward audit query --kind renewal --subject alice --since 1m")
        assert len(bought) == 2
        await page.evaluate("socket.send('still here')")
        await _heard(page, "alice said still here")
        await who.type("doorward revoke --subject alice")
        await page.wait_for_function("ended !== null")
        assert await page.evaluate("ended") == [4002, "doorward:revoked"]
        assert await page.evaluate("heard") == ["hello, alice", "alice said still here"]


async def _heard(page: Page, text: str) -> None:
    await page.wait_for_function("text => heard.includes(text)", arg=text)


@asynccontextmanager
async def _browser() -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = await browser.new_page()
        page.set_default_timeout(WITHIN * 1000)
        yield page
        await browser.close()


@asynccontextmanager
async def _application(port: int) -> AsyncIterator[str]:
    """Somebody's page, on an origin of its own."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = (
            f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(BLANK)}\r\nConnection: close\r\n\r\n"
        )
        writer.write(head.encode() + BLANK)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "localhost", port):
        yield f"http://localhost:{port}"


async def nginx(who: Stranger, block: Block) -> None:
    """The page's configuration is accepted by nginx, and carries sockets, refusals and tickets."""
    name = block.note.partition(": ")[2]
    folder = who.folder.parent / "nginx"
    folder.mkdir()
    authority = Authority(folder)
    pair = authority.issue(name)
    text = who.here(block.text).replace(f"listen {who.ports[443]} ", f"listen 127.0.0.1:{who.ports[443]} ")
    for ours, theirs in ((pair.certificate, f"/etc/ssl/{name}.pem"), (pair.key, f"/etc/ssl/{name}.key")):
        if theirs not in text:
            raise UnfollowableError(f"{block.where}: names no {theirs}")
        text = text.replace(theirs, str(ours))
    (folder / "doorward.conf").write_text(text, encoding="utf-8")
    main = folder / "nginx.conf"
    main.write_text(NGINX.format(folder=folder, user="user root;" if os.geteuid() == 0 else ""), encoding="utf-8")
    await who.restart("gateway", "doorward run", until="gateway on")
    async with _nginx(folder, main, who.ports[443]):
        await _through(who, name, authority.file)


@asynccontextmanager
async def _nginx(folder: Path, main: Path, port: int) -> AsyncIterator[None]:
    binary = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    assert binary is not None, "nginx is not installed: `make test` installs it"
    command = (binary, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(main))
    tried = await asyncio.create_subprocess_exec(*command, "-t", stdout=PIPE, stderr=STDOUT)
    said, _ = await asyncio.wait_for(tried.communicate(), WITHIN)
    assert tried.returncode == 0, said.decode()
    process = await asyncio.create_subprocess_exec(*command, start_new_session=True)
    try:
        async with asyncio.timeout(WITHIN):
            await _listens(port)
        yield
    finally:
        kill(process)
        await process.wait()


async def _listens(port: int) -> None:
    """Until a connection is taken: nginx tells nobody when it is up."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return


async def _through(who: Stranger, name: str, authority: Path) -> None:
    trust = ssl.create_default_context(cafile=authority)
    where = {"host": "127.0.0.1", "port": who.ports[443], "ssl": trust, "proxy": None}
    await who.type("doorward token issue alice")
    token = who.output.strip()
    shown = {"Authorization": f"Bearer {token}", "X-Forwarded-For": "203.0.113.9", "X-Doorward-Subject": "root"}
    async with connect(f"wss://{name}/", additional_headers=shown, **where) as socket:  # type: ignore[arg-type]
        assert await socket.recv() == "hello, alice"
        await who.type("doorward revoke --subject alice")
        await socket.wait_closed()
        assert (socket.close_code, socket.close_reason) == (4002, "doorward:revoked")
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"wss://{name}/", additional_headers=shown, **where)  # type: ignore[arg-type]
    assert refused.value.response.status_code == 403

    await who.type("doorward token issue bob")
    async with httpx2.AsyncClient(verify=trust, trust_env=False) as client:
        answer = await client.post(
            f"https://127.0.0.1:{who.ports[443]}/auth/ticket",
            headers={
                "Host": name,
                "Authorization": f"Bearer {who.output.strip()}",
                "Origin": "https://app.example.com",
            },
            extensions={"sni_hostname": name},
            json={},
        )
    assert answer.status_code == 201, answer.text
    ticket = answer.json()["ticket"]
    offers = ["doorward.v1", f"doorward.ticket.{ticket}"]
    async with connect(f"wss://{name}/", subprotocols=offers, origin="https://app.example.com", **where) as socket:  # type: ignore[arg-type]
        assert str(await socket.recv()).startswith('{"type":"doorward.ready"')
