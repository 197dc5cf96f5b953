"""A certificate and its key: they belong together, are strong enough (TRN-03), and are in their time.

A password-protected key is refused: the SSL library would ask for the password on the terminal, and wait.
"""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from doorward.config.problem import Fault, Key, warning

LEAST_RSA_BITS: Final = 2048
GOOD_RSA_BITS: Final = 3072
LEAST_CURVE_BITS: Final = 256
SOON: Final = timedelta(days=14)


def pair_faults(certificate: Path, private_key: Path, table: Key) -> Iterator[Fault]:
    """What is wrong with a pair of PEM files; nothing when one can't be read, since that is said already."""
    where = (*table, "certificate_file")
    needs: tuple[Key, ...] = ((*table, "key_file"),)
    leaf = read_certificate(certificate)
    if leaf is None:
        if certificate.is_file():
            yield Fault(where, "is not a certificate in PEM", "-----BEGIN CERTIFICATE-----, our own first")
        return
    if private_key.is_file():
        fault = _mismatch(certificate, private_key)
        if fault:
            yield Fault((*table, "key_file"), fault, needs=(where,))
    yield from _strength(leaf, where, needs)


def read_certificate(path: Path) -> x509.Certificate | None:
    """The first certificate of a PEM file, or None."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        return None


def _mismatch(certificate: Path, private_key: Path) -> str:
    asked: list[bool] = []

    def no_password() -> bytes:
        asked.append(True)
        return b""

    # Only the pair is tried; what the gateway itself serves with is its own, stricter context.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, private_key, password=no_password)
    except (OSError, ValueError) as error:
        if asked:
            return "is protected by a password, which nobody is there to type"
        reason = error.reason if isinstance(error, ssl.SSLError) else ""
        if reason == "EE_KEY_TOO_SMALL":
            return ""  # its strength is said below, with the bits
        if reason == "KEY_VALUES_MISMATCH":
            return "does not belong to the certificate"
        return "is not a private key in PEM that fits the certificate"
    return ""


def _strength(leaf: x509.Certificate, key: Key, needs: tuple[Key, ...]) -> Iterator[Fault]:
    public = leaf.public_key()
    if isinstance(public, RSAPublicKey):
        if public.key_size < LEAST_RSA_BITS:
            hint = f"at least {LEAST_RSA_BITS}, better {GOOD_RSA_BITS} bits, or P-256"
            yield Fault(key, f"has an RSA key of {public.key_size} bits", hint, needs=needs)
        elif public.key_size < GOOD_RSA_BITS:
            yield warning(key, f"has an RSA key of {public.key_size} bits", f"{GOOD_RSA_BITS} or P-256 lasts longer")
    elif isinstance(public, EllipticCurvePublicKey):
        if public.key_size < LEAST_CURVE_BITS:
            yield Fault(key, f"has a key on a curve of {public.key_size} bits", "P-256 or Ed25519", needs=needs)
    elif not isinstance(public, Ed25519PublicKey | Ed448PublicKey):
        yield Fault(key, "has a key of a kind that TLS clients do not take", "P-256, Ed25519, or RSA", needs=needs)


def validity_faults(certificate: Path, key: Key, *, now: float) -> Iterator[Fault]:
    """For the going-live audit: expired, not yet valid, or about to expire."""
    leaf = read_certificate(certificate)
    if leaf is None:
        return
    today = datetime.fromtimestamp(now, UTC)
    if leaf.not_valid_after_utc <= today:
        yield Fault(key, "has expired", "renew it")
    elif leaf.not_valid_before_utc > today:
        yield Fault(key, "is not valid yet", "is this machine's clock right?")
    elif leaf.not_valid_after_utc - today < SOON:
        yield warning(key, f"expires on {leaf.not_valid_after_utc:%Y-%m-%d}", "is its renewal automatic?")
