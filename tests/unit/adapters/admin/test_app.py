"""The admin listener serves metrics and health, to who asks it by address or by a name of ours, and nothing else."""

from typing import Any

import pytest

from doorward.adapters.admin import AdminApp
from tests.unit.adapters.web.asking import Answer, FakeReadiness, ask, scope_of


class Site:
    def __init__(self) -> None:
        self.readiness = FakeReadiness()
        self.faults: list[BaseException] = []
        self.breaks: Exception | None = None
        self.app = AdminApp(
            metrics=self.metrics,
            readiness=self.readiness,
            fault=lambda where, error: self.faults.append(error),
            hosts=frozenset({"admin.example"}),
        )

    def metrics(self) -> bytes:
        if self.breaks is not None:
            raise self.breaks
        return b"doorward_connections 1.0\n"

    async def ask(
        self, method: str, path: str, *, hosts: tuple[str, ...] = ("127.0.0.1:8801",), version: str = "1.1"
    ) -> Answer:
        return await ask(self.app, scope_of(method, path, [("host", host) for host in hosts], version=version))


async def test_the_scrape() -> None:
    answer = await Site().ask("GET", "/metrics")
    assert (answer.status, answer.body) == (200, b"doorward_connections 1.0\n")
    assert answer.one("content-type") == "text/plain; version=0.0.4; charset=utf-8"


@pytest.mark.parametrize(
    ("hosts", "status"),
    [
        (("127.0.0.1:8801",), 200),
        (("[::1]:8801",), 200),
        (("10.1.2.3",), 200),
        (("localhost:8801",), 200),
        (("ADMIN.example",), 200),
        (("rebound.evil.example:8801",), 421),
        (("127.0.0.1.evil.example",), 421),
        (("localhost", "localhost"), 421),
        (("localhost?x",), 421),
        (("a@localhost",), 421),
        ((), 421),
    ],
)
async def test_a_name_that_somebody_made_resolve_here_is_not_ours(hosts: tuple[str, ...], status: int) -> None:
    assert (await Site().ask("GET", "/metrics", hosts=hosts)).status == status


async def test_http_1_0_needs_no_host() -> None:
    assert (await Site().ask("GET", "/metrics", hosts=(), version="1.0")).status == 200


@pytest.mark.parametrize("hosts", [("evil.example",), ()])
async def test_health_is_for_any_host(hosts: tuple[str, ...]) -> None:
    site = Site()
    assert (await site.ask("GET", "/healthz", hosts=hosts)).json == {"status": "ok"}
    assert (await site.ask("GET", "/readyz", hosts=hosts, version="1.0")).status == 200
    site.readiness.is_ready = False
    answer = await site.ask("GET", "/readyz", hosts=hosts)
    assert (answer.status, answer.json["reason"], answer.one("retry-after")) == (503, "unavailable", "5")
    assert (await site.ask("GET", "/healthz", hosts=hosts)).status == 200


@pytest.mark.parametrize(
    "path", ["/", "/api/connections", "/metrics/", "/METRICS", "/metrics/../x", "/openapi.json", "/auth/ticket", "//"]
)
async def test_lg_17_nothing_else_is_there(path: str) -> None:
    answer = await Site().ask("GET", path)
    assert (answer.status, answer.json["reason"]) == (404, "not_found")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_it_is_read_only(method: str) -> None:
    answer = await Site().ask(method, "/metrics")
    assert (answer.status, answer.one("allow")) == (405, "GET, HEAD")


async def test_every_answer_carries_the_headers() -> None:
    site = Site()
    answers = [
        await site.ask(*call) for call in (("GET", "/metrics"), ("GET", "/healthz"), ("GET", "/"), ("PUT", "/readyz"))
    ]
    site.breaks = KeyError("hunter2")
    answers.append(await site.ask("GET", "/metrics"))
    for answer in answers:
        assert answer.one("x-content-type-options") == "nosniff"
        assert answer.one("cache-control") == "no-store"
        assert answer.one("referrer-policy") == "no-referrer"
        assert answer.one("content-security-policy") == "default-src 'none'; frame-ancestors 'none'"
        assert answer.one("access-control-allow-origin") is None


async def test_a_fault_of_ours_is_500_without_a_word_and_told_to_us() -> None:
    site = Site()
    site.breaks = KeyError("hunter2")
    answer = await site.ask("GET", "/metrics")
    assert (answer.status, b"hunter2" in answer.body) == (500, False)
    assert site.faults == [site.breaks]


async def test_a_socket_is_closed_before_it_is_accepted() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message["type"])

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    await Site().app({"type": "websocket", "path": "/metrics"}, receive, send)
    assert sent == ["websocket.close"]
