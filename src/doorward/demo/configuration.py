"""The demo's doorward.toml: a real one, written to be read."""

from typing import Final

from doorward.demo.terms import AUDIENCE, Terms

MARK: Final = "# Written anew by `doorward demo` at every start: change a copy of it."

_TEXT: Final = """\
{mark}
# Every key with its default: `doorward config env`. What is wrong with a file: `doorward check`.

[server]
listen = "{listen}"
node = "demo"
drain_timeout = "1s"
outbound_allow = ["127.0.0.0/8", "::1/128"]    # private addresses that we may call: the issuer, for its keys
{tls}
[admin]
listen = "127.0.0.1:{admin_port}"              # /metrics, /healthz, /readyz

[origins]
allow = ["{page}"]        # the page; any other page's handshake gets 403
without_origin = "allow"                    # curl and the like send none; they must show a token or a ticket

[store]
url = "sqlite:///doorward.db"               # revocations, tickets, audit: `doorward revoke` acts through it

[tokens]
key_file = "doorward.key"

[[issuers]]                                 # whose tokens count, besides our own
issuer = "{issuer}"
audience = "{audience}"
algorithms = ["Ed25519"]
{keys}
claims = {{ subject = "sub", roles = "roles", session = "sid" }}

[roles]                                     # what an issuer's role may do here
member = ["chat:join"]
staff = ["staff:join"]

[[routes]]
path = "/chat/{{room}}"
backend = "{backend}/rooms/{{room}}"
permission = "chat:join"
credentials = ["token", "ticket"]
control_messages = "offered"                # doorward.ready, doorward.renew, to clients that offer doorward.v1
lease = {{ grace = "15s" }}                   # asked to renew 15 s before the token expires; not renewed: 4001

[[routes]]
path = "/staff/{{room}}"                      # alice is staff, bob is not
backend = "{backend}/rooms/staff-{{room}}"
permission = "staff:join"
refuse_as = "close"                         # a browser sees no status of a refused socket: this way it sees 4403
lease = {{ grace = "15s" }}

[audit]
file = "audit.jsonl"                        # also in the store: `doorward audit tail`
"""

_TLS: Final = """\
public_url = "{page}"
tls = {{ certificate_file = "tls.pem", key_file = "tls.key" }}       # signed by itself, for this demo
"""


def text(terms: Terms) -> str:
    """The whole file."""
    return _TEXT.format(
        mark=MARK,
        listen=terms.listen,
        tls="" if terms.is_loopback else _TLS.format(page=terms.page_url),
        admin_port=terms.admin_port,
        page=terms.page_url,
        issuer=terms.issuer_url,
        audience=AUDIENCE,
        # the certificate beyond loopback is nobody's but the demo's own, so the keys are read from a file
        keys=f'jwks_url = "{terms.issuer_url}/jwks.json"' if terms.is_loopback else 'jwks_file = "issuer-keys.json"',
        backend=terms.backend_url,
    )
