"""A connection that is over is gone, with no collector's help: that one looks at what is old only now and then."""

import gc

from doorward.adapters.gateway.ends import End
from doorward.adapters.gateway.front import Front
from doorward.adapters.gateway.relay import Relay
from doorward.core.frame_headers import encode_close
from doorward.core.frames import Walker
from tests.integration.gateway.standing_in import gateway, until
from tests.integration.gateway.wires import MASK, backend, echo, text, then, upgraded


def left() -> list[object]:
    return [found for found in gc.get_objects() if isinstance(found, Front | Relay | End | Walker)]


async def test_nothing_of_a_connection_waits_for_the_collector():
    async with backend(then(echo)) as port, gateway(port) as gate:
        gc.collect()
        gc.disable()
        try:
            for number in range(30):
                async with upgraded(gate.port) as peer:
                    live = await gate.live(number)
                    peer.send(text("x"))
                    await peer.frame()
                    assert live.hands is not None
                    if number % 3 == 0:
                        live.hands.close(4002, "doorward:revoked", at_once=True)
                        assert (await peer.frame())[0] == 0x88
                    if number % 3 < 2:
                        peer.send(encode_close(1000, mask=MASK))
                        await peer.rest()
                del live
            await until(lambda: gate.listener.count == 0)
            gate.door.lives.clear()
            await until(lambda: not left())
        finally:
            gc.enable()
