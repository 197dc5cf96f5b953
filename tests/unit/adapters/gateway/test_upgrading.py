"""RFC 6455's own example, and a 101 without a byte more than chosen."""

from doorward.adapters.gateway.upgrading import accept_of, switching


def test_the_example_of_rfc_6455():
    assert accept_of("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_the_101():
    assert switching(accept="a", protocol=None, deflate=None) == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: a\r\n\r\n"
    )
    whole = switching(accept="a", protocol="chat.v1", deflate="permessage-deflate")
    assert b"\r\nSec-WebSocket-Protocol: chat.v1\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n" in whole
