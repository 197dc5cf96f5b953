"""The app under test, written for Django Channels. It has no lifespan."""

import asyncio

import django
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path, re_path
from django.views.decorators.csrf import csrf_exempt

from tests.integration.frameworks.apps.common import CLOSES, TICK, behind_doorward, choice, note, seen

settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="made-up", DEBUG=False)
django.setup()


@csrf_exempt
def hello(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"hello by {request.method}: {request.body.decode()}", content_type="text/plain")


urlpatterns = [path("hello", hello)]


class Chat(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        await self.accept(choice(self.scope["subprotocols"]))
        await self.send(seen(self.scope))

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        match text_data:
            case "close":
                await self.close(*CLOSES)
            case "return":
                await self.close()
            case "raise":
                raise RuntimeError("the app's own fault")
            case _:
                await self.send(text_data)

    async def disconnect(self, code: int) -> None:
        note(f"disconnected {self.scope['url_route']['kwargs']['room']} {code}")


class BytesBack(AsyncWebsocketConsumer):
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(bytes_data=bytes_data)


class Reject(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        await self.close(*CLOSES)


class Push(AsyncWebsocketConsumer):
    """Sends from a task of its own: a consumer always listens."""

    async def connect(self) -> None:
        await self.accept()
        self.ticking = asyncio.create_task(self.tick())

    async def tick(self) -> None:
        while True:
            await self.send("tick")
            await asyncio.sleep(TICK)

    async def disconnect(self, code: int) -> None:
        self.ticking.cancel()
        note("push ended")


app = behind_doorward(
    ProtocolTypeRouter(
        {
            "http": get_asgi_application(),
            "websocket": URLRouter(
                [
                    re_path(r"^chat/(?P<room>[^/]+)$", Chat.as_asgi()),
                    path("bytes", BytesBack.as_asgi()),
                    path("reject", Reject.as_asgi()),
                    path("push", Push.as_asgi()),
                ]
            ),
        }
    )
)
