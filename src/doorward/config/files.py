"""Files that the configuration names, looked at before anything starts. A secret leaves here as Secret, or as a fault.

What a fault says is never taken from the file's content.
"""

import stat
from pathlib import Path
from typing import Final

from doorward.adapters.crypto.algorithms import ALGORITHMS
from doorward.adapters.crypto.key_sets import KeysError, read_key_set
from doorward.adapters.crypto.master import KeyFileError, load_key_file
from doorward.adapters.crypto.shared_secrets import weakness as weakness_of
from doorward.config.problem import Fault, Key, warning
from doorward.values.secret import Secret

LARGEST: Final = 1 << 20
NOT_THERE: Final = "names a file that is not there"
KEEP_PRIVATE: Final = "chmod 600 it; in Kubernetes: defaultMode: 0400"
_RELATIVE: Final = "a relative name starts at the folder of the configuration"
MAKE_ONE: Final = "make one: openssl rand -base64 48"
MAKE_KEY: Final = "`doorward init` writes one, and leaves a configuration that is there"


def readable(path: Path, key: Key, *, private: bool = False) -> Fault | None:
    """None when the file can be read, and, where it is `private`, not by others: the group may read it, since that is
    how secrets are mounted into containers. The name of a private file is not repeated: the secret itself may stand
    where its file's name belongs."""
    where = _RELATIVE if private else f"looked for {path}"
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            return Fault(key, "is not a file")
        with path.open("rb"):
            pass
    except FileNotFoundError:
        return Fault(key, NOT_THERE, where)
    except (OSError, ValueError):
        return Fault(key, "names a file that this user can't read", where)
    if private and found.st_mode & (stat.S_IRWXO | stat.S_IWGRP):
        return Fault(key, "names a file that others can read or change", KEEP_PRIVATE)
    return None


def content(path: Path, key: Key, *, private: bool = False) -> bytes | Fault:
    """All of a file of at most 1 MiB."""
    fault = readable(path, key, private=private)
    if fault is not None:
        return fault
    try:
        with path.open("rb") as file:
            found = file.read(LARGEST + 1)
    except OSError:
        return Fault(key, "names a file that this user can't read")
    return found if len(found) <= LARGEST else Fault(key, "names a file of more than 1 MiB")


def secret_file(path: Path, key: Key) -> Secret | Fault:
    """One secret as text; a line end at the end, which every editor adds, does not count."""
    found = content(path, key, private=True)
    if isinstance(found, Fault):
        return found
    try:
        text = found.decode()
    except UnicodeDecodeError:
        return Fault(key, "names a file that is not text", "a secret is UTF-8 text; " + MAKE_ONE)
    text = text.removesuffix("\n").removesuffix("\r")
    return Secret(text) if text.strip() else Fault(key, "names an empty file")


def weakness(secret: Secret, key: Key, *, algorithm: str = "HS256") -> Fault | None:
    """Why this shared secret may not sign anything (JWT-06, AUT-15): short, known, patterned, or another key."""
    text = weakness_of(secret.expose().encode(), least=ALGORITHMS[algorithm].secret or 32)
    return Fault(key, text, MAKE_ONE) if text else None


def master_key(path: Path, key: Key) -> Fault | None:
    """None when the file holds what `doorward init` writes: one line, base64url of 32 random bytes."""
    fault = readable(path, key, private=True)
    if fault is not None:
        return Fault(key, fault.text, f"{fault.hint}; {MAKE_KEY}") if fault.text == NOT_THERE else fault
    try:
        load_key_file(path)
    except KeyFileError as error:
        return Fault(key, f"does not hold a master key: {error}")
    return None


def jwks(path: Path, key: Key, *, algorithms: tuple[str, ...]) -> list[Fault]:
    """What is wrong with a JWKS file: nothing, keys that will be skipped (warnings), or that none is usable."""
    found = content(path, key)
    if isinstance(found, Fault):
        return [found]
    skipped: list[str] = []
    try:
        read_key_set(found, algorithms=frozenset(algorithms), report=skipped.append)
    except KeysError as error:
        return [Fault(key, f"holds no keys to verify with: {error}", "; ".join(skipped))]
    return [warning(key, text) for text in skipped]
