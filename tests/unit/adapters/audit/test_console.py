"""Our own log: masked and cleaned whoever logs, the query string of uvicorn's socket line included."""

import io
import logging
import sys
from collections.abc import Iterator

import pytest

from doorward.adapters.audit import console

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJlLWNhbmFyeQ"
TICKET = "Q2FuYXJ5LXRpY2tldC1DYW5hcnktdGlja2V0LUNhbmF"
NAMES = ["", *console.LIBRARIES, "doorward.web", "joserfc"]


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    loggers = [logging.getLogger(name) for name in NAMES]
    before = [(one.handlers[:], one.propagate, one.level) for one in loggers]
    logging.getLogger("uvicorn.error").addHandler(logging.StreamHandler(io.StringIO()))
    stream = io.StringIO()
    console.install(stream)
    yield stream
    for one, (handlers, propagate, level) in zip(loggers, before, strict=True):
        one.handlers[:] = handlers
        one.propagate = propagate
        one.setLevel(level)


@pytest.mark.parametrize("name", NAMES)
def test_whoever_logs_is_masked(log: io.StringIO, name: str) -> None:
    logging.getLogger(name).error("token=%s and %s", "hunter2", JWT)
    assert log.getvalue().endswith(": token=*** and ***\n")


@pytest.mark.parametrize("query", ["ticket", "%74icket", "TICKET", "a=b&token", "access%5Ftoken", "csrf"])
def test_lg_04_uvicorns_socket_line(log: io.StringIO, query: str) -> None:
    line = '%s - "WebSocket %s" [accepted]'
    logging.getLogger("uvicorn.error").info(line, "127.0.0.1:5", f"/chat/lobby?{query}={TICKET}")
    logging.getLogger("uvicorn.access").info(
        '%s - "%s %s HTTP/%s" %d', "127.0.0.1:5", "GET", f"/chat?{query}={TICKET}", "1.1", 403
    )
    assert TICKET not in log.getvalue()
    assert "/chat/lobby?" in log.getvalue()
    assert len(log.getvalue().splitlines()) == 2


@pytest.mark.parametrize(
    "text", ["a\r\nERROR root: forged", "\x1b[2J\x1b]0;pwn\x07", "\x9b2J", "\u2028x", "\u202ex", "\0"]
)
def test_lg_01_lg_02_one_record_is_one_line(log: io.StringIO, text: str) -> None:
    logging.getLogger("uvicorn.error").warning("path %s", text)
    printed = log.getvalue()
    assert printed.count("\n") == 1
    assert printed[:-1].isprintable()


def test_a_traceback_keeps_its_lines_and_no_secret(log: io.StringIO) -> None:
    try:
        raise ValueError(f"password={JWT}\x1b[2J")
    except ValueError:
        logging.getLogger("asyncio").exception("boom")
    printed = log.getvalue()
    assert "Traceback" in printed
    assert "test_console.py" in printed
    assert "canary" not in printed
    assert JWT not in printed
    assert "\x1b" not in printed


def test_a_stack_is_masked_too(log: io.StringIO) -> None:
    logging.getLogger("asyncio").warning("here", stack_info=True)
    assert "Stack (most recent call last)" in log.getvalue()


@pytest.mark.timeout(20)
@pytest.mark.parametrize("text", ["x", "eyJ", "token ", "a?", "?&", "'", 'ticket="', "cookie:", " "])
def test_a_line_is_cut_in_linear_time(log: io.StringIO, text: str) -> None:
    """A million characters: whatever is not linear takes minutes here."""
    logging.getLogger("asyncio").warning(text * (1_000_000 // len(text)))
    assert len(log.getvalue()) < 2200


def test_a_percent_sign_breaks_nothing(log: io.StringIO) -> None:
    logging.getLogger("asyncio").warning("%s", "100%s %d %")
    assert log.getvalue().endswith("100%s %d %\n")


def test_another_handler_with_the_filter_masks_alike() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(console.Masking())
    record = logging.LogRecord("x", logging.INFO, "f", 1, "ticket=%s", (TICKET,), None)
    handler.handle(record)
    assert stream.getvalue() == "ticket=***\n"


def test_an_exception_that_another_handler_formatted_is_masked(log: io.StringIO) -> None:
    try:
        raise ValueError(f"secret={TICKET}")
    except ValueError:
        record = logging.LogRecord("x", logging.INFO, "f", 1, "boom", None, sys.exc_info())
    logging.Formatter().format(record)
    record.exc_info = None
    logging.getLogger("x").handle(record)
    assert TICKET not in log.getvalue()
