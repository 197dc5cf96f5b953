"""Every code that Doorward or an application closes with leaves through daphne, and means the same to a client."""

import pytest

from doorward.adapters.asgi.closes import RECONNECTS, STOPS, carried, sender
from doorward.core.endings import ENDINGS
from doorward.values.decision import Retry


@pytest.mark.parametrize("code", [1000, 3000, 4001, 4002, 4403, 4999])
def test_what_it_can_send_stays(code) -> None:
    assert carried(code) == code


def test_what_it_cannot_send_keeps_its_meaning() -> None:
    mended = {ending.close: ending.retry for ending in ENDINGS.values() if ending.close and ending.close < 3000}
    assert {code: carried(code) for code in mended} == {
        code: STOPS if retry is Retry.STOP else RECONNECTS for code, retry in mended.items()
    }


@pytest.mark.parametrize(("asgi", "code"), [({"version": "3.0"}, 4400), ({"spec_version": "2.3"}, 1009), (None, 4400)])
async def test_only_daphne_needs_it(asgi, code) -> None:
    sent = []

    async def send(message) -> None:
        sent.append(message)

    through = sender({} if asgi is None else {"asgi": asgi}, send)
    await through({"type": "websocket.send", "text": "x"})
    await through({"type": "websocket.close", "code": 1009, "reason": "doorward:message_too_big"})
    assert sent == [
        {"type": "websocket.send", "text": "x"},
        {"type": "websocket.close", "code": code, "reason": "doorward:message_too_big"},
    ]
