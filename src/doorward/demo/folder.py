"""Everything that the demo keeps lies in one folder, readable by its owner only, and one demo at a time uses it.

Kept over starts: the accounts, the master secret, the store, the audit log. Written anew: doorward.toml and the rest.
"""

import fcntl
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from doorward.adapters.crypto.master import KeyFileError, create_key_file
from doorward.adapters.system import SystemEntropy
from doorward.demo import configuration
from doorward.demo.accounts import Account, AccountsError, new_accounts, read_accounts, write_accounts
from doorward.demo.certificate import self_signed
from doorward.demo.terms import Terms

NAME: Final = Path(".doorward-demo")


class FolderError(Exception):
    """The folder can't be used. The text says why."""


@dataclass(frozen=True, slots=True)
class Folder:
    """Use as a context manager: the lock is held inside."""

    path: Path
    _lock: int

    @classmethod
    def open(cls, path: Path) -> Self:
        """Make the folder if need be, and lock it. Raises FolderError."""
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise FolderError(f"{path} can't be used: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            another = '--folder names another (make demo DEMO="--folder ELSEWHERE")'
            raise FolderError(f"{path} is in use by another demo; {another}") from None
        return cls(path, lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._lock)

    @property
    def config(self) -> Path:
        return self.path / "doorward.toml"

    @property
    def accounts(self) -> Path:
        return self.path / "accounts.json"

    @property
    def issuer_keys(self) -> Path:
        return self.path / "issuer-keys.json"

    @property
    def certificate(self) -> Path:
        return self.path / "tls.pem"

    @property
    def certificate_key(self) -> Path:
        return self.path / "tls.key"

    @property
    def handshake(self) -> Path:
        """For curl's -K: a WebSocket handshake of which only the status is printed."""
        return self.path / "handshake"

    @property
    def forged(self) -> Path:
        """For curl's -H: an Authorization header with a token that somebody else signed."""
        return self.path / "forged"

    def prepare(self, terms: Terms) -> tuple[Account, ...]:
        """Write what the parts will read. Raises FolderError, and never overwrites a file that is not the demo's."""
        with suppress(FileNotFoundError):
            if not self.config.read_text(encoding="utf-8", errors="replace").startswith(configuration.MARK):
                raise FolderError(f"{self.config} is not the demo's: name another folder")
        try:
            accounts = self._accounts()
            if not (self.path / "doorward.key").exists():
                create_key_file(self.path / "doorward.key", entropy=SystemEntropy())
            if not terms.is_loopback:
                made = self_signed(terms.bind)
                self.write(self.certificate_key, made.key)
                self.write(self.certificate, made.certificate)
            self.write(self.handshake, _handshake(terms))
            self.write(self.config, configuration.text(terms))
        except OSError as error:
            raise FolderError(f"{self.path} can't be written: {error.strerror}") from error
        except KeyFileError as error:
            raise FolderError(str(error)) from error
        return accounts

    def _accounts(self) -> tuple[Account, ...]:
        if not self.accounts.exists():
            accounts = new_accounts()
            self.write(self.accounts, write_accounts(accounts))
            return accounts
        try:
            return read_accounts(self.accounts.read_text(encoding="utf-8", errors="replace"))
        except AccountsError as error:
            raise FolderError(f"{self.accounts} {error}") from error

    def write(self, path: Path, text: str) -> None:
        """All of it, or what was there before; for the owner only. Raises OSError."""
        beside = path.with_name(f".{path.name}.new")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        beside.replace(path)


def _handshake(terms: Terms) -> str:
    """A curl configuration. The key may be constant: it proves nothing (RFC 6455 section 10.8)."""
    headers = (
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: ZG9vcndhcmQtZGVtby0xNg==",
    )
    lines = [
        f"url = {json.dumps(f'{terms.page_url}/chat/lobby')}",
        "http1.1",
        "silent",
        "insecure" if not terms.is_loopback else "",
        "max-time = 3",
        'output = "/dev/null"',
        'write-out = "%{http_code}\\n"',
        *(f"header = {json.dumps(header)}" for header in headers),
    ]
    return "\n".join(line for line in lines if line) + "\n"
