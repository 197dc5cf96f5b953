"""What of the recipes no client shows: that each speaks of every header, and that their configuration is one."""

import shutil

import pytest
from typer.testing import CliRunner

from doorward.cli import app
from tests.integration.verify.recipes import FOLDER

SEVEN = ("Issuer", "Subject", "Roles", "Permissions", "Tenant", "Session", "Expires")
GATEWAYS = ("Connection", "Assertion")


def test_the_configuration_starts_without_a_warning(tmp_path) -> None:
    run = CliRunner()
    made = run.invoke(app, ["init", "--backend", "ws://127.0.0.1:9000", "-c", str(tmp_path / "made.toml")])
    assert made.exit_code == 0, made.output
    shutil.copy(FOLDER / "doorward.toml", tmp_path)
    checked = run.invoke(app, ["check", "-c", str(tmp_path / "doorward.toml")])
    assert (checked.exit_code, "no problems" in checked.output) == (0, True), checked.output


@pytest.mark.parametrize("name", ["nginx.conf", "Caddyfile", "traefik.yaml"])
def test_a_recipe_names_every_header(name) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8")
    wildcard = "-*doorward*" in text
    wanted = [f"X-Doorward-{header}" for header in (*SEVEN, *(() if wildcard else GATEWAYS))]
    assert [header for header in wanted if header not in text] == []


def test_envoys_takes_all_that_it_is_told() -> None:
    text = (FOLDER / "envoy.yaml").read_text(encoding="utf-8")
    assert "allowed_upstream_headers: { patterns: [{ prefix: x-doorward-" in text
    assert "x-doorward-connection, x-doorward-assertion, authorization" in text
    assert "failure_mode_allow: false" in text


def test_the_one_that_nobody_has_run_says_so() -> None:
    assert "Checked against documentation only" in (FOLDER / "traefik.yaml").read_text(encoding="utf-8")
