"""An operator's desk before a real gateway: tokens by the command, requests to the admin listener."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

from tests.integration.running import WITHIN, Gateway

WORKERS = 2
RECENT = 16  # requests: by so many each of two workers has most surely been reached


@dataclass
class Desk:
    """`role` tokens are issued once; each request has a connection of its own, so that any worker may get it."""

    gateway: Gateway
    viewer: str = ""
    operator: str = ""

    async def open(self) -> "Desk":
        self.viewer = await issued(self.gateway, "viewer", "watch")
        self.operator = await issued(self.gateway, "operator", "ops")
        return self

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.gateway.admin_port}"

    async def ask(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        body: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx2.Response:
        """As the operator, unless another token is given; "" shows none."""
        shown = self.operator if token is None else token
        sent = {"Authorization": f"Bearer {shown}"} if shown else {}
        async with httpx2.AsyncClient(timeout=WITHIN, trust_env=False) as http:
            return await http.request(method, self.url + path, json=body, headers={**sent, **(headers or {})})

    async def get(self, path: str, **more: Any) -> httpx2.Response:
        return await self.ask("GET", path, **more)

    async def post(self, path: str, body: Mapping[str, object] | None = None, **more: Any) -> httpx2.Response:
        return await self.ask("POST", path, body=body, **more)

    async def revoke(self, kind: str, value: str, **more: object) -> dict[str, Any]:
        answer = await self.post("/api/revocations", {"target": {"kind": kind, "value": value}, **more})
        assert answer.status_code == 201, answer.text
        told: dict[str, Any] = answer.json()
        return told

    async def from_every_worker(self, path: str) -> list[dict[str, Any]]:
        """The same question so often that each worker has answered."""
        answers = await asyncio.gather(*(self.get(path) for _ in range(RECENT)))
        assert {answer.status_code for answer in answers} == {200}
        return [answer.json() for answer in answers]


async def issued(gateway: Gateway, role: str, name: str = "ops", *more: str) -> str:
    code, printed = await gateway.cli("token", "issue", "--admin", role, name, *more)
    assert code == 0, printed
    return printed.splitlines()[0]
