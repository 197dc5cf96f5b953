"""A chat room of Django Channels. Doorward stands around the whole application; Django's sessions are not asked."""

import secrets

import django
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

from doorward import Doorward, connection_of

# Your own project has a settings module instead.
settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
    ROOT_URLCONF=__name__,
    SECRET_KEY=secrets.token_urlsafe(),
)
django.setup()


class Room(AsyncJsonWebsocketConsumer):
    async def connect(self) -> None:
        self.room = self.scope["url_route"]["kwargs"]["room"]
        self.name = connection_of(self.scope).subject
        await self.channel_layer.group_add(self.room, self.channel_name)
        await self.accept()
        await self.send_json({"hello": self.name})

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(self.room, self.channel_name)

    async def receive_json(self, content: dict[str, str]) -> None:
        said = {"type": "said", "name": self.name, "text": content["text"]}
        await self.channel_layer.group_send(self.room, said)

    async def said(self, event: dict[str, str]) -> None:
        await self.send_json({"name": event["name"], "text": event["text"]})


def home(request: HttpRequest) -> HttpResponse:
    return HttpResponse("rooms are at /chat/<room>")


urlpatterns = [path("", home)]

app = Doorward(
    ProtocolTypeRouter(
        {
            "http": get_asgi_application(),
            "websocket": URLRouter([path("chat/<str:room>", Room.as_asgi())]),
        }
    ),
    config="doorward.toml",
)
