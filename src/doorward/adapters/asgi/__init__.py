"""The middleware's hands: an ASGI application is the backend, its server the wire. Nothing here decides who enters."""
