"""A tiny token issuer with its own key, standing for whatever login server there is already. It knows no Doorward.

`POST /token` takes {"username","password"} or {"refresh_token"}; `GET /jwks.json` is its public key. Its pages are
nobody's, so CORS names the one origin that may call it.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, assert_never

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from doorward.demo import lifeline
from doorward.demo.accounts import Account, proven, read_accounts
from doorward.demo.mint import Mint, Tokens

LARGEST: Final = 4096
_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


@dataclass(frozen=True, slots=True)
class _SignIn:
    name: str
    password: str


@dataclass(frozen=True, slots=True)
class _Refresh:
    token: str


def application(
    mint: Mint, accounts: Sequence[Account], *, origin: str, host: str, clock: Callable[[], float]
) -> Starlette:
    """The issuer as an ASGI application. `origin` is the page's; `host` the only name it answers to."""

    async def jwks(request: Request) -> JSONResponse:
        return JSONResponse(mint.jwks(), headers={**_HEADERS, "Cache-Control": "max-age=60"})

    async def token(request: Request) -> JSONResponse:
        asked = await _asked(request)
        tokens: Tokens | None
        match asked:
            case _SignIn(name, password):
                account = proven(accounts, name=name, password=password)
                tokens = None if account is None else mint.sign_in(account, now=clock())
            case _Refresh(shown):
                tokens = mint.refresh(shown, now=clock())
            case None:
                return _refused(400, "invalid_request")
            case _:
                assert_never(asked)
        return _refused(401, "invalid_grant") if tokens is None else JSONResponse(_answer(tokens), headers=_HEADERS)

    return Starlette(
        routes=[Route("/jwks.json", jwks, methods=["GET"]), Route("/token", token, methods=["POST"])],
        middleware=[
            # a page of another name that resolves to this address is no page of ours
            Middleware(TrustedHostMiddleware, allowed_hosts=[host], www_redirect=False),
            Middleware(CORSMiddleware, allow_origins=[origin], allow_methods=["POST"], allow_headers=["content-type"]),
        ],
    )


def _refused(status: int, error: str) -> JSONResponse:
    """`error` is a word of RFC 6749 section 5.2."""
    return JSONResponse({"error": error}, status_code=status, headers=_HEADERS)


async def _asked(request: Request) -> _SignIn | _Refresh | None:
    """What the body asks for; None when that can't be read. JSON only, so that no form of another page gets here."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return None
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST:
            return None
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(asked, dict) or not all(isinstance(value, str) for value in asked.values()):
        return None
    match asked:
        case {"username": name, "password": password, **rest} if not rest:
            return _SignIn(name, password)
        case {"refresh_token": shown, **rest} if not rest:
            return _Refresh(shown)
        case _:
            return None


def _answer(tokens: Tokens) -> dict[str, Any]:
    return {
        "access_token": tokens.access,
        "token_type": "Bearer",
        "expires_in": tokens.expires_in,
        "refresh_token": tokens.refresh,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m doorward.demo.issuer", description="The demo's token issuer.")
    parser.add_argument("--host", required=True, help="address to bind")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--issuer", required=True, help="its own name, in iss")
    parser.add_argument("--audience", required=True, help="whom its tokens are for, in aud")
    parser.add_argument("--origin", required=True, help="the page that may call it")
    parser.add_argument("--accounts", type=Path, required=True, help="the file of users")
    parser.add_argument("--seconds", type=int, required=True, help="life of a token")
    parser.add_argument("--keys", type=Path, help="a file to write its public keys to")
    parser.add_argument("--certificate", help="PEM; with --key: TLS")
    parser.add_argument("--key", help="PEM")
    parser.add_argument("--lifeline", action="store_true", help="stop when standard input ends")
    chosen = parser.parse_args(arguments)
    if chosen.lifeline:
        lifeline.hold()
    mint = Mint(issuer=chosen.issuer, audience=chosen.audience, seconds=chosen.seconds)
    if chosen.keys is not None:
        chosen.keys.write_text(json.dumps(mint.jwks()), encoding="utf-8")
    app = application(
        mint,
        read_accounts(chosen.accounts.read_text(encoding="utf-8")),
        origin=chosen.origin,
        host=f"[{chosen.host}]" if ":" in chosen.host else chosen.host,
        clock=time.time,
    )
    config = uvicorn.Config(
        app,
        host=chosen.host,
        port=chosen.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        ws="none",
        lifespan="off",
        ssl_certfile=chosen.certificate,
        ssl_keyfile=chosen.key,
    )
    server = uvicorn.Server(config)
    server.run()
    return 0 if server.started else 3


if __name__ == "__main__":
    sys.exit(main())
