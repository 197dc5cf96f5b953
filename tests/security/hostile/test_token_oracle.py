"""B5: forty wrong tokens are one answer, at every place that takes a token, and told apart in the audit alone (JT)."""

import base64
import hashlib
import hmac
import json
import socket
import threading
from collections.abc import Callable
from time import time
from typing import Any

import pytest

from doorward.service import operate
from doorward.values.revocation import Target, TargetKind
from tests.integration.running import ISSUER, OTHER_ISSUER
from tests.security.hostile.attacking import (
    CONTROLS,
    Peer,
    aftermath,
    before,
    enter,
    good_client,
    head,
    judge_refusal,
    parse,
    post,
    text,
)
from tests.security.hostile.standing import WITHIN, Standing

Forge = Callable[[Standing], str]


def segment(part: Any) -> str:
    octets = part if isinstance(part, bytes) else json.dumps(part, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def made(gateway: Standing, header: Any = None, claims: Any = None, key: bytes | None = None, **changed: Any) -> str:
    """A token by hand: right in all that is not named."""
    now = int(time())
    body = {"iss": ISSUER, "aud": "chat", "sub": "mallory", "iat": now, "exp": now + 60} | changed
    body = {name: value for name, value in body.items() if value is not ...}
    signed = f"{segment(header or {'alg': 'HS256', 'typ': 'JWT'})}.{segment(body if claims is None else claims)}"
    secret = gateway.secrets[ISSUER].encode() if key is None else key
    return f"{signed}.{segment(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


def with_header(**members: Any) -> Forge:
    return lambda gateway: made(gateway, {"alg": "HS256", "typ": "JWT"} | members)


def with_claims(**members: Any) -> Forge:
    return lambda gateway: made(gateway, **members)


def raw_claims(document: str) -> Forge:
    return lambda gateway: made(gateway, claims=document.replace("@iss", ISSUER).encode("utf-8", "surrogatepass"))


def changed(change: Callable[[str], str]) -> Forge:
    return lambda gateway: change(made(gateway))


def published_key(gateway: Standing) -> bytes:
    """Our own public key, as an attacker reads it."""
    with Peer(gateway) as peer:
        peer.send(b"GET /.well-known/jwks.json HTTP/1.1\r\nHost: gw.test\r\n\r\n")
        keys = json.loads(peer.answer().body)["keys"]
    return json.dumps(keys[0], separators=(",", ":")).encode()


def own(gateway: Standing, **claims: Any) -> str:
    tools = gateway.operator.tools
    grant = operate.Grant(subject="mallory")
    issuer = tools.config.public_url
    token = operate.issue_token(
        tools.keyring, grant, issuer=issuer, audience=tools.config.audience, clock=tools.clock, entropy=tools.entropy
    )
    return gateway.keep_secret(token)


def own_with_another_header(gateway: Standing) -> str:
    _, body, signature = own(gateway).split(".")
    return f"{segment({'alg': 'none', 'typ': 'at+jwt'})}.{body}.{signature}"


def own_signed_by_its_public_key(gateway: Standing) -> str:
    claims = {"iss": gateway.operator.tools.config.public_url, "aud": "chat", "sub": "admin", "exp": int(time()) + 60}
    return made(gateway, {"alg": "HS256", "typ": "at+jwt"}, claims, key=published_key(gateway))


def pasted_signature(gateway: Standing) -> str:
    first, second = made(gateway), made(gateway, sub="admin")
    return ".".join([*second.split(".")[:2], first.split(".")[2]])


NOW = "@iss"
DEEP = '{"iss":"@iss","aud":"chat","sub":"a","exp":9999999999,"x":' + "[" * 1500 + "]" * 1500 + "}"
MANY = '{"iss":"@iss","aud":"chat","sub":"a",' + ",".join(f'"c{n}":1' for n in range(300)) + "}"

TOKENS: dict[str, tuple[Forge, str]] = {
    "JT-01-padded": (with_claims(x="a" * 4000), "token_malformed"),
    "JT-02-two-parts": (lambda gateway: "a.b", "token_malformed"),
    "JT-02-four-parts": (lambda gateway: "a.b.c.d", "token_malformed"),
    "JT-02-dots": (lambda gateway: "..", "token_malformed"),
    "JT-04-plus": (changed(lambda token: token[:10] + "+" + token[11:]), "token_malformed"),
    "JT-04-tilde": (changed(lambda token: token.replace(".", ".~", 1)), "token_malformed"),
    "JT-05-padding": (changed(lambda token: token + "="), "token_malformed"),
    "JT-06-json": (changed(lambda token: json.dumps({"a": token})), "token_malformed"),
    "JT-08-two-subjects": (
        raw_claims('{"iss":"@iss","aud":"chat","sub":"alice","sub":"admin","exp":9999999999}'),
        "token_malformed",
    ),
    "JT-09-bom": (raw_claims('\ufeff{"iss":"@iss","sub":"a"}'), "token_malformed"),
    "JT-09-surrogate": (raw_claims('{"iss":"@iss","aud":"chat","sub":"\\ud800","exp":9999999999}'), "token_malformed"),
    "JT-10-deep": (raw_claims(DEEP), "token_malformed"),
    "JT-10-many": (raw_claims(MANY), "token_malformed"),
    "JT-10-list": (raw_claims("[]"), "token_malformed"),
    "JT-10-number": (raw_claims('{"iss":"@iss","exp":' + "9" * 3000 + "}"), "token_malformed"),
    "JT-12-none": (with_header(alg="none"), "token_header"),
    "JT-12-None": (with_header(alg="nOnE"), "token_header"),
    "JT-12-list": (with_header(alg=["HS256"]), "token_header"),
    "JT-12-own-none": (own_with_another_header, "token_header"),
    "JT-13-confusion": (own_signed_by_its_public_key, "token_algorithm"),
    "JT-16-hs512": (with_header(alg="HS512"), "token_algorithm"),
    "JT-17-empty-key": (lambda gateway: made(gateway, key=b""), "token_signature"),
    "JT-18-sample": (lambda gateway: made(gateway, key=b"your-256-bit-secret"), "token_signature"),
    "JT-21-jwk": (with_header(jwk={"kty": "oct", "k": "AAAA"}), "token_header"),
    "JT-22-jku": (with_header(jku="http://127.0.0.1:1/"), "token_header"),
    "JT-22-x5u": (with_header(x5u="file:///etc/passwd"), "token_header"),
    "JT-25-kid-path": (with_header(kid="../../../../dev/null", alg="HS384"), "token_algorithm"),
    "JT-26-kid-sql": (with_header(kid="x' UNION SELECT 'k"), "token_header"),
    "JT-26-kid-jndi": (with_header(kid="${jndi:ldap://x}"), "token_header"),
    "JT-29-crit": (with_header(crit=[]), "token_header"),
    "JT-30-b64": (with_header(b64=False, crit=["b64"]), "token_header"),
    "JT-31-no-exp": (with_claims(exp=...), "token_claims"),
    "JT-32-text": (with_claims(exp="9999999999"), "token_claims"),
    "JT-32-true": (with_claims(exp=True), "token_claims"),
    "JT-33-over": (with_claims(iat=int(time()) - 100, exp=int(time()) - 1), "token_expired"),
    "JT-34-nbf": (with_claims(nbf=int(time()) + 3600), "token_not_yet"),
    "JT-35-long-lived": (with_claims(exp=int(time()) + 86400 * 365), "token_too_long_lived"),
    "JT-36-issuer": (with_claims(iss=ISSUER + "/"), "token_issuer"),
    "JT-37-issuers": (with_claims(iss=[ISSUER]), "token_malformed"),
    "JT-38-audience": (with_claims(aud="chatx"), "token_audience"),
    "JT-38-object": (with_claims(aud={"chat": 1}), "token_audience"),
    "JT-40-logout": (with_header(typ="logout+jwt"), "token_type"),
    "JT-40-assertion": (with_header(typ="doorward-assertion+jwt"), "token_type"),
    "JT-40-id-token": (with_claims(nonce="n"), "token_type"),
    "JT-41-no-subject": (with_claims(sub=""), "token_claims"),
    "JT-41-newline": (with_claims(sub="a\nb"), "token_claims"),
    "JT-41-long": (with_claims(sub="a" * 1000), "token_claims"),
    "JT-42-short": (changed(lambda token: token.rpartition(".")[0] + "." + segment(b"x" * 31)), "token_signature"),
    "JT-49-other-issuers-key": (with_claims(iss=OTHER_ISSUER), "token_signature"),
    "JT-50-pasted": (pasted_signature, "token_signature"),
    "JT-50-no-signature": (changed(lambda token: token.rpartition(".")[0] + "."), "token_malformed"),
    "JT-52-zip": (with_header(zip="DEF"), "token_header"),
    "POP-cnf": (with_claims(cnf={"jkt": "x"}), "token_claims"),
}


def bearer(token: str) -> bytes:
    return head(token=token)


def offered(token: str) -> bytes:
    encoded = base64.urlsafe_b64encode(token.encode()).rstrip(b"=").decode()
    return head(Sec_WebSocket_Protocol=f"doorward.token.{encoded}, app.v1")


def sold(token: str) -> bytes:
    return post("/auth/ticket", {}, token=token)


WAYS: dict[str, tuple[Callable[[str], bytes], str]] = {
    "header": (bearer, "handshake"),
    "subprotocol": (offered, "handshake"),
    "ticket": (sold, "ticket"),
}


@pytest.mark.parametrize("way", WAYS)
def test_jt45_all_of_them_are_one_class(siege: Standing, way: str) -> None:
    """Status, headers, body and end of the connection; the audit has each reason, and no backend is asked."""
    was = before(siege)
    request, kind = WAYS[way]
    classes: dict[bytes, list[str]] = {}
    for case, (forge, _) in TOKENS.items():
        token = siege.keep_secret(forge(siege), whose=case)
        with Peer(siege) as peer:
            late = siege.lateness()
            peer.send(request(token))
            assert peer.finish(WITHIN) < 2.0 + late()
            same_day = b"\r\n".join(line for line in peer.data.split(b"\r\n") if not line.startswith(b"date:"))
            classes.setdefault(same_day, []).append(case)
    assert len(classes) == 1, {answer[:80]: cases[:9] for answer, cases in classes.items()}
    (answer,) = classes
    assert parse(answer).status == 403
    if way != "ticket":
        judge_refusal(parse(answer), 403)
    records = [record for record in aftermath(siege, was) if record["kind"] == kind]
    assert [record["reason"] for record in records] == [reason for _, reason in TOKENS.values()]
    assert not any("sub" in record.get("detail", "") and "alice" in record["detail"] for record in records)


def test_jt45_over_a_socket_too(siege: Standing) -> None:
    """Two wrong renewals a socket, and the same answer to each; the third would close."""
    cases = list(TOKENS.items())
    said: set[str] = set()
    for first in range(0, len(cases), 2):
        with enter(siege, "mallory", **CONTROLS) as peer:
            peer.hears("ready")
            for case, (forge, _) in cases[first : first + 2]:
                token = siege.keep_secret(forge(siege), whose=case)
                peer.send(text(json.dumps({"type": "doorward.auth", "token": token}, separators=(",", ":"))))
                said.add(peer.message())
    assert said == {'{"type":"doorward.refused","reason":"refused"}'}


def test_jt45_a_renewal_from_outside_is_no_oracle_for_connections(siege: Standing) -> None:
    """Wrong token or unknown connection: nobody learns from the answer which connections there are."""
    subject = siege.name()
    with enter(siege, subject, **CONTROLS) as peer:
        connection = peer.hears("ready")["connection"]
        answers = set()
        for body in (
            {"connection": connection, "token": "bad"},
            {"connection": connection, "token": siege.token(siege.name())},
            {"connection": "A" * 22, "token": "bad"},
            {"connection": "A" * 22, "token": siege.token(subject)},
            {"connection": connection, "ticket": "A" * 43},
        ):
            with Peer(siege) as asking:
                asking.send(post("/auth/renew", body))
                answers.add(asking.answer().raw.partition(b"\r\n\r\n")[0].partition(b"date:")[0] + asking.data[-90:])
        assert len(answers) == 1, answers
        peer.send(text("still in"))
        assert peer.message() == "still in"


def test_a_refused_renewal_from_outside_leaves_a_record(siege: Standing) -> None:
    """A search for connection ids is seen, each try of it."""
    was = before(siege)
    for number in range(3):
        with Peer(siege) as asking:
            asking.send(post("/auth/renew", {"connection": f"{number}" * 22, "token": siege.token(siege.name())}))
            assert asking.answer().status in {403, 404}
    records = aftermath(siege, was)
    assert len(records) == 3, records
    assert {record["outcome"] for record in records} == {"refused"}


def test_jt22_nobody_is_called(siege: Standing) -> None:
    """jku, x5u and their kind at a port of ours: no connection comes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        port = listener.getsockname()[1]
        for name in ("jku", "x5u"):
            for url in (f"http://127.0.0.1:{port}/", f"http://{ISSUER.removeprefix('https://')}@127.0.0.1:{port}/"):
                with Peer(siege) as peer:
                    peer.send(head(token=made(siege, {"alg": "HS256", name: url})))
                    judge_refusal(peer.answer(), 403)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_jt44_a_revoked_token_in_another_spelling_stays_revoked(siege: Standing) -> None:
    """Revocation is by claims: the same ones signed again by whoever has the key are as dead."""
    subject, now = siege.name(), int(time())
    claims = {"sub": subject, "jti": f"jti-{subject}", "iat": now, "exp": now + 60}
    siege.operator.withdraw(Target(kind=TargetKind.TOKEN, value=f"jti-{subject}"))
    for header in ({"alg": "HS256", "typ": "JWT"}, {"typ": "JWT", "alg": "HS256"}, {"alg": "HS256"}):
        with Peer(siege) as peer:
            peer.send(head(token=siege.keep_secret(made(siege, header, **claims))))
            judge_refusal(peer.answer(), 403)
        assert siege.record(subject=subject)["reason"] == "revoked_before"


def test_jt48_a_name_in_an_unproven_token_costs_its_owner_nothing(siege: Standing) -> None:
    """300 forged tokens of a victim: no record says it was the victim, no rate of the victim's is used."""
    victim = siege.name("victim")
    was = before(siege)
    for _ in range(300):
        with Peer(siege) as peer:
            peer.send(head(token=made(siege, key=b"x" * 32, sub=victim)))
            peer.finish(WITHIN)
    records = aftermath(siege, was)
    assert len(records) == 300
    assert not any("subject" in record for record in records)
    with enter(siege, victim):
        pass


def test_jt53_a_flood_of_bad_tokens_costs_a_bounded_price(siege: Standing) -> None:
    """Memory and CPU stay in bounds, and a good client comes in meanwhile."""
    memory, work = siege.memory(), siege.processor_time()
    bad = [head(token=made(siege, key=b"x" * 32, sub=f"m{number}")) for number in range(50)]
    count = 0
    stop = threading.Event()

    def flood() -> None:
        nonlocal count
        for place in range(300):
            if stop.is_set():
                return
            with socket.create_connection(("127.0.0.1", siege.port), 5) as peer:
                peer.sendall(bad[place % len(bad)])
                while peer.recv(4096):
                    pass
            count += 1

    threads = [threading.Thread(target=flood) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        good_client(siege)
    for thread in threads:
        thread.join(30)
    stop.set()
    siege.settled = False
    assert count > 500
    assert siege.memory() - memory < 16 << 20
    assert (siege.processor_time() - work) / count < 0.005
