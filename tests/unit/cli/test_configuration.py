"""`doorward config`: what it prints can be used, and holds no secret."""

import json
import tomllib

from doorward.config.schema import Settings
from tests.unit.config.making import ISSUER, KEY, ROUTE, SECRET, private


def write(folder, text):
    private(folder / "doorward.key", KEY)
    (folder / "doorward.toml").write_text(text)


def test_show_is_toml_in_effect(doorward, tmp_path) -> None:
    write(tmp_path, ROUTE + f'{ISSUER}algorithms = ["HS256"]\nsecret = "{SECRET}"\n')
    said = doorward("config", "show", DOORWARD_TOKENS__ACCESS_TTL="60s")
    assert (said.code, said.err) == (0, "")
    shown = tomllib.loads(said.out)
    assert shown["server"]["public_url"] == "http://127.0.0.1:8800"
    assert shown["tokens"]["access_ttl"] == "1m"
    assert shown["issuers"][0]["secret"] == "***"
    assert SECRET not in said.out


def test_show_as_json_is_the_same(doorward, tmp_path) -> None:
    write(tmp_path, ROUTE)
    shown = json.loads(doorward("config", "show", "--json").out)
    # TOML has no way to say that there is no [[table]]
    assert {name: value for name, value in shown.items() if value != []} == tomllib.loads(
        doorward("config", "show").out
    )


def test_a_broken_file_as_json(doorward, tmp_path) -> None:
    write(tmp_path, "[server]\nworkers = 0\n")
    said = doorward("config", "show", "--json")
    assert said.code == 2
    assert json.loads(said.out)["problems"][0]["path"] == "server.workers"


def test_schema_and_env_need_no_file(doorward) -> None:
    schema = json.loads(doorward("config", "schema").out)
    assert set(schema["properties"]) == set(Settings.model_fields)
    lines = doorward("config", "env").out.splitlines()
    assert "DOORWARD_SERVER__LISTEN=127.0.0.1:8800" in lines
    assert "DOORWARD_ORIGINS__ALLOW=[]" in lines


def test_alone_it_lists_its_commands(doorward) -> None:
    said = doorward("config")
    assert said.code == 2
    assert all(word in said.out + said.err for word in ("show", "schema", "env"))
