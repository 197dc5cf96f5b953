"""Beside probe: a chat, a token issuer and a page, to try the gateway on. Nothing in production imports this.

The issuer and the backend stand for somebody else's servers: they are processes of their own, and import no Doorward.
"""
