"""The answers of a vector, for the core: what its stores, keys and backend would say."""

import hashlib
import hmac
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import Any

from doorward.core.judging.tokens import judge_token
from doorward.core.proving import digest
from doorward.core.tokens import parse_token
from doorward.values.admission import BackendAnswer
from doorward.values.ban import Ban
from doorward.values.decision import MISSING, Answer, Deny, Found, Reason, Unavailable
from doorward.values.peer import Wire
from doorward.values.principal import Principal
from doorward.values.question import (
    AskBan,
    AskRevocations,
    BackendFailed,
    FetchSession,
    OpenBackend,
    Register,
    Slot,
    SlotsFull,
    SpendTicket,
    TakePending,
    TakeRate,
    TakeSlot,
    VerifySignature,
)
from doorward.values.revocation import Effect, Revocation, Target, TargetKind
from doorward.values.rules import Rules
from doorward.values.session import Session
from doorward.values.ticket import SpentTicket, Ticket
from doorward.values.token import Signature
from tests.vectors.loading import Vector, instant

QUESTIONS = (
    AskBan, TakePending, TakeRate, VerifySignature, SpendTicket, FetchSession, AskRevocations, TakeSlot, OpenBackend,
    Register,
)  # fmt: skip


def wire_of(vector: Vector) -> Wire:
    told = vector.wired()
    return Wire(
        address=ip_address(told["address"]) if told["address"] else None,
        port=40000,
        tls=told.get("tls", False),
        proxied=ip_address(told["proxied"]) if "proxied" in told else None,
        proxied_tls=told.get("proxied_tls"),
    )


class Canned:
    """Answers for one vector at one instant."""

    def __init__(self, vector: Vector, rules: Rules, *, now: float) -> None:
        self._vector = vector
        self._rules = rules
        self._now = now
        self._told = vector.answers
        self._logs_read = 0

    def answers(self) -> Mapping[type, Any]:
        whole: dict[type, Any] = {
            AskBan: self._ban,
            TakePending: MISSING if self._told.get("pending") == "full" else Found(None),
            TakeRate: lambda question: Found(self._told.get("rates", {}).get(question.name, 0.0)),
            VerifySignature: self._signature,
            SpendTicket: self._ticket,
            FetchSession: self._session,
            AskRevocations: self._revocations,
            TakeSlot: self._slot,
            OpenBackend: self._backend,
            Register: MISSING if self._told.get("registered") == "full" else Found(None),
        }
        gone: dict[type, Any] = {
            kind: Unavailable("as the vector says") for kind in QUESTIONS if kind.__name__ in self._away()
        }
        return {**whole, **gone}

    def _away(self) -> list[str]:
        names: list[str] = self._told.get("unavailable", [])
        assert set(names) <= {kind.__name__ for kind in QUESTIONS}
        return names

    def _ban(self, question: AskBan) -> Answer[object]:
        for told in self._vector.bans:
            network = ip_network(told["address"]) if "address" in told else None
            ban = Ban(network, told.get("subject"), None, None, "vector", self._now, None)
            if question.address is not None and network is not None and question.address in network:
                return Found(ban)
            if question.identity is not None and question.identity.subject == ban.subject:
                return Found(ban)
        return MISSING

    def _signature(self, question: VerifySignature) -> Answer[object]:
        told = self._told.get("signature")
        if told is not None:
            return Unavailable("as the vector says") if told == "unavailable" else Found(Signature(told))
        key = self._vector.base.keys[question.token.issuer].encode()
        good = hmac.digest(key, question.token.signing_input, hashlib.sha256)
        return Found(Signature.GOOD if hmac.compare_digest(good, question.token.signature) else Signature.BAD)

    def _ticket(self, question: SpendTicket) -> Answer[object]:
        for name, told in self._vector.tickets.items():
            if digest(self._vector.code(name)) != question.digest:
                continue
            match told.get("state", "fresh"):
                case "unknown":
                    return MISSING
                case "spent":
                    return Found(SpentTicket("c-before", self._now - 1))
                case _:
                    return Found(self._fresh(told))
        return MISSING

    def _fresh(self, told: dict[str, Any]) -> Ticket:
        return Ticket(
            digest=b"",
            principal=self._principal(self._vector.token(told["parent"], now=self._now)),
            connection=told.get("connection", "c-promised"),
            issued_at=self._now - 5,
            expires_at=instant(told.get("expires", "now+25"), self._now),
            path=told.get("path"),
            origin=told.get("origin"),
        )

    def _principal(self, text: str) -> Principal:
        """Of a token as it was when it bought the ticket."""
        token = parse_token(text)
        assert not isinstance(token, Deny), token
        principal = judge_token(token, self._rules.issuers[token.issuer], self._rules, now=self._now - 5)
        assert isinstance(principal, Principal), principal
        return principal

    def _session(self, question: FetchSession) -> Answer[object]:
        for told in self._vector.base.sessions.values():
            if digest(told["cookie"]) == question.digest:
                ends = self._now if self._told.get("session") == "expired" else instant(told["expires"], self._now)
                claims = {**self._vector.base.claims, **told["claims"]}
                principal = self._principal(self._vector.token(claims["sub"], now=self._now))
                return Found(Session("s-1", principal, digest(told["csrf"]), ends))
        return MISSING

    def _revocations(self, question: AskRevocations) -> Answer[object]:
        self._logs_read += 1
        told = [told for told in self._vector.revocations if not told.get("late") or self._logs_read > 1]
        return Found(tuple(self._revocation(item, number) for number, item in enumerate(told, start=1)))

    def _revocation(self, told: dict[str, Any], sequence: int) -> Revocation:
        at = instant(told.get("instant", "now"), self._now)
        target = Target(TargetKind(told["kind"]), told["value"], issuer=told.get("issuer"), tenant=told.get("tenant"))
        return Revocation(
            target,
            at,
            Effect(told.get("effect", "close")),
            "vector",
            expires_at=at + 86400,
            roles=tuple(told.get("roles", ())),
            sequence=sequence,
        )

    def _slot(self, question: TakeSlot) -> Answer[object]:
        told = self._told.get("slot", "free")
        if told in ("free", "replaced"):
            return Found(Slot(("c-oldest",) if told == "replaced" else ()))
        return Found(SlotsFull(Reason(told)))

    def _backend(self, question: OpenBackend) -> Answer[object]:
        told = self._told.get("backend", {})
        if "fails" in told:
            return Found(BackendFailed(Reason(told["fails"])))
        return Found(BackendAnswer(told.get("protocol")))
