"""Numbered files bring a database's schema up to date, each once and in order. None changes once it was applied."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files

from doorward.ports import StoreError


@dataclass(frozen=True, slots=True)
class Migration:
    """`checksum` is SHA-256 of the text, in hexadecimal."""

    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return sha256(self.text.encode()).hexdigest()


def migrations_in(package: str) -> Sequence[Migration]:
    """All that this version has there, in order."""
    found = [
        Migration(number=int(entry.name[:4]), name=entry.name, text=entry.read_text(encoding="utf-8"))
        for entry in files(package).iterdir()
        if entry.name.endswith(".sql")
    ]
    return sorted(found, key=lambda migration: migration.number)


def missing(applied: Mapping[int, str], migrations: Sequence[Migration], *, of: str) -> list[Migration]:
    """What must still be applied; `applied` are checksums by number, and `of` says what they were applied to.

    Raises StoreError when that is newer than this version, or was made by other migrations than these.
    """
    newest = migrations[-1].number
    if applied and max(applied) > newest:
        raise StoreError(
            f"{of} has schema {max(applied)}, and this version of Doorward knows {newest}: run a newer one"
        )
    for migration in migrations:
        if applied.get(migration.number, migration.checksum) != migration.checksum:
            raise StoreError(f"{of} was made by another {migration.name} than this version's")
    return [migration for migration in migrations if migration.number not in applied]
