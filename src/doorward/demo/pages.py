"""The demo's page: files of this package, read once, under a policy that names what the page may load and call.

Nothing inline, nothing from elsewhere. Only `doorward demo` hands these to the gateway.
"""

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final

from doorward.adapters.web.pages import Page
from doorward.core.endings import ENDINGS
from doorward.demo.terms import Terms
from doorward.demo.words import WHY

FOLDER: Final = "/demo/"
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def pages(terms: Terms) -> Mapping[str, Page]:
    """Path -> page: `/`, its files under /demo/, and the settings that it reads."""
    csp = policy(terms)
    found = {}
    for file in files("doorward.demo").joinpath("page").iterdir():
        name = file.name
        media_type = _TYPES.get(name[name.rfind(".") :])
        if media_type is not None:
            path = "/" if name == "index.html" else f"{FOLDER}{name}"
            found[path] = Page(body=file.read_bytes(), media_type=media_type, csp=csp)
    body = json.dumps(settings(terms)).encode()
    found[f"{FOLDER}settings.json"] = Page(body=body, media_type="application/json", csp=csp)
    return found


def policy(terms: Terms) -> str:
    """CSP Level 3. `'self'` in connect-src is this origin's http; its ws is named beside it."""
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            f"connect-src 'self' {terms.issuer_url} {terms.socket_url}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        )
    )


def settings(terms: Terms) -> dict[str, Any]:
    """What the page needs to know: where everything is, and what each ending means."""
    endings = {
        ending.name: {"close": ending.close, "retry": ending.retry.value, "why": WHY[ending.name]}
        for ending in ENDINGS.values()
    }
    return {
        "page": terms.page_url,
        "socket": terms.socket_url,
        "issuer": terms.issuer_url,
        "token_seconds": terms.token_seconds,
        "endings": endings,
    }
