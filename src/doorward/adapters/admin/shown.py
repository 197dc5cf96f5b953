"""Values of the service as the API shows them: member by member, so that nothing gets out that was not meant to."""

from doorward.adapters.admin import models
from doorward.ports import PresentConnection
from doorward.service.administer import Done, place_of
from doorward.service.overview import Overview, WorkerSeen
from doorward.values.ban import Ban
from doorward.values.principal import Identity
from doorward.values.revocation import Acknowledgement, Revocation


def connection(row: PresentConnection) -> models.Connection:
    # the row is our own: checking each member of a thousand anew would hold up the loop
    return models.Connection.model_construct(
        connection=row.connection,
        node=row.node,
        worker=row.worker,
        issuer=row.issuer,
        subject=row.subject,
        tenant=row.tenant,
        session=row.session,
        address=row.address,
        route=row.route,
        opened_at=row.opened_at,
        expires_at=row.expires_at,
    )


def place(row: PresentConnection) -> str:
    opened, id = place_of(row)
    return f"{opened}.{id}"


def revocation(one: Revocation) -> models.Revocation:
    target = one.target
    return models.Revocation.model_construct(
        id=one.id,
        sequence=one.sequence or None,
        durable=one.sequence > 0,
        target=models.Target.model_construct(
            kind=target.kind.value, value=target.value, issuer=target.issuer, tenant=target.tenant
        ),
        effect=one.effect.value,
        roles=list(one.roles),
        cause=one.cause,
        by=one.by,
        instant=one.instant,
        expires_at=one.expires_at,
    )


def identities(names: tuple[str, ...]) -> list[models.Identity]:
    return [
        models.Identity(issuer=one.issuer, subject=one.subject, tenant=one.tenant)
        for one in map(Identity.of_text, names)
    ]


def acknowledgement(one: Acknowledgement) -> models.Acknowledgement:
    return models.Acknowledgement(
        node=one.node,
        worker=one.worker,
        closed=one.closed,
        asked=one.asked,
        at=one.at,
        took=one.took,
        identities=identities(one.identities),
    )


def outcome(done: Done) -> models.Outcome:
    result = done.result
    return models.Outcome(
        revocation=revocation(done.revocation),
        durable=result.durable,
        closed=result.closed,
        asked=result.asked,
        nodes=result.nodes,
        silent=list(result.silent),
        unheard=[models.Unheard(node=one.node, seconds=one.seconds) for one in result.unheard],
        took=result.took,
        identities=identities(result.identities),
    )


def ban(one: Ban) -> models.Ban:
    return models.Ban(
        id=one.id,
        address=one.address,
        subject=one.subject,
        issuer=one.issuer,
        tenant=one.tenant,
        cause=one.cause,
        by=one.by,
        made_at=one.made_at,
        expires_at=one.expires_at,
    )


def _worker(seen: WorkerSeen) -> models.Worker:
    present = seen.present
    return models.Worker(
        worker=present.worker,
        version=present.version,
        pid=present.pid,
        started_at=present.started_at,
        beat_at=present.beat_at,
        stale=seen.stale,
        cursor=present.cursor,
        behind=seen.behind,
        ready=present.ready and not seen.stale,
        clock_ahead=present.ahead,
        connections=present.connections,
    )


def overview(one: Overview, *, version: str) -> models.Overview:
    by_node: dict[str, list[WorkerSeen]] = {}
    for seen in one.workers:
        by_node.setdefault(seen.present.node, []).append(seen)
    nodes = [
        models.Node(
            node=name,
            stale=any(seen.stale for seen in workers),
            connections=sum(seen.present.connections for seen in workers),
            workers=[_worker(seen) for seen in workers],
        )
        for name, workers in by_node.items()
    ]
    counted = one.counted
    return models.Overview(
        at=one.at,
        connections=sum(one.routes.values()),
        routes=dict(one.routes),
        newest=one.newest,
        nodes=nodes,
        stale=[node.node for node in nodes if node.stale],
        here=models.Here(
            node=one.node,
            version=version,
            ready=one.ready,
            clock_ahead=one.ahead,
            counters=models.Counters(
                allowed=counted.allowed,
                refused=dict(counted.refused),
                closes=dict(counted.closes),
                renewals=dict(counted.renewals),
            ),
        ),
    )
