"""`doorward check`: all problems with their places, exit 0 or 2, and what to do next."""

import json

from tests.unit.config.certificates import write_pair
from tests.unit.config.making import KEY, ROUTE, private


def write(folder, text):
    private(folder / "doorward.key", KEY)
    (folder / "doorward.toml").write_text(text)


def test_a_good_file_can_start(doorward, tmp_path) -> None:
    write(tmp_path, '[origins]\nallow = ["https://a.test"]\n' + ROUTE)
    said = doorward("check")
    assert (said.code, said.out) == (0, "")
    assert said.err == (
        "doorward.toml can start (no problems). Next: `doorward run`, or before going live "
        "`doorward check --production`.\n"
    )


def test_a_file_for_the_middleware_is_not_run(doorward, tmp_path) -> None:
    write(tmp_path, '[origins]\nallow = ["https://a.test"]\n[[routes]]\npath = "/chat"\n')
    said = doorward("check")
    assert said.code == 0
    assert "Next: start the application that Doorward stands around, or before" in said.err
    assert "doorward run" not in said.err


def test_warnings_do_not_fail(doorward, tmp_path) -> None:
    write(tmp_path, "")
    said = doorward("check")
    assert said.code == 0
    assert "doorward.toml: routes: warning: there is no route" in said.err
    assert "(1 warning)" in said.err


def test_every_problem_is_shown_with_its_place_and_a_hint(doorward, tmp_path) -> None:
    write(tmp_path, '[server]\nlisten = "0.0.0.0:80"\nworkres = 2\n' + ROUTE + 'lease = { idel = "1m" }\n')
    said = doorward("check", DOORWARD_AUDIT__HASH_CHAIN="maybe")
    assert said.code == 2
    lines = said.err.splitlines()
    assert "doorward.toml:2: server.listen: error: is public, without TLS and without trusted proxies" in lines
    assert "doorward.toml:3: server.workres: error: is no key of the configuration" in lines
    assert '    did you mean "workers"?' in lines
    assert "doorward.toml:7: routes[0].lease.idel: error: is no key of the configuration" in lines
    assert "DOORWARD_AUDIT__HASH_CHAIN: audit.hash_chain: error: is not JSON" in lines
    assert lines[-1].startswith("doorward.toml: 5 errors, 1 warning. Mend the errors, then `doorward check`.")


def test_as_json(doorward, tmp_path) -> None:
    write(tmp_path, "[server]\nworkers = 0\n")
    said = doorward("check", "--json")
    assert (said.code, said.err) == (2, "")
    found = json.loads(said.out)
    assert (found["ok"], found["file"]) == (False, "doorward.toml")
    assert found["problems"][0] == {
        "severity": "error",
        "source": "doorward.toml",
        "line": 2,
        "path": "server.workers",
        "text": "must be at least 1",
        "hint": "",
    }


def test_production_asks_for_more(doorward, tmp_path) -> None:
    write(tmp_path, '[origins]\nallow = ["https://a.dev"]\n' + ROUTE)
    said = doorward("check", "--production")
    assert said.code == 2
    assert "server.public_url: error: is left out" in said.err
    assert said.err.endswith("Mend the errors, then `doorward check --production`.\n")


def test_production_can_be_satisfied(doorward, tmp_path) -> None:
    write_pair(tmp_path, days=36500)
    write(
        tmp_path,
        '[server]\nlisten = "0.0.0.0:443"\npublic_url = "https://rt.acme.dev"\n'
        'tls = { certificate_file = "cert.pem", key_file = "key.pem" }\n[origins]\nallow = ["https://a.dev"]\n' + ROUTE,
    )
    said = doorward("check", "--production")
    assert said.code == 0
    assert "doorward.toml is fit to go live" in said.err


def test_a_secret_is_never_printed(doorward, tmp_path) -> None:
    canary = "hunter2-hunter2-hunter2"
    write(tmp_path, f'[[issuers]]\nissuer = "i"\naudience = "a"\nalgorithms = ["HS256"]\nsecret = "{canary}"\n')
    said = doorward("check")
    assert said.code == 2
    assert "issuers[0].secret: error: has 23 bytes" in said.err
    assert canary not in said.err + said.out + doorward("check", "--json").out
