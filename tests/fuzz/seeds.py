"""Where the fuzzer begins, and what the tests replay: good inputs, the catalogue's, and what was found before."""

from typing import Final

from doorward.core.control import PREFIX
from tests.unit.core.framing import frame
from tests.unit.core.making import head, token

HEADS: Final = [
    head(),
    head("/chat/lobby?ticket=x&token=y", "Cookie: a=b; __Host-doorward=s", "Sec-WebSocket-Protocol: a, doorward.v1"),
    head("/chat/%61%2e?x=%0d", "X-Forwarded-For: 1.2.3.4", 'Forwarded: for="[::1]:1";proto=https', "X_Auth_User: a"),
    b"\r\n\r\n" + head(method="POST", version="HTTP/1.0"),
    head("/a", "Content-Length: 0", "Transfer-Encoding: chunked", "Expect: 100-continue", "X: \u00c3\u00a4"),
    b"GET / HTTP/1.1\r\nA : b\r\n c\r\n\r\n",
]
FRAMES: Final = [
    b"\x01\x00" + frame(0x81, b"hello") + frame(0x89, b"p") + frame(0x88, b"\x03\xe8bye"),
    b"\xff\x00" + frame(0x01, PREFIX[:9]) + frame(0x80, PREFIX[9:] + b'ping"}') + frame(0x82, bytes(130)),
    b"\x41\x02\x07\x09" + frame(0x81, PREFIX + b'ping"}') + frame(0x02, b"") + frame(0x00, b"") + frame(0x80, b"x"),
    b"\x28\x00" + frame(0xC1, b"abc", key=None) + frame(0x8A, b"{", key=None) + frame(0x88, b"", key=None),
    b"\x01\x00" + frame(0x82, b"", declare=1 << 62) + frame(0x83, b""),
]
TOKENS: Final = [token().encode(), token(header={"typ": "at+jwt", "kid": "a"}, roles=["x"]).encode(), b"a.b.c", b".."]
SHAPED: Final = [
    b'{"alg":"HS256"}\x00{"iss":"https://login.example/","exp":1}\x00signed',
    b'{"alg":"HS256","kid":"a","typ":"JWT"}\x00{"iss":"x","a":[1,{"b":null}],"c":1e9,"d":"\\ud83d\\ude00"}\x00s',
    b'{"alg":"none","crit":["b64"]}\x00{"iss":"x","iss":"y"}\x00',
]
CONTROL: Final = [
    b'{"type":"doorward.auth","token":"a.b.c","id":"1"}',
    b'{"type":"doorward.auth","username":"a","password":"\\ud800"}',
    b'{"type":"doorward.ping"}',
    b'auth","ticket":"x"}',
]
FORWARDED: Final = [
    b"\x0010.0.0.1, 1.2.3.4\n[::1]:8, unknown",
    b'\x01for="a,b";proto=http, for=_x\nfor="[2001:db8::1]:9";by=x',
    b'\x01for="1.2.3.4\n\\"',
]
PROXIES: Final = [
    b"TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET",
    b"UNKNOWN\r\n",
    b"\x21\x11\x00\x0c\x01\x02\x03\x04\x05\x06\x07\x08\x00\x01\x00\x02rest",
    b"\x21\x11\x00\x14\x01\x02\x03\x04\x05\x06\x07\x08\x00\x01\x00\x02\x20\x00\x05\x01\x00\x00\x00\x00",
    b"\x20\x00\x00\x00",
]
ORIGINS: Final = [
    b"https://app.example",
    b"https://[::1]:8080",
    b"null",
    b"https://app.example:443",
    b"chrome-extension://a",
]
PATHS: Final = [
    b"/chat/a?x=1",
    b"/%2e%2e/a;b=c",
    b"/a/..;/b",
    b"/%c3%a4",
    b"*",
    b"http://e/a",
    b"/a?ticket=x&%74oken=y&a",
]
WORDS: Final = [
    b"30s", b"1.5h", b"64KiB", b"10/s burst 50", b"10.0.0.0/8", b"[::1]:8800", b"localhost:1", b"https://a.example:8443",
    b"/chat/{room}/{rest*}", b"ws://a.example:9000/x/{room}", b"rooms/{room}:join", b"chat:*", b"/auth",
]  # fmt: skip
FILES: Final = [
    b'[server]\nlisten = "127.0.0.1:8800"\n[[routes]]\npath = "/a/{b}"\nbackend = "ws://127.0.0.1:1"\n',
    b'[origins]\nallow = ["https://a.example"]\n[roles]\na = ["b:*"]\n[cluster_limits]\nlogins_per_address = "1/s"\n',
    b'[[issuers]]\nissuer = "https://a/"\naudience = "b"\nalgorithms = ["HS256"]\nsecret = "' + b"0a" * 16 + b'"\n',
]
SEEDS: Final[dict[str, list[bytes]]] = {
    "head": HEADS,
    "collecting": [b"\x00" + head for head in HEADS] + [b"\x02\x00\x05\x00\x40" + head for head in HEADS],
    "scope": [b"\x00/chat/a\x01x=1\nhost\x01gw.example\nupgrade\x01websocket\nx-forwarded-for\x0110.0.0.7"],
    "path": PATHS,
    "frames": FRAMES,
    "token": TOKENS,
    "shaped_token": SHAPED,
    "control": CONTROL,
    "origin": ORIGINS,
    "forwarding": FORWARDED,
    "proxy": PROXIES,
    "words": WORDS,
    "configuration": FILES,
}
FINDS: Final[list[tuple[str, bytes]]] = []
"""What a fuzzer found once, with its target: each failed before it was mended."""

DICTIONARY: Final[dict[str, list[bytes]]] = {
    "head": [
        b"\r\n",
        b": ",
        b"%2e",
        b"%00",
        b"HTTP/1.1",
        b"Content-Length",
        b"Transfer-Encoding",
        b"Cookie: ",
        b";",
        b"\xc2\x85",
    ],
    "frames": [PREFIX, b"\x81\x80", b"\x82\xfe\x00\x7e", b"\x00\x80", b"\x88\x82", b"\x89\x80", b'{"type":"ping"}'],
    "shaped_token": [b"\x00", b'"iss":', b'"alg":', b"NaN", b"1e999", b"\\ud800", b"{", b"[", b'"kid":', b'"crit":'],
    "control": [b'"type":', b'"doorward.auth"', b'"token":', b'"id":', b"\\udc00", b"null"],
    "forwarding": [b"for=", b"proto=https", b'"', b",", b";", b"unknown", b"[", b"]", b"\n", b"10.0.0.1", b"\\"],
    "words": [b"{", b"*}", b"://", b"burst", b"/min", b"KiB", b"[::", b"%25", b"ms"],
    "configuration": [
        b"[[routes]]\n",
        b"lease = { ",
        b"limits = { ",
        b"path = ",
        b"[server]\n",
        b"tls = {",
        b'"off"',
        b"places = [",
        b"true",
    ],
}
