"""One secret in one file, from which every other key of ours comes: sealed by it, or derived from it.

Whoever reads the store without that file has no key; whoever has the file alone has no store. PRODUCT section 4
(`tokens.key_file`), RFC 5869 (HKDF), NIST SP 800-38D (GCM).
"""

import os
import stat
from enum import StrEnum, unique
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from doorward.core.tokens import decode_segment, encode_segment
from doorward.ports import Entropy

SECRET_SIZE: Final = 32
MAX_FILE: Final = 1024
MIN_DISTINCT: Final = 12
NONCE_SIZE: Final = 12
_FORM: Final = b"\x01"


class KeyFileError(Exception):
    """The master secret can't be had or made, or does not fit the store's keys. The text never shows it."""


@unique
class Purpose(StrEnum):
    """What a derived key is for. A new purpose is a new word: no key has two."""

    WRAP = "wrap"
    BUS = "bus"
    ASSERTION = "assertion"
    AUDIT = "audit"


class MasterSecret:
    """At least 32 random bytes, never shown."""

    __slots__ = ("_seal", "_secret")

    def __init__(self, secret: bytes) -> None:
        """Raises KeyFileError for a secret that is short, or plainly not random."""
        if len(secret) < SECRET_SIZE or len(set(secret)) < MIN_DISTINCT:
            raise KeyFileError(
                f"the master secret is not {SECRET_SIZE} random bytes or more: `doorward init` makes one"
            )
        self._secret = secret
        self._seal = AESGCM(self.derive(Purpose.WRAP))

    def derive(self, purpose: Purpose, *, detail: str = "", size: int = 32) -> bytes:
        """The key for one purpose, always the same for the same secret (HKDF-SHA256). Where a purpose needs several,
        `detail` tells them apart: of two sizes alone, one would begin with the other."""
        info = f"doorward/1/{purpose}/{detail}".encode()
        return HKDF(algorithm=SHA256(), length=size, salt=b"doorward", info=info).derive(self._secret)

    def wrap(self, private: bytes, *, key_id: str, algorithm: str, entropy: Entropy) -> bytes:
        """Seal a private key for the store (AES-256-GCM). It opens only under the same id and algorithm."""
        nonce = entropy.bytes(NONCE_SIZE)
        return _FORM + nonce + self._seal.encrypt(nonce, private, _bound(key_id, algorithm))

    def unwrap(self, wrapped: bytes, *, key_id: str, algorithm: str) -> bytes:
        """Raises KeyFileError when it was sealed by another secret, for another id, or was changed."""
        nonce, sealed = wrapped[1 : 1 + NONCE_SIZE], wrapped[1 + NONCE_SIZE :]
        try:
            if wrapped[:1] != _FORM:
                raise ValueError("unknown form")
            return self._seal.decrypt(nonce, sealed, _bound(key_id, algorithm))
        except (InvalidTag, ValueError):
            raise KeyFileError(
                f"signing key {key_id} in the store does not open with this key file: was the store made with another?"
            ) from None

    def __repr__(self) -> str:
        return "<MasterSecret ***>"


def create_key_file(path: Path, *, entropy: Entropy) -> None:
    """Write a new master secret, readable by its owner only. Raises KeyFileError; never overwrites one."""
    text = encode_segment(entropy.bytes(SECRET_SIZE)) + "\n"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            os.fchmod(descriptor, 0o600)
            file.write(text)
            file.flush()
            os.fsync(descriptor)
    except FileExistsError:
        raise KeyFileError(f"{path} exists and is not overwritten: the keys in the store open only with it") from None
    except OSError as fault:
        raise KeyFileError(f"{path} can't be written: {fault.strerror}") from fault


def load_key_file(path: Path) -> MasterSecret:
    """Read the master secret. Raises KeyFileError, also where others on this machine may read or the group may write
    it. The group may read: that is how secrets are mounted into containers."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(MAX_FILE + 1)
    except OSError as fault:
        raise KeyFileError(f"{path} can't be read: {fault.strerror}. `doorward init` makes one") from fault
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise KeyFileError(f"{path} is open to others (mode {stat.S_IMODE(mode):04o}): run `chmod 600 {path}`")
    secret = decode_segment(content.decode("ascii", "replace").strip()) if len(content) <= MAX_FILE else None
    if secret is None:
        raise KeyFileError(f"{path} does not hold one line of base64url")
    return MasterSecret(secret)


def _bound(key_id: str, algorithm: str) -> bytes:
    return f"doorward/1/{algorithm}/{key_id}".encode()
