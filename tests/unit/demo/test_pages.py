"""The page's files: all there, nothing inline, nothing from elsewhere, and a word for every ending."""

import re
from dataclasses import replace

import pytest

from doorward.core.endings import ENDINGS
from doorward.demo.pages import pages, policy, settings
from doorward.demo.terms import Terms
from doorward.demo.words import WHY
from doorward.values.decision import Retry

PAGES = pages(Terms())
SCRIPTS = sorted(path for path in PAGES if path.endswith(".js"))


def body(path):
    return PAGES[path].body.decode()


def test_the_page_and_what_it_loads_are_there() -> None:
    assert PAGES["/"].media_type == "text/html; charset=utf-8"
    loaded = re.findall(r'(?:src|href)="([^"]+)"', body("/"))
    imported = {f"/demo/{name}" for path in SCRIPTS for name in re.findall(r'from "\./([^"]+)"', body(path))}
    assert set(loaded) | imported | {"/demo/settings.json"} <= PAGES.keys()
    assert len(SCRIPTS) >= 4


def test_nothing_is_inline() -> None:
    html = body("/")
    assert re.findall(r"<script(?![^>]*\bsrc=)", html) == []
    assert "<style" not in html
    assert re.findall(r"\s(?:style|on[a-z]+)=", html) == []


@pytest.mark.parametrize("path", SCRIPTS)
def test_no_text_becomes_markup_or_code(path) -> None:
    risky = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|srcdoc|setAttribute\(\"on"
    assert re.findall(risky, body(path)) == []


@pytest.mark.parametrize("path", sorted(PAGES))
def test_nothing_comes_from_elsewhere(path) -> None:
    urls = set(re.findall(r"\b(?:https?|wss?)://[^\s\"'`;)]+", body(path)))
    assert urls <= {"http://www.w3.org/2000/svg", Terms().page_url, Terms().socket_url, Terms().issuer_url}


def test_the_policy_names_the_gateway_and_the_issuer_and_no_other() -> None:
    csp = dict(part.split(" ", 1) for part in policy(Terms()).split("; "))
    assert csp["default-src"] == csp["base-uri"] == csp["form-action"] == csp["frame-ancestors"] == "'none'"
    assert csp["script-src"] == csp["style-src"] == "'self'"
    assert csp["connect-src"] == "'self' http://127.0.0.1:8803 ws://127.0.0.1:8800"
    assert all(page.csp == policy(Terms()) for page in PAGES.values())


def test_other_ports_move_the_policy_and_the_settings() -> None:
    terms = replace(Terms(), port=9800, issuer_port=9803)
    assert "connect-src 'self' http://127.0.0.1:9803 ws://127.0.0.1:9800" in policy(terms)
    assert settings(terms)["page"] == "http://127.0.0.1:9800"
    assert settings(terms)["issuer"] == "http://127.0.0.1:9803"


def test_every_ending_has_its_word() -> None:
    assert WHY.keys() == {ending.name for ending in ENDINGS.values()}
    assert all(text.endswith(".") for text in WHY.values())
    assert settings(Terms())["endings"]["revoked"] == {"close": 4002, "retry": "sign_in", "why": WHY["revoked"]}


def test_the_page_knows_what_to_do_after_every_ending() -> None:
    """`stop` is what the page does with anything it does not name."""
    handled = set(re.findall(r'case "([a-z_]+)":', body("/demo/connection.js")))
    assert {retry.value for retry in Retry} - handled == {"stop"}
