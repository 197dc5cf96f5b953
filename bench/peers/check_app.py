"""The check that nginx asks: a FastAPI app as one would write it, that verifies the token with joserfc and says who.

Run as `uvicorn bench.peers.check_app:app`, with the issuer's secret in the file that BENCH_SECRET_FILE names.
"""

import os
from pathlib import Path
from typing import Annotated, Final

from fastapi import FastAPI, Header, HTTPException, Response
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from bench.tokens import AUDIENCE, ISSUER

_KEY: Final = OctKey.import_key(Path(os.environ["BENCH_SECRET_FILE"]).read_bytes())
_CLAIMS: Final = jwt.JWTClaimsRegistry(
    iss={"essential": True, "value": ISSUER},
    aud={"essential": True, "value": AUDIENCE},
    exp={"essential": True},
    sub={"essential": True},
)

app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)


@app.get("/check")
async def check(authorization: Annotated[str | None, Header()] = None) -> Response:
    """204 with the subject, else 401 or 403."""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise HTTPException(401)
    try:
        claims = jwt.decode(token, _KEY, algorithms=["HS256"]).claims
        _CLAIMS.validate(claims)
    except (JoseError, ValueError) as error:
        raise HTTPException(403) from error
    return Response(status_code=204, headers={"X-JWT-Subject": claims["sub"]})
