"""The issuer's two calls: what they take, and whom they let ask."""

import json

import httpx2
import pytest

from doorward.demo.accounts import Account
from doorward.demo.issuer import LARGEST, application
from doorward.demo.mint import Mint

ALICE = Account("alice", "right", ("member",))
PAGE = "http://127.0.0.1:8800"
HERE = "http://127.0.0.1:8803"


@pytest.fixture
async def client():
    mint = Mint(issuer=HERE, audience="demo", seconds=60)
    app = application(mint, (ALICE,), origin=PAGE, host="127.0.0.1", clock=lambda: 1_790_000_000.0)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=HERE) as client:
        yield client


async def ask(client, body, **headers):
    return await client.post("/token", json=body, headers=headers)


async def test_a_name_and_its_password_buy_tokens(client) -> None:
    answer = await ask(client, {"username": "alice", "password": "right"})
    assert answer.status_code == 200
    assert answer.json().keys() == {"access_token", "token_type", "expires_in", "refresh_token"}
    assert answer.headers["cache-control"] == "no-store"


async def test_a_refresh_token_buys_the_next_ones(client) -> None:
    first = (await ask(client, {"username": "alice", "password": "right"})).json()
    second = await ask(client, {"refresh_token": first["refresh_token"]})
    assert second.status_code == 200
    assert second.json()["access_token"] != first["access_token"]
    assert (await ask(client, {"refresh_token": first["refresh_token"]})).status_code == 401


async def test_unknown_and_wrong_look_alike(client) -> None:
    wrong = await ask(client, {"username": "alice", "password": "wrong"})
    unknown = await ask(client, {"username": "mallory", "password": "right"})
    assert (wrong.status_code, wrong.content) == (unknown.status_code, unknown.content)
    assert wrong.status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 3000,
        b'{"username":"alice"}',
        b'{"username":"alice","password":1}',
        b'{"username":"alice","password":"right","more":"x"}',
        b'{"refresh_token":"x","username":"alice"}',
        json.dumps({"refresh_token": "x" * LARGEST}).encode(),
    ],
)
async def test_anything_else_is_a_bad_request(client, body) -> None:
    answer = await client.post("/token", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json() == {"error": "invalid_request"}


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_only_json_is_taken_so_that_no_form_gets_here(client, media_type) -> None:
    body = b'{"username":"alice","password":"right"}'
    assert (await client.post("/token", content=body, headers={"content-type": media_type})).status_code == 400


async def test_cors_names_the_page_and_nobody_else(client) -> None:
    body = {"username": "alice", "password": "right"}
    assert (await ask(client, body, origin=PAGE)).headers["access-control-allow-origin"] == PAGE
    assert "access-control-allow-origin" not in (await ask(client, body, origin="https://evil.example")).headers


@pytest.mark.parametrize(("origin", "status"), [(PAGE, 200), ("https://evil.example", 400), ("null", 400)])
async def test_a_preflight_from_elsewhere_is_refused(client, origin, status) -> None:
    asked = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type",
    }
    assert (await client.options("/token", headers=asked)).status_code == status


async def test_another_name_for_this_machine_is_refused(client) -> None:
    answer = await ask(client, {"username": "alice", "password": "right"}, host="evil.example:8803")
    assert answer.status_code == 400


async def test_the_keys_are_public(client) -> None:
    (key,) = (await client.get("/jwks.json")).json()["keys"]
    assert key["alg"] == "Ed25519"


async def test_there_is_nothing_else(client) -> None:
    assert (await client.get("/")).status_code == 404
    assert (await client.get("/token")).status_code == 405
