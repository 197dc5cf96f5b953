"""A renewal from outside finds the worker that holds the connection, and says no more than that worker would."""

import json

from doorward.service.outside import Outside, Renewed
from doorward.values.decision import Deny, Reason
from tests.unit.service.world import World, credential, handshake, token


class Told:
    """Neighbours that answer what they are told to; None is silence. `asked` is what reached them."""

    def __init__(self, *answers: bytes | None) -> None:
        self.answers = answers
        self.asked: list[bytes] = []

    async def ask(self, question: bytes):
        self.asked.append(question)
        for answer in self.answers:
            yield answer


class Beside:
    """Neighbours that are other workers' Outside."""

    def __init__(self, *others: Outside) -> None:
        self.others = others

    async def ask(self, question: bytes):
        for other in self.others:
            yield await other.answer(question)


UNKNOWN = b'{"reason":"connection_unknown","retry_after":null}'


def reason(judged: object) -> Reason:
    assert isinstance(judged, Deny), judged
    return judged.reason


async def test_what_is_here_is_renewed_here_and_nobody_is_asked() -> None:
    world, neighbours = World(), Told()
    live, _ = await world.inside(handshake(bearer=token(), protocols="doorward.v1"))
    fresh = token(exp=int(world.clock.now()) + 900)
    renewed = await Outside(world.watch, neighbours).renew(live.connection, credential(fresh))
    assert renewed == Renewed(int(world.clock.now()) + 900, live.lease.renew_at)
    assert neighbours.asked == []


async def test_what_is_elsewhere_is_judged_and_renewed_there() -> None:
    here, there, elsewhere = World(), World(), World()
    live, _ = await there.inside(handshake(bearer=token(), protocols="doorward.v1"))
    outside = Outside(here.watch, Beside(Outside(elsewhere.watch, None), Outside(there.watch, None)))
    fresh = token(exp=int(there.clock.now()) + 900)
    renewed = await outside.renew(live.connection, credential(fresh))
    assert renewed == Renewed(int(there.clock.now()) + 900, live.lease.renew_at)
    assert live.principal.expires_at == int(there.clock.now()) + 900
    assert reason(await outside.renew(live.connection, credential(token(sub="bob")))) is Reason.CONNECTION_UNKNOWN
    assert reason(await outside.renew("nobody", credential(fresh))) is Reason.CONNECTION_UNKNOWN
    expired = token(exp=int(there.clock.now()) - 1)
    assert reason(await outside.renew(live.connection, credential(expired))) is Reason.TOKEN_EXPIRED


async def test_of_a_connection_and_a_wrong_identity_a_neighbour_says_the_same() -> None:
    world = World()
    live, _ = await world.inside(handshake(bearer=token(), protocols="doorward.v1"))
    outside = Outside(world.watch, None)
    questions = [
        json.dumps({"connection": connection, "kind": "token", "secret": token(sub="bob")}).encode()
        for connection in (live.connection, "nobody")
    ]
    assert [await outside.answer(question) for question in questions] == [UNKNOWN, UNKNOWN]


async def test_silence_is_not_no() -> None:
    world = World()

    async def judged(*answers: bytes | None) -> Reason:
        return reason(await Outside(world.watch, Told(*answers)).renew("c", credential(token())))

    assert await judged() is Reason.CONNECTION_UNKNOWN
    assert await judged(UNKNOWN, UNKNOWN) is Reason.CONNECTION_UNKNOWN
    assert await judged(UNKNOWN, None) is Reason.STORE_UNAVAILABLE
    for nonsense in (b"", b"{}", b"[]", b"7", b'{"reason":"of another version"}', b'{"reason":"token_expired"}'):
        assert await judged(nonsense, UNKNOWN) is Reason.STORE_UNAVAILABLE


async def test_an_answer_that_is_one_ends_the_asking() -> None:
    world = World()
    neighbours = Told(None, b'{"expires_at":2.0,"renew_by":1.0}', None)
    assert await Outside(world.watch, neighbours).renew("c", credential(token())) == Renewed(2.0, 1.0)


async def test_a_connection_that_is_ending_is_not_renewed() -> None:
    world = World()
    live, _ = await world.inside(handshake(bearer=token(), protocols="doorward.v1"))
    live.close_by_operator()
    judged = await Outside(world.watch, None).renew(live.connection, credential(token()))
    assert reason(judged) is Reason.CONNECTION_UNKNOWN


async def test_a_quicker_newer_proof_is_not_replaced_by_an_older_one() -> None:
    world = World()
    live, _ = await world.inside(handshake(bearer=token(), protocols="doorward.v1"))
    now = int(world.clock.now())
    older, newer = token(iat=now + 1, exp=now + 300), token(iat=now + 2, exp=now + 900)
    world.clock.advance(5)
    # the older one is judged against what the connection held before the newer one came
    judged = await world.watch._judge_renewal(live, credential(older))
    assert not isinstance(judged, Deny)
    assert isinstance(await Outside(world.watch, None).renew(live.connection, credential(newer)), Renewed)
    assert not live.renewed(judged, over_socket=True)
    assert live.principal.expires_at == now + 900
