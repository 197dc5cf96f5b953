"""An echo that knows whom it echoes. `quart` stays the Quart app that your tools and tests know."""

from quart import Quart, websocket

from doorward import Doorward, connection_of

quart = Quart(__name__)


@quart.get("/")
async def home() -> str:
    return "talk to me at /echo"


@quart.websocket("/echo")
async def echo() -> None:
    name = connection_of(websocket.scope).subject
    while True:
        text = await websocket.receive()
        await websocket.send(f"{name} said {text}")


app = Doorward(quart, config="doorward.toml")
