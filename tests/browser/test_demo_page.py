"""The demo's page in real Chromium, in front of the real demo: what a visitor of five minutes sees."""

import re
import time

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.browser.demos import running_demo

pytestmark = [pytest.mark.timeout(180), pytest.mark.asyncio(loop_scope="module")]
TOKEN_SECONDS = 8
SECOND = 1000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def demo(tmp_path_factory):
    async with running_demo(tmp_path_factory.mktemp("demo"), token_seconds=TOKEN_SECONDS) as demo:
        yield demo


@pytest_asyncio.fixture(loop_scope="module")
async def own_demo(tmp_path):
    """Its own, for what would be felt by the next test: a revoked bob stays out for two seconds."""
    async with running_demo(tmp_path / "demo", token_seconds=TOKEN_SECONDS) as demo:
        yield demo


async def test_sign_in_chat_renewal_and_revocation(own_demo, window) -> None:
    demo = own_demo
    alice, bob = await window(), await window()
    await alice.sign_in(demo, "alice")
    await expect(alice.told("ready")).to_have_count(1)
    await bob.sign_in(demo, "bob")
    await expect(bob.told("ready")).to_have_count(1)
    await expect(alice.page.locator("#here")).to_have_text("Here: alice, bob")

    await alice.say("hello bob")
    await expect(bob.heard("hello bob")).to_contain_text("alice")
    await bob.say("hello alice")
    await expect(alice.heard("hello alice")).to_contain_text("bob")
    await expect(alice.page.locator("#expiry")).to_contain_text("expires in")

    # the tokens outlive nothing, and the chat outlives the tokens
    for one in (alice, bob):
        await expect(one.told("asked").first).to_be_visible()
        await expect(one.told("renewed").first).to_be_visible()
        assert await one.told("connected").count() == 1

    begun = time.monotonic()
    code, printed = await demo.doorward("revoke", "--subject", "bob")
    assert code == 0, printed
    took = re.search(r"closed 1 connection on 1 of 1 node in (\d+) ms", printed)
    assert took, printed
    assert int(took[1]) < SECOND
    await expect(bob.told("ended")).to_contain_text("4002 doorward:revoked")
    assert time.monotonic() - begun < 10
    await expect(bob.state).to_have_text("revoked")
    await expect(bob.page.get_by_role("button", name="Sign in")).to_be_visible()
    await expect(bob.page.get_by_role("alert")).to_contain_text("withdrew")

    await expect(alice.page.locator("#here")).to_have_text("Here: alice")
    await alice.say("are you there?")
    await expect(alice.heard("are you there?")).to_be_visible()
    await expect(alice.told("renewed").nth(1)).to_be_visible()
    assert await alice.told("connected").count() == 1
    assert await alice.told("ended").count() == 0

    for wanted in (
        {"kind": "ticket", "outcome": "allowed"},
        {"kind": "handshake", "outcome": "allowed", "credential": "ticket"},
        {"kind": "renewal", "outcome": "allowed"},
    ):
        assert await demo.audited(subject="alice", issuer=demo.issuer, **wanted), wanted
    assert await demo.audited(subject="bob", kind="close", reason="revoked")
    assert not await demo.audited(subject="alice", kind="close")


async def test_a_forged_token_and_a_made_up_ticket_are_refused(demo, window) -> None:
    alice = await window()
    await alice.sign_in(demo, "alice")
    await expect(alice.told("ready")).to_have_count(1)
    await alice.page.get_by_role("button", name="Try a forged token").click()
    await expect(alice.told("note").nth(0)).to_contain_text("POST /auth/ticket → 403")
    await expect(alice.told("note").nth(0)).to_contain_text("refused")
    await expect(alice.told("note").nth(1)).to_contain_text("WebSocket → 1006")
    await expect(alice.state).to_have_text(re.compile("connected|renewing"))
    assert await demo.audited(kind="ticket", outcome="refused", reason="token_signature")
    assert await demo.audited(kind="handshake", outcome="refused", reason="ticket_unknown")
    # Chromium itself says of both that they failed, and of nothing else
    assert [("403" in complaint, "/chat/lobby" in complaint or "/auth/ticket" in complaint) for complaint in
            alice.complaints] == [(True, True), (True, True)], alice.complaints  # fmt: skip
    alice.complaints.clear()


async def test_who_does_not_renew_is_closed_and_may_come_back(demo, window) -> None:
    alice = await window()
    await alice.sign_in(demo, "alice")
    await expect(alice.told("ready")).to_have_count(1)
    await alice.page.get_by_label("stop renewing").check()
    await expect(alice.told("asked")).to_contain_text("switched off")
    await expect(alice.told("ended")).to_contain_text("4001 doorward:expired")
    await expect(alice.state).to_have_text("expired")
    await alice.page.get_by_label("stop renewing").uncheck()
    await alice.page.get_by_role("button", name="Connect again").click()
    await expect(alice.told("ready")).to_have_count(2)
    assert await demo.audited(subject="alice", kind="close", reason="expired")


ONCE = [
    (1013, "doorward:unavailable", "unavailable", True),
    (1012, "doorward:draining; retry_after=1", "draining", True),
    (4429, "doorward:rate_limited; retry_after=1", "rate_limited", True),
    (4401, "doorward:refused", "refused", True),
    (4408, "doorward:lifetime", "lifetime", True),
    (4409, "doorward:replaced", "replaced", False),
    (4403, "doorward:closed_by_operator", "closed_by_operator", False),
    (1009, "doorward:message_too_big", "message_too_big", False),
    # without our prefix it is the backend's own, whatever the number
    (4002, "revoked", "", False),
    (1000, "", "", False),
]


@pytest.mark.parametrize(("code", "reason", "name", "comes_back"), ONCE)
async def test_it_comes_back_only_where_the_ending_says_so(code, reason, name, comes_back, demo, window) -> None:
    alice = await window()
    attempts = []

    async def closed_at_first(socket):
        attempts.append(socket.url)
        if len(attempts) == 1:
            await socket.close(code=code, reason=reason)
        else:
            socket.connect_to_server()

    await alice.page.route_web_socket(re.compile("^ws:"), closed_at_first)
    await alice.sign_in(demo, "alice")
    await expect(alice.told("ended")).to_contain_text(f"Closed: {name}" if name else str(code))
    again = alice.page.get_by_role("button", name="Connect again")
    if comes_back:
        await expect(alice.told("ready")).to_have_count(1)
        # never with the ticket of before
        assert await alice.told("ticket").count() == len(attempts) == 2
        await expect(again).to_be_hidden()
    else:
        await expect(again).to_be_visible()
        assert len(attempts) == 1


async def test_a_wrong_password_opens_nothing(demo, window) -> None:
    bob = await window()
    before = await demo.audited(subject="bob")
    await bob.sign_in(demo, "bob", password="bamo-kiru-tepa-sudi")
    await expect(bob.page.get_by_role("alert")).to_contain_text("no such name and password")
    await expect(bob.page.locator("#chat")).to_be_hidden()
    assert await demo.audited(subject="bob") == before
    assert len(bob.complaints) == 1, bob.complaints
    assert "401" in bob.complaints.pop()


async def test_what_is_said_is_text_and_never_markup(demo, window) -> None:
    alice, bob = await window(), await window()
    await alice.sign_in(demo, "alice")
    await bob.sign_in(demo, "bob")
    await expect(alice.page.locator("#here")).to_have_text("Here: alice, bob")
    markup = '<img src=x onerror="document.title=1"><script>document.title=2</script>'
    await alice.say(markup)
    for one in (alice, bob):
        await expect(one.heard("<img src=x")).to_contain_text(markup)
        assert await one.page.locator("#messages img, #messages script").count() == 0
        assert await one.page.title() == "Doorward demo"


async def test_a_room_that_is_not_bobs_says_so(demo, window) -> None:
    alice, bob = await window(), await window()
    for one, name in ((alice, "alice"), (bob, "bob")):
        await one.sign_in(demo, name)
        await expect(one.told("ready")).to_have_count(1)
        await one.page.get_by_role("button", name="Staff").click()
    await expect(alice.told("ready")).to_have_count(2)
    await expect(bob.told("ended")).to_contain_text("4403 doorward:forbidden")
    await expect(bob.state).to_have_text("forbidden")
    await bob.page.get_by_role("button", name="Kitchen").click()
    await expect(bob.told("ready")).to_have_count(2)


async def test_another_name_for_this_machine_leads_to_the_page(demo, window) -> None:
    alice = await window()
    await alice.page.goto(f"{demo.page}/".replace("127.0.0.1", "localhost"))
    await alice.page.wait_for_url(f"{demo.page}/")
    await alice.again(demo, "alice")
    await expect(alice.told("ready")).to_have_count(1)
