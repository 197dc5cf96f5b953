"""B1 to B5 at GET /auth/verify: whatever a proxy asks about a handshake that nobody may make is 401 or 403, never 200.

A proxy writes the request line, Connection and the forwarding headers itself, so those attacks are its own; targets,
origins, credentials and doubled lines are the client's, and pass through it.
"""

from collections.abc import Iterable, Iterator

import pytest

from tests.security.hostile.attacking import Answer, Peer, aftermath, before, good_client, head
from tests.security.hostile.heads import TARGETS, UPGRADES
from tests.security.hostile.standing import Standing, standing
from tests.security.hostile.test_head_smuggling import FORGED
from tests.security.hostile.test_origin_forgery import ROWS as ORIGINS
from tests.security.hostile.test_token_oracle import TOKENS

NAMES = ("issuer", "subject", "roles", "permissions", "tenant", "session", "expires")


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    """A gateway whose every peer is a trusted proxy, which ends TLS."""
    with standing(
        tmp_path_factory.mktemp("asked"),
        server={"trusted_proxies": ["127.0.0.0/8"]},
        routes=[{"path": "/ws/{room}"}, {"path": "/admin/{room}", "permission": "admin:all"}],
    ) as gateway:
        good_client(gateway)
        yield gateway


def question(original: str, *lines: str, **more: object) -> bytes:
    told = [f"X-Original-URI: {original}", "X-Forwarded-For: 203.0.113.7", "X-Forwarded-Proto: https", *lines]
    return head("/auth/verify", extra=told, **more)


def ask(gateway: Standing, sent: bytes) -> Answer:
    with Peer(gateway) as peer:
        peer.send(sent)
        return peer.answer()


def none_is_let_in(gateway: Standing, questions: Iterable[bytes]) -> None:
    was = before(gateway)
    for sent in questions:
        answer = ask(gateway, sent)
        assert answer.status in (401, 403), (sent, answer.raw[:300])
        assert not [name for name in answer.headers if name.startswith("x-doorward")], answer.raw
    assert all(record["outcome"] == "refused" for record in aftermath(gateway, was))


def test_a_good_question_has_one_answer(asked: Standing) -> None:
    """PX-13, PX-18: all of ours, each once, whatever the client brought along."""
    subject = asked.name()
    answer = ask(asked, question("/ws/a", *FORGED, token=asked.token(subject)))
    assert answer.status == 200, answer.raw
    assert answer.headers["x-doorward-subject"] == subject
    assert b"admin" not in answer.raw
    for name in NAMES:
        assert answer.raw.lower().count(f"x-doorward-{name}:".encode()) == 1


def test_hs37_hs50_targets(asked: Standing) -> None:
    token = asked.token(asked.name())
    targets = [
        octets.split(b" ")[1].decode("latin-1") for _, heads, _, _ in TARGETS for octets in heads if octets.isascii()
    ]
    none_is_let_in(asked, (question(target, token=token) for target in targets))


def test_hs14_hs20_hs21_hs22_hs38_what_is_no_handshake(asked: Standing) -> None:
    """But `Upgrade` and `Connection`: they are for one hop, and a proxy takes them away."""
    token = asked.token(asked.name()).encode()
    for name, heads, _, _ in UPGRADES:
        if not name.startswith(("HS-16", "HS-18")):
            lines = b"GET /auth/verify HTTP/1.1\r\nX-Original-URI: /ws/a\r\nX-Forwarded-Proto: https\r\n"
            shown = [sent.replace(b"Bearer @", b"Bearer " + token).partition(b"\r\n")[2] for sent in heads]
            none_is_let_in(asked, (lines + rest for rest in shown))


def test_or01_to_or10_origins(asked: Standing) -> None:
    token = asked.token(asked.name())
    none_is_let_in(
        asked,
        (
            question("/ws/a", token=shown, Origin=origin.replace("{port}", "1"))
            for _, origin, _ in ORIGINS
            for shown in (token, None)
        ),
    )


def test_jt45_tokens_are_one_class(asked: Standing) -> None:
    answers = set()
    for forge, _ in TOKENS.values():
        token = asked.keep_secret(forge(asked))
        answer = ask(asked, question("/ws/a", token=token))
        assert answer.status == 403
        answers.add(answer.body)
    assert len(answers) == 1


def test_px10_two_originals_that_differ_and_none(asked: Standing) -> None:
    token = asked.token(asked.name())
    none_is_let_in(
        asked,
        [
            question("/ws/a", "X-Forwarded-Uri: /admin/a", token=token),
            question("/ws/a", "X-Original-URI: /ws/b", token=token),
            question("/admin/a", "X-Rewrite-URL: /ws/a", token=token),
            question("/ws/a", "X-Forwarded-Method: POST", token=token),
            head("/auth/verify/admin/a", token=token, extra=["X-Original-URI: /ws/a", "X-Forwarded-Proto: https"]),
            head("/auth/verify", token=token, extra=["X-Forwarded-Proto: https"]),
        ],
    )


def test_px05_who_is_no_proxy_may_not_ask(siege: Standing) -> None:
    was = before(siege)
    for lines in ((), ("X-Original-URI: /ws/a",)):
        answer = ask(siege, head("/auth/verify", token=siege.token(siege.name()), extra=lines))
        assert answer.status == 403, answer.raw
    assert {record["reason"] for record in aftermath(siege, was)} == {"forwarder_untrusted"}
