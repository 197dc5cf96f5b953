"""TLS contexts: 1.3, or 1.2 by setting with forward secrecy and AEAD only; verification of a backend is always on.

Nothing is replayed: there is no early data, no session ticket, and no renegotiation (TRN-02, TRN-04). A client cannot
choose what a handshake costs us: keys are agreed over one group (docs/adr/0014).
"""

import ssl
from pathlib import Path
from typing import Final

MINIMUM: Final = {"1.3": ssl.TLSVersion.TLSv1_3, "1.2": ssl.TLSVersion.TLSv1_2}
SUITES_1_2: Final = ":".join(
    f"ECDHE-{signature}-{suite}"
    for suite in ("AES256-GCM-SHA384", "AES128-GCM-SHA256", "CHACHA20-POLY1305")
    for signature in ("ECDSA", "RSA")
)
GROUP: Final = "prime256v1"
"""What TLS 1.3 obliges everyone to have (RFC 8446 section 9.1). Python before 3.15 can name one, or leave all that
OpenSSL has: with ffdhe8192, which any client may insist on, a handshake takes 170 ms of the loop's thread, not 2."""
SERVER_NAME: Final = "doorward_server_name"
"""The attribute of an SSLObject that keeps the name the client asked for (SNI)."""


def server_context(*, certificate: Path, key: Path, minimum: str) -> ssl.SSLContext:
    """For our own listener. `minimum` is "1.3" or "1.2".

    Raises OSError (ssl.SSLError is one) for files that cannot be read or don't belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = MINIMUM[minimum]
    context.set_ciphers(SUITES_1_2)
    context.set_ecdh_curve(GROUP)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION
    context.num_tickets = 0
    context.load_cert_chain(certificate, key, password=_no_password)
    context.sni_callback = _note_name
    return context


def client_context(
    *, authorities: Path | None = None, certificate: Path | None = None, key: Path | None = None
) -> ssl.SSLContext:
    """For wss:// backends. `authorities` None is the system's; `certificate` with `key` is ours to show.

    Raises OSError for files that cannot be read or don't belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(SUITES_1_2)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    if authorities is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        context.load_verify_locations(cafile=authorities)
    if certificate is not None:
        context.load_cert_chain(certificate, key, password=_no_password)
    return context


def _no_password() -> bytes:
    """OpenSSL would ask for one on the terminal, and wait."""
    return b""


def _note_name(connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
    setattr(connection, SERVER_NAME, name)
