"""Control messages: what a client may say, and that whatever else it says is a value and never an exception."""

import json

import pytest

from doorward.core.control import (
    JSON_PONG,
    MAX_ID,
    MAX_SIZE,
    PONG,
    PREFIX,
    REACH,
    Auth,
    Likeness,
    Malformed,
    Ping,
    is_meant,
    likeness,
    parse_control,
    ready,
    refused,
    renew,
)
from doorward.values.credential import Kind, Place


def said(text: str) -> object:
    return parse_control(text.encode())


def auth(text: str) -> tuple[Kind, Place, str, str | None]:
    found = said(text)
    assert isinstance(found, Auth), found
    return found.credential.kind, found.credential.place, found.credential.secret.expose(), found.id


class TestWhatAClientMaySay:
    def test_ping(self) -> None:
        assert said('{"type":"doorward.ping"}') == Ping()
        assert said('{"type":"doorward.ping" , "id":"1"}') == Ping()

    def test_proofs(self) -> None:
        assert auth('{"type":"doorward.auth","token":"a.b.c"}') == (Kind.TOKEN, Place.MESSAGE, "a.b.c", None)
        assert auth('{"type":"doorward.auth","ticket":"t","id":"7"}') == (Kind.TICKET, Place.MESSAGE, "t", "7")
        found = auth('{"type":"doorward.auth","username":"a","password":"b:c"}')
        assert found == (Kind.PASSWORD, Place.MESSAGE, "a:b:c", None)

    def test_an_id_of_128_characters(self) -> None:
        assert auth(f'{{"type":"doorward.auth","token":"x","id":"{"i" * MAX_ID}"}}')[3] == "i" * MAX_ID

    def test_a_credential_of_any_characters_is_for_step_8(self) -> None:
        assert auth('{"type":"doorward.auth","token":"\\u20ac\\n"}')[2] == "€\n"


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"doorward.',
        '{"type":"doorward.ping"',
        '{"type":"doorward.ping"}x',
        '{"type":"doorward.ping"}{"type":"doorward.ping"}',
        '{"type":"doorward.ping","extra":"1"}',
        '{"type":"doorward.ping","id":1}',
        '{"type":"doorward.ping","type":"doorward.ping"}',
        '{"type":"doorward.ping","\\u0074ype":"x"}',
        '{"type":"doorward.pong"}',
        '{"type":"doorward.ready"}',
        '{"type":"doorward.renew","within":"1"}',
        '{"type":"doorward.unknown"}',
        '{"type":"doorward."}',
        '{"type":"doorward.auth"}',
        '{"type":"doorward.auth","id":"1"}',
        '{"type":"doorward.auth","token":null}',
        '{"type":"doorward.auth","token":1}',
        '{"type":"doorward.auth","token":["a.b.c"]}',
        '{"type":"doorward.auth","token":{"a":"b"}}',
        '{"type":"doorward.auth","token":"x","ticket":"y"}',
        '{"type":"doorward.auth","token":"x","username":"y","password":"z"}',
        '{"type":"doorward.auth","username":"x"}',
        '{"type":"doorward.auth","password":"x"}',
        '{"type":"doorward.auth","token":"x","token":"y"}',
        '{"type":"doorward.auth","token":"x","extra":true}',
        '{"type":"doorward.auth","token":NaN}',
        f'{{"type":"doorward.auth","token":{"9" * 5000}}}',
        f'{{"type":"doorward.auth","token":"x","id":"{"i" * (MAX_ID + 1)}"}}',
        f'{{"type":"doorward.auth","token":"{"x" * MAX_SIZE}"}}',
        '{"type":"doorward.auth","token":' + "[" * 4000,
        '{"type":"doorward.auth","token":"x","id":"\\ud800"}',
        '{"type":"doorward.auth","token":"\\udfff"}',
        '{"type":"doorward.auth","ticket":"\\ud800"}',
        '{"type":"doorward.auth","username":"\\ud800","password":"x"}',
        '{"type":"doorward.auth","tok\\ud800":"x"}',
        "[]",
        "{}",
        '"x"',
        "",
        '{"id":"1"}',
    ],
)
def test_whatever_else_it_says_is_malformed(text) -> None:
    assert isinstance(said(text), Malformed)


def test_so_is_what_is_no_text() -> None:
    assert isinstance(parse_control(PREFIX + b'auth","token":"\xff"}'), Malformed)
    assert isinstance(parse_control(b"\xef\xbb\xbf" + PREFIX + b'ping"}'), Malformed)


@pytest.mark.parametrize(
    "text", ['{"type":"doorward.nonsense","token":"secret"}', '{"type":"doorward.auth","x":"secret']
)
def test_a_malformed_one_says_nothing_of_its_content(text) -> None:
    assert "secret" not in repr(said(text))


MEANT = [
    json.dumps({"type": "doorward.auth", "token": "a.b.c"}),
    json.dumps({"type": "doorward.ping"}, indent=2),
    '{"type" :"doorward.',
    '\r\n\t {"type":"doorward.é',
    " " * (REACH - len(PREFIX)) + PREFIX.decode(),
    '{ "type" : "doorward.' + "x" * 100,
]
OTHERS = [
    "x",
    '{"type": "doorward"}',
    '{"type": "publish", "text": "doorward."}',
    '{"ty pe":"doorward.ping"}',
    '{"type":"door ward.ping"}',
    '{"type":" doorward.ping"}',
    '{"type"\f:"doorward.ping"}',
    '{"type"\u00a0:"doorward.ping"}',
    '\ufeff{"type":"doorward.ping"}',
    '{"Type": "doorward.ping"}',
    '{"token":"a.b.c","type":"doorward.auth"}',
    '["type": "doorward.ping"]',
    " " * (REACH - len(PREFIX) + 1) + PREFIX.decode(),
    " " * 100,
]


class TestLikeness:
    @pytest.mark.parametrize("text", ['{"type":"doorward.', '{"type":"doorward.ping"}', '{"type":"doorward. é'])
    def test_exact(self, text) -> None:
        assert likeness(text.encode()) is Likeness.EXACT
        assert is_meant(text)

    @pytest.mark.parametrize("text", MEANT)
    def test_meant_is_the_prefix_but_for_white_space(self, text) -> None:
        assert likeness(text.encode()) is Likeness.MEANT
        assert is_meant(text)

    @pytest.mark.parametrize("text", OTHERS)
    def test_what_else_there_is(self, text) -> None:
        assert likeness(text.encode()) is Likeness.NONE
        assert not is_meant(text)

    @pytest.mark.parametrize("text", [PREFIX.decode(), *MEANT])
    def test_it_is_open_until_it_is_told(self, text) -> None:
        data = text.encode()
        told = next(end for end in range(len(data) + 1) if likeness(data[:end]) is not Likeness.OPEN)
        assert data[:told].endswith(b".")
        assert likeness(data[:told]) is likeness(data)

    @pytest.mark.parametrize("text", OTHERS)
    def test_what_is_none_never_becomes_one(self, text) -> None:
        data = text.encode()
        found = [likeness(data[:end]) for end in range(len(data) + 1)]
        assert sorted(found, key=(Likeness.NONE, Likeness.OPEN).index, reverse=True) == found


class TestWhatWeSay:
    def test_ready(self) -> None:
        text = ready(connection="c1", subject="alice", expires_at=1790000000.9, renew_by=1789999940.9)
        assert text == (
            '{"type":"doorward.ready","connection":"c1","subject":"alice","expires_at":1790000000,"renew_by":1789999940}'
        )

    def test_ready_leaves_out_what_does_not_apply(self) -> None:
        text = ready(connection="c1", subject='"é\n', expires_at=None, renew_by=None)
        assert json.loads(text) == {"type": "doorward.ready", "connection": "c1", "subject": '"é\n'}

    @pytest.mark.parametrize(("within", "shown"), [(60.0, 60), (59.9, 59), (0.4, 0), (-5.0, 0)])
    def test_renew_is_never_late(self, within, shown) -> None:
        assert renew(within=within) == f'{{"type":"doorward.renew","within":{shown}}}'

    def test_refused(self) -> None:
        assert refused(reason="refused") == '{"type":"doorward.refused","reason":"refused"}'
        text = refused(reason="rate_limited", retry_after=1.23456, id="7")
        assert text == '{"type":"doorward.refused","reason":"rate_limited","retry_after":1.235,"id":"7"}'

    @pytest.mark.parametrize(
        "text",
        [
            PONG,
            ready(connection="c", subject="s", expires_at=1.0, renew_by=1.0),
            renew(within=1.0),
            refused(reason="r"),
        ],
    )
    def test_all_of_it_begins_with_the_prefix(self, text) -> None:
        assert text.encode().startswith(PREFIX)
        assert not JSON_PONG.encode().startswith(PREFIX)
