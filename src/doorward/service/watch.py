"""The watch over one worker's live connections: what every Live shares, renewals, and the batched word to presence."""

import asyncio
from collections.abc import Callable

from doorward.core import leases
from doorward.core.auditing import connection_event
from doorward.core.endings import ENDINGS, counts_as_refusal
from doorward.core.peering import is_in
from doorward.core.proving import Steps
from doorward.core.renewing import Renewal, renew
from doorward.ports import Clock, Entropy, PresentConnection, Store, StoreError
from doorward.service.asking import Answers, drive
from doorward.service.connections import Connections
from doorward.service.errands import Errands
from doorward.service.events import Events
from doorward.service.live import Live
from doorward.service.noting import Loss
from doorward.service.patience import UNJUDGED, patient
from doorward.service.within import Within, answered
from doorward.values.audit import EventKind, Outcome, Trail
from doorward.values.credential import Credential
from doorward.values.decision import Deny, Reason, Step
from doorward.values.peer import Peer, network_of
from doorward.values.revocation import Effect, Revocation, Target, TargetKind
from doorward.values.rules import Rules

REPLACED = "replaced"
REPLACEMENT_COUNTS = 60.0
RELEASE_AT_ONCE = 256
RENEWAL_WITHIN = 10.0  # seconds to judge one, whatever its stores do
REPLACE_AGAIN_AFTER = (0.5, 2.0, 8.0)


class Watch:
    """`rules` is swapped whole by a reload. `note` gets lines for our own log. `log_is_away`: the revocation log does
    not answer, or too slowly for a handshake to ask it. `entering`: connections in the table that may still be refused.
    """

    def __init__(
        self,
        *,
        rules: Rules,
        clock: Clock,
        store: Store,
        answers: Answers,
        connections: Connections,
        events: Events,
        entropy: Entropy,
        node: str,
        worker: int,
        note: Callable[[str], None],
    ) -> None:
        self.rules = rules
        self.clock = clock
        self.connections = connections
        self.events = events
        self.note = note
        self._entropy = entropy
        self.errands = Errands(events.fault)
        self._store = store
        self._answers = answers
        self._node = node
        self._worker = worker
        self.entering: set[str] = set()
        self._opened: dict[str, PresentConnection] = {}
        self._anew: dict[str, PresentConnection] = {}  # the store may have a row of theirs already
        self._closed: list[str] = []
        self._unlisted = Loss(
            self.note,
            without="the list of connections is not kept up",
            again="the list of connections is kept up again",
        )
        self._releasing: list[str] = []
        self._counts_refusals = True
        self.log_is_away = False
        self.renewal_within = RENEWAL_WITHIN

    # the table's comings and goings

    def opened(self, live: Live) -> None:
        """A handshake was allowed."""
        self._opened[live.connection] = self._row(live)

    def renumber(self, worker: int) -> None:
        """Presence keeps this worker by another number from now on: what is open goes there with it."""
        if worker == self._worker:
            return
        self._worker = worker
        for live in self.connections:
            if live.connection in self._opened:
                self._opened[live.connection] = self._row(live)
            elif live.connection not in self.entering:
                self._anew[live.connection] = self._row(live)

    def _row(self, live: Live) -> PresentConnection:
        admission, identity = live.admission, live.principal.identity
        return PresentConnection(
            connection=live.connection,
            node=self._node,
            worker=self._worker,
            issuer=identity.issuer,
            subject=identity.subject,
            tenant=identity.tenant,
            session=live.principal.session,
            address=admission.peer.shown,
            route=admission.route.name,
            opened_at=live.opened_at,
            expires_at=live.principal.expires_at,
        )

    def replace(self, connections: tuple[str, ...]) -> None:
        """Their slots were given away: they end, here or on the worker that holds them."""
        for connection in connections:
            held = self.connections.get(connection)
            if held is not None:
                held.replace()
            else:
                self.errands.run("replace", self._replace_elsewhere(connection))

    async def _replace_elsewhere(self, connection: str) -> None:
        now = self.clock.now()
        target = Target(kind=TargetKind.CONNECTION, value=connection)
        replacement = Revocation(
            target=target,
            instant=now,
            effect=Effect.CLOSE,
            cause=REPLACED,
            expires_at=now + REPLACEMENT_COUNTS,
            id=f"{REPLACED}-{connection}",  # a connection is replaced once
        )
        for wait in (*REPLACE_AGAIN_AFTER, None):
            try:
                await answered(self._store.revocations.append(replacement))
            except StoreError as error:
                if wait is None:
                    self.note(f"connection {connection} could not be replaced: {error}")
                else:
                    await asyncio.sleep(wait)
            else:
                return

    def finished(self, live: Live) -> None:
        """A connection is closed: its slot and its presence end."""
        self._anew.pop(live.connection, None)
        if self._opened.pop(live.connection, None) is None:
            self._closed.append(live.connection)
        self.release(live.connection)

    def release(self, connection: str) -> None:
        """Give a slot back soon. Thousands may close in one pass, so one errand serves all that wait."""
        self._releasing.append(connection)
        if len(self._releasing) == 1:
            self.errands.run("release", self._release())

    async def _release(self) -> None:
        await asyncio.sleep(0)
        while self._releasing:
            waiting, self._releasing = self._releasing[:RELEASE_AT_ONCE], self._releasing[RELEASE_AT_ONCE:]
            try:
                await answered(self._store.slots.release(*waiting))
            except StoreError as error:  # the store frees them at its next beat
                self.note(f"{len(waiting)} slots could not be released yet: {error}")

    async def report_presence(self) -> None:
        """Hand the store what opened and closed since last time. What fails is kept for the next time."""
        opened, closed = self._anew | self._opened, self._closed
        if not opened and not closed:
            return
        self._anew, self._opened, self._closed = {}, {}, []
        try:
            await answered(self._store.presence.note(opened=tuple(opened.values()), closed=closed))
        except StoreError as error:
            self._unlisted.begin(error, now=self.clock.now())
            alive = {name: row for name, row in opened.items() if self.connections.get(name) is not None}
            self._anew = alive | self._anew
            self._closed = closed + self._closed
        else:
            self._unlisted.end(now=self.clock.now())

    # refusals

    def charge(self, peer: Peer, deny: Deny) -> None:
        """Charge the strict rate for refusals (step 4). A trusted proxy is never charged for a client that could not
        be named."""
        if not counts_as_refusal(deny.reason) or peer.is_unknown:
            return
        if peer.address is None or not is_in(peer.address, self.rules.trusted_proxies):
            self.errands.begin("charge", self._take_refusal(network_of(peer.address)))

    async def _take_refusal(self, key: str) -> None:
        try:
            await answered(
                self._store.rates.take(
                    name="refusals_per_address",
                    key=key,
                    rate=self.rules.limits.refusals_per_address,
                    cost=1,
                    now=self.clock.now(),
                )
            )
        except StoreError as error:  # nobody is let in then either (RAT-05), and a flood is no reason for one of notes
            if self._counts_refusals:
                self.note(f"refusals can't be counted: {error}")
            self._counts_refusals = False
        else:
            self._counts_refusals = True

    # renewals

    def renew(self, live: Live, credential: Credential, id: str | None) -> None:
        """Over the socket: judged in the background, and reported to the connection."""
        self.errands.run("renew", self._renew_over_socket(live, credential, id))

    async def _renew_over_socket(self, live: Live, credential: Credential, id: str | None) -> None:
        judged = await self._judge_renewal(live, credential)
        if isinstance(judged, Deny):
            self._bear_with(live, judged)
            live.renewal_refused(judged, id, over_socket=True)
        elif not live.renewed(judged, over_socket=True):
            live.renewal_refused(Deny(Reason.RENEWAL_REFUSED, Step.PROVE), id, over_socket=True)

    async def renew_outside(self, connection: str, credential: Credential) -> Live | Deny:
        """By POST /auth/renew. An unknown connection is answered as a wrong credential would be (no oracle)."""
        live = self.connections.get(connection)
        if live is None or not live.admission.renewable:
            return Deny(Reason.CONNECTION_UNKNOWN, Step.PROVE)
        judged = await self._judge_renewal(live, credential)
        if isinstance(judged, Deny):
            if judged.reason is not Reason.IDENTITY_CHANGED:
                self._bear_with(live, judged)
                return judged
            # somebody else's credential at our HTTP endpoint must not be able to end this connection
            return Deny(Reason.CONNECTION_UNKNOWN, Step.PROVE)
        return live if live.renewed(judged, over_socket=False) else Deny(Reason.CONNECTION_UNKNOWN, Step.PROVE)

    def _bear_with(self, live: Live, deny: Deny) -> None:
        """Nobody ends because we can't judge his renewal, and nobody outlives what he has proven."""
        if deny.reason in UNJUDGED:
            live.lease = leases.postponed(
                live.lease, live.route.lease, expires_at=live.principal.expires_at, now=self.clock.now()
            )
            live.watched()

    async def _judge_renewal(self, live: Live, credential: Credential) -> Renewal | Deny:
        trail = Trail(connection=live.connection)
        try:
            steps: Steps[Renewal | Deny] = renew(
                credential,
                live.admission,
                self.rules,
                held=live.principal,
                opened_at=live.opened_at,
                trail=trail,
                now=self.clock.now(),
            )
            with Within(self.renewal_within):
                judged = await drive(steps, self._answers.by_type, self.clock)
            if isinstance(judged, Deny):
                judged = patient(judged, self._entropy)
        except TimeoutError:
            judged = patient(Deny(Reason.ADMISSION_TIMEOUT, Step.PROVE), self._entropy)
        except Exception as error:  # noqa: BLE001 - a bug of ours: audited, and a refusal
            self.events.fault("renewal", error)
            judged = Deny(Reason.INTERNAL, Step.PROVE)
        refused = judged if isinstance(judged, Deny) else None
        self.events.emit(
            connection_event(
                EventKind.RENEWAL,
                Outcome.ALLOWED if refused is None else Outcome.REFUSED,
                live.admission,
                live.principal,
                place=credential.place.value,
                reason=refused.reason.value if refused is not None else "",
                ending=ENDINGS[refused.reason].name if refused is not None else "",
            )
        )
        return judged
