"""SIGHUP: the whole file or nothing; at once for who comes, at the next renewal for who is there; nobody is dropped."""

import asyncio
import copy
import signal
import ssl

import pytest
import pytest_asyncio

from tests.integration.gateway.certificates import Authority
from tests.integration.running import OTHER_ISSUER, Client, running
from tests.unit.adapters.audit.following import follow

pytestmark = pytest.mark.asyncio(loop_scope="module")

APP = "https://app.test"
NEW = "https://new.test"
ROUTES = [{"path": "/chat"}, {"path": "/other"}]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared(tmp_path_factory):
    async with running(tmp_path_factory.mktemp("reload"), routes=ROUTES, server={"workers": 2}) as gateway:
        yield gateway


@pytest_asyncio.fixture(loop_scope="module")
async def gateway(shared):
    """Its settings are as at first, before each test and after the last."""
    settings = copy.deepcopy(shared.settings)
    yield shared
    shared.settings = settings
    await reload(shared)


async def reload(gateway, outcome: str = "done") -> str:
    """Write the settings, and have them read."""
    gateway.write()
    return await hang_up(gateway, outcome)


async def hang_up(gateway, outcome: str) -> str:
    """Tell the parent, wait until every worker has said what it made of the file. Returns what was noted."""
    printed = len(gateway.printed)
    before = gateway.events(kind="reloaded")
    gateway.tell(signal.SIGHUP)
    told = await gateway.audited(kind="reloaded", count=len(before) + gateway.workers)
    assert {event["outcome"] for event in told if event not in before} == {outcome}, gateway.printed[printed:]
    return gateway.printed[printed:]


def route(gateway, path: str) -> dict:
    return next(route for route in gateway.settings["routes"] if route["path"] == path)


async def every_time(gateway, status: int, path: str = "/chat", **shown) -> bool:
    """The status of eight handshakes: enough to meet both workers."""
    headers = shown.pop("headers", None)
    statuses = [
        await gateway.status(path, token=gateway.token("anybody"), origin=(headers or {}).get("origin"), **shown)
        for _ in range(8)
    ]
    return statuses == [status] * 8


async def test_origins_count_at_once_and_who_is_inside_stays(gateway) -> None:
    inside = await gateway.connect(token=gateway.token("ann"), origin=APP)
    assert await every_time(gateway, 403, headers={"origin": NEW})
    gateway.settings["origins"]["allow"] = [NEW]
    await reload(gateway)
    assert await every_time(gateway, 101, headers={"origin": NEW})
    assert await every_time(gateway, 403, headers={"origin": APP})
    assert await inside.echoes()
    await inside.close()


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("[server\n", "doorward.toml"),
        ('[server]\nlisten = "127.0.0.1:1"\nlistne = "x"\n', "listne"),
        ("", "server.listen"),
    ],
    ids=["not-toml", "unknown-key", "empty"],
)
async def test_a_broken_file_changes_nothing_and_is_told(broken, said, gateway) -> None:
    inside = await gateway.connect(token=gateway.token("bob"))
    gateway.config.write_text(broken)
    printed = await hang_up(gateway, "failed")
    assert said in printed
    assert "not reloaded" in printed
    assert "the old configuration goes on" in printed
    assert said in gateway.events(kind="reloaded")[-1]["detail"]
    assert await every_time(gateway, 101)
    assert await inside.echoes()
    await inside.close()


async def test_one_fault_among_good_changes_keeps_all_of_them_out(gateway) -> None:
    gateway.settings["origins"]["allow"] = [NEW]
    route(gateway, "/chat")["permission"] = "not:for:you"
    gateway.settings["issuers"][0]["algorithms"] = []
    await reload(gateway, "failed")
    assert await every_time(gateway, 101, headers={"origin": APP})
    assert await every_time(gateway, 403, headers={"origin": NEW})


async def test_what_needs_a_restart_is_named(gateway) -> None:
    gateway.settings["server"]["workers"] = 3
    gateway.settings["origins"]["allow"] = [NEW]
    gateway.write()
    gateway.settings["server"]["workers"] = 2
    printed = await hang_up(gateway, "failed")
    assert "server.workers needs a restart" in printed
    assert await every_time(gateway, 403, headers={"origin": NEW})


async def test_routes_come_and_go(gateway) -> None:
    inside, _ = await gateway.enter("cyd", "/other")
    gateway.settings["routes"] = [route(gateway, "/chat"), {**route(gateway, "/other"), "path": "/third"}]
    await reload(gateway)
    assert await every_time(gateway, 404, "/other")
    assert await every_time(gateway, 101, "/third")
    assert await inside.echoes(), "until its next renewal"
    await inside.auth(gateway.token("cyd"))
    assert (await inside.hear("refused"))["reason"] == "not_found"
    await inside.close()


async def test_who_is_there_meets_the_new_rules_at_the_next_renewal(gateway) -> None:
    permitted, _ = await gateway.enter("dan", scope="chat:join")
    unfit, _ = await gateway.enter("eve")
    gateway.settings["routes"] = [
        {
            **route(gateway, "/chat"),
            "permission": "chat:join",
            "lease": {"idle": "3s"},
            "limits": {"messages": "1/min burst 2", "message_size": "1KiB", "refusals_before_close": 1},
        }
    ]
    await reload(gateway)
    for client in (permitted, unfit):
        for _ in range(5):
            assert await client.echoes("x" * 2000), "not before"
    await unfit.auth(gateway.token("eve"))
    assert (await unfit.hear("refused"))["reason"] == "forbidden"
    await permitted.auth(gateway.token("dan", scope="chat:join"))
    await permitted.hear("ready")
    assert await permitted.echoes("one")
    assert await permitted.echoes("two")
    await permitted.send("too fast")
    assert (await permitted.hear("refused"))["reason"] == "rate_limited"
    assert await permitted.closed() == (4408, "doorward:idle")
    bulky, _ = await gateway.enter("dan", scope="chat:join")
    await bulky.send("x" * 1025)
    assert (await bulky.closed())[0] == 1009
    await unfit.close()


async def test_an_issuer_that_is_gone_lets_nobody_in_and_renews_nobody(gateway) -> None:
    inside, _ = await gateway.enter("fay", issuer=OTHER_ISSUER)
    gateway.settings["issuers"] = gateway.settings["issuers"][:1]
    await reload(gateway)
    assert await gateway.status(token=gateway.token("fay", issuer=OTHER_ISSUER)) == 403
    assert await inside.echoes()
    await inside.auth(gateway.token("fay", issuer=OTHER_ISSUER))
    await inside.hear("refused")
    await inside.close()


async def test_bans_count_at_once_and_at_the_next_renewal(gateway) -> None:
    inside, _ = await gateway.enter("gil")
    code, printed = await gateway.cli("ban", "add", "--subject", "gil")
    assert code == 0, printed
    assert await gateway.status(token=gateway.token("gil")) == 403
    assert await inside.echoes()
    await inside.auth(gateway.token("gil"))
    assert (await inside.hear("refused"))["reason"] == "forbidden"
    await inside.close()


async def test_reloads_under_traffic_drop_nothing(gateway) -> None:
    clients = [await gateway.connect(token=gateway.token(f"busy{number}")) for number in range(6)]
    over = asyncio.Event()
    counts = []

    async def talk(client: Client) -> None:
        count = 0
        while not over.is_set():
            assert await client.echoes(f"message {count}")
            count += 1
        counts.append(count)

    async def come_and_go() -> None:
        while not over.is_set():
            assert await gateway.status(token=gateway.token("coming")) == 101
            counts.append(1)

    tasks = [asyncio.create_task(talk(client)) for client in clients] + [asyncio.create_task(come_and_go())]
    for turn in range(6):
        gateway.settings["origins"]["allow"] = [APP, f"https://turn{turn}.test"]
        gateway.write()
        gateway.tell(signal.SIGHUP)  # twice at once: one after the other, and none is lost
        await hang_up(gateway, "done")
    over.set()
    await asyncio.gather(*tasks)
    assert len(counts) > 6
    assert await every_time(gateway, 101, headers={"origin": "https://turn5.test"})
    for client in clients:
        await client.close()


async def test_the_audit_goes_on_in_a_new_file_after_a_rotation(tmp_path) -> None:
    async with running(tmp_path) as gateway:
        assert await gateway.status(token=gateway.token("before")) == 101
        await gateway.audited(kind="close", subject="before")
        old = gateway.audit_file().rename(tmp_path / "audit.1")
        await hang_up(gateway, "done")
        assert await gateway.status(token=gateway.token("after")) == 101
        await gateway.audited(kind="close", subject="after")
        assert gateway.events(subject="before") == []
        await gateway.stop()
    first, second = follow(old.read_bytes()), follow(gateway.audit_file().read_bytes())
    assert (first.faults, second.faults) == ([], [])
    assert second.stretches[0]["previous"] == first.link


async def test_certificates_are_exchanged_whole(tmp_path) -> None:
    authority = Authority(tmp_path)
    first, second = (authority.issue("127.0.0.1", "localhost", stem=stem) for stem in ("first", "second"))
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"

    def install(pair_certificate, pair_key) -> None:
        certificate.write_bytes(pair_certificate.certificate.read_bytes())
        key.write_bytes(pair_key.key.read_bytes())
        key.chmod(0o600)

    install(first, first)
    context = ssl.create_default_context(cafile=authority.file)
    tls = {"certificate_file": str(certificate), "key_file": str(key)}
    async with running(tmp_path / "tls", tls=context, server={"tls": tls}) as gateway:
        token = gateway.token("ann")

        async def serial() -> tuple[Client, int]:
            client = await gateway.connect(token=token)
            seen = client.socket.transport.get_extra_info("ssl_object").getpeercert()["serialNumber"]
            return client, int(seen, 16)

        old, before = await serial()
        install(second, first)
        await hang_up(gateway, "failed")
        assert (await serial())[1] == before, "a key that is not the certificate's: nothing has changed"
        install(second, second)
        await hang_up(gateway, "done")
        new, after = await serial()
        assert after != before
        assert await old.echoes()
        assert await new.echoes()
        assert new.socket.transport.get_extra_info("ssl_object").version() == "TLSv1.3"
