"""What nodes tell each other through Redis, signed: who can write there can neither make a revocation nor an answer.

JSON under HMAC-SHA256 (RFC 2104) by a key that derives from the master secret. The signature says what kind of place
the text is for, so that none passes for another. Nothing here is ever unpickled (CVE-2025-61765).
"""

import hmac
import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from doorward.values.revocation import Acknowledgement, Effect, Revocation, Target, TargetKind

VERSION: Final = 1
MOST: Final = 64 * 1024
"""Bytes of a notice. What is longer is neither written nor looked at."""
_SIGNED: Final = 32
_FEED: Final = b"doorward/feed/1\0"
_ANSWER: Final = b"doorward/acknowledgement/1\0"


class NoticeError(ValueError):
    """It is not ours, or says nothing that this version understands. The text is one of a few fixed ones."""


@dataclass(frozen=True, slots=True)
class BansChanged:
    """The bans have this version now."""

    version: int


Notice = Revocation | BansChanged


class Notices:
    """Writes and reads them. `key`: 32 bytes or more."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, notice: Notice) -> bytes:
        """Raises NoticeError for one that is too long."""
        if isinstance(notice, BansChanged):
            fields: dict[str, Any] = {"v": VERSION, "kind": "bans", "version": notice.version}
        else:
            fields = {"v": VERSION, "kind": "revocation", **_revocation_fields(notice)}
        return self._signed(fields, _FEED)

    def read(self, text: bytes) -> Notice:
        """Raises NoticeError."""
        fields = self._opened(text, _FEED)
        try:
            if fields["kind"] == "bans":
                return BansChanged(int(fields["version"]))
            if fields["kind"] == "revocation":
                return _revocation(fields)
        except (KeyError, TypeError, ValueError):
            raise NoticeError("malformed") from None
        raise NoticeError("of an unknown kind")

    def of_answer(self, answer: Acknowledgement) -> bytes:
        """Raises NoticeError for one that is too long."""
        names = ("revocation", "sequence", "node", "worker", "closed", "asked", "at", "took", "identities")
        return self._signed({"v": VERSION, **{name: getattr(answer, name) for name in names}}, _ANSWER)

    def read_answer(self, text: bytes) -> Acknowledgement:
        """Raises NoticeError."""
        fields = self._opened(text, _ANSWER)
        try:
            return Acknowledgement(
                revocation=str(fields["revocation"]),
                sequence=int(fields["sequence"]),
                node=str(fields["node"]),
                worker=int(fields["worker"]),
                closed=int(fields["closed"]),
                asked=int(fields["asked"]),
                at=float(fields["at"]),
                took=float(fields["took"]),
                identities=tuple(map(str, fields["identities"])),
            )
        except (KeyError, TypeError, ValueError):
            raise NoticeError("malformed") from None

    def _signed(self, fields: dict[str, Any], place: bytes) -> bytes:
        body = json.dumps(fields, separators=(",", ":")).encode()
        if len(body) + _SIGNED > MOST:
            raise NoticeError("too long")
        return hmac.digest(self._key, place + body, sha256) + body

    def _opened(self, text: bytes, place: bytes) -> dict[str, Any]:
        if len(text) > MOST:
            raise NoticeError("too long")
        signature, body = text[:_SIGNED], text[_SIGNED:]
        if not body:
            raise NoticeError("unsigned")
        if not hmac.compare_digest(signature, hmac.digest(self._key, place + body, sha256)):
            raise NoticeError("forged")
        try:
            fields = json.loads(body)
        except (ValueError, RecursionError):
            raise NoticeError("malformed") from None
        if not isinstance(fields, dict):
            raise NoticeError("malformed")
        if fields.get("v") != VERSION:
            raise NoticeError("of another version")
        return fields


def _revocation_fields(revocation: Revocation) -> dict[str, Any]:
    target = revocation.target
    return {
        "id": revocation.id,
        "sequence": revocation.sequence,
        "target": [target.kind, target.value, target.issuer, target.tenant],
        "instant": revocation.instant,
        "effect": revocation.effect,
        "cause": revocation.cause,
        "expires_at": revocation.expires_at,
        "by": revocation.by,
        "roles": revocation.roles,
    }


def _revocation(fields: dict[str, Any]) -> Revocation:
    kind, value, issuer, tenant = fields["target"]
    found = Revocation(
        target=Target(
            kind=TargetKind(kind),
            value=str(value),
            issuer=None if issuer is None else str(issuer),
            tenant=None if tenant is None else str(tenant),
        ),
        instant=float(fields["instant"]),
        effect=Effect(fields["effect"]),
        cause=str(fields["cause"]),
        expires_at=float(fields["expires_at"]),
        by=str(fields["by"]),
        roles=tuple(map(str, fields["roles"])),
        sequence=int(fields["sequence"]),
        id=str(fields["id"]),
    )
    if not found.id or found.sequence < 0:
        raise ValueError("a revocation without an id or with a negative place")
    return found
