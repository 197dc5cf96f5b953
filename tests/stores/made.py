"""Values to put into a store, each with fields that a test may change."""

import os
from dataclasses import replace
from hashlib import sha256
from ipaddress import ip_network
from itertools import count
from typing import Any

from doorward.ports import PresentConnection, PresentNode, StoredKey
from doorward.values.audit import AuditEvent, EventKind, Outcome
from doorward.values.ban import Ban
from doorward.values.credential import Kind
from doorward.values.principal import Identity, Principal
from doorward.values.question import TakeSlot
from doorward.values.revocation import Acknowledgement, Effect, Revocation, Target, TargetKind
from doorward.values.rules import WhenFull
from doorward.values.ticket import Ticket
from tests.stores.clock import NOW

_ids = count(1)


def principal(subject: str = "alice", **fields: Any) -> Principal:
    whole = Principal(
        identity=Identity("https://issuer.example", subject, "acme"),
        kind=Kind.TOKEN,
        issued_at=NOW - 1.25,
        expires_at=NOW + 600.5,
        session="s1",
        token_id="t1",
        roles=("member", "moderator"),
        granted=("chat:send",),
        permissions=frozenset({"chat:send", "chat:*"}),
        claims={"org": "acme", "levels": [1, 2.5, None], "nested": {"ü": True}},
    )
    return replace(whole, **fields)


def digest(code: object) -> bytes:
    return sha256(str(code).encode()).digest()


def ticket(code: object, owner: Principal | None = None, **fields: Any) -> Ticket:
    whole = Ticket(
        digest=digest(code),
        principal=owner or principal(),
        connection=f"connection-of-{code}",
        issued_at=NOW,
        expires_at=NOW + 30,
        path="/chat/lobby",
        origin="https://app.example.com",
    )
    return replace(whole, **fields)


def slot(connection: str, subject: str = "alice", **fields: Any) -> TakeSlot:
    whole = TakeSlot(
        connection=connection,
        identity=Identity("https://issuer.example", subject, "acme"),
        address="192.0.2.1",
        per_identity=2,
        per_address=3,
        when_full=WhenFull.REFUSE,
    )
    return replace(whole, **fields)


def revocation(subject: str = "alice", **fields: Any) -> Revocation:
    whole = Revocation(
        target=Target(TargetKind.IDENTITY, subject, issuer="https://issuer.example", tenant=None),
        instant=NOW + 0.125,
        effect=Effect.CLOSE,
        cause="left the company",
        expires_at=NOW + 3600,
        by="operator",
        id=f"revocation-{next(_ids)}-of-{os.getpid()}",
    )
    return replace(whole, **fields)


def acknowledgement(revocation: str, worker: int = 0, **fields: Any) -> Acknowledgement:
    whole = Acknowledgement(
        revocation=revocation,
        sequence=1,
        node="gw-1",
        worker=worker,
        closed=3,
        asked=1,
        at=NOW,
        took=0.0125,
        identities=("alice",),
    )
    return replace(whole, **fields)


def ban(**fields: Any) -> Ban:
    whole = Ban(
        network=ip_network("198.51.100.0/24"),
        subject=None,
        issuer=None,
        tenant=None,
        cause="floods",
        made_at=NOW,
        expires_at=NOW + 60,
        by="operator",
    )
    return replace(whole, **fields)


def node(worker: int = 0, **fields: Any) -> PresentNode:
    whole = PresentNode(
        node="gw-1", worker=worker, pid=100 + worker, started_at=NOW - 50, beat_at=NOW, cursor=7, connections=2
    )
    return replace(whole, **fields)


def present(connection: str, worker: int = 0, **fields: Any) -> PresentConnection:
    whole = PresentConnection(
        connection=connection,
        node="gw-1",
        worker=worker,
        issuer="https://issuer.example",
        subject="alice",
        tenant="acme",
        session="s1",
        address="192.0.2.1",
        route="/chat/{room}",
        opened_at=NOW,
        expires_at=None,
    )
    return replace(whole, **fields)


def key(key_id: str, algorithm: str = "Ed25519", **fields: Any) -> StoredKey:
    whole = StoredKey(
        key_id=key_id,
        algorithm=algorithm,
        public_jwk='{"kty":"OKP"}',
        wrapped=b"\x00sealed\xff",
        active_from=NOW,
    )
    return replace(whole, **fields)


def event(**fields: Any) -> AuditEvent:
    return replace(AuditEvent(kind=EventKind.HANDSHAKE, outcome=Outcome.REFUSED, at=NOW), **fields)
