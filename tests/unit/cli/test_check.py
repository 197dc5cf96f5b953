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


def test_it_says_that_it_has_asked_no_server(doorward, tmp_path) -> None:
    stores = (
        '[store]\nurl = "postgresql://doorward:secret-5@db.test/doorward?sslmode=verify-full"\n'
        'cluster_url = "rediss://doorward:secret-7@redis.test"\n'
    )
    write(tmp_path, '[origins]\nallow = ["https://a.test"]\n' + stores + ROUTE)
    said = doorward("check")
    assert said.code == 0
    assert (
        "No server was tried: whether those of store.url and store.cluster_url answer, `doorward run` says." in said.err
    )
    assert "secret" not in said.err


def test_a_file_for_the_middleware_is_not_run(doorward, tmp_path) -> None:
    write(tmp_path, '[origins]\nallow = ["https://a.test"]\n[[routes]]\npath = "/chat"\n')
    said = doorward("check")
    assert said.code == 0
    assert "Next: start the application that Doorward stands around, or before" in said.err
    assert "doorward run" not in said.err


GATEWAYS_OWN = ("server.tls", "server.listen", "server.workers", "admin.listen", "backend", "assertion")
APP = (
    '[server]\npublic_url = "https://rt.acme.dev"\ntrusted_proxies = ["10.0.0.1"]\n'
    '[origins]\nallow = ["https://a.dev"]\n[[routes]]\npath = "/chat"\npermission = "chat:join"\n'
)


def test_the_middlewares_file_goes_live_without_what_is_the_gateways(doorward, tmp_path) -> None:
    write(tmp_path, APP)
    said = doorward("check", "--production")
    assert said.code == 0, said.err
    assert "doorward.toml is fit to go live" in said.err
    assert "Next: start the application that Doorward stands around." in said.err
    assert not any(key in said.err for key in GATEWAYS_OWN), said.err


def test_what_concerns_both_is_asked_of_the_middleware_as_well(doorward, tmp_path) -> None:
    write(tmp_path, '[store]\nurl = "memory:"\n[audit]\nfile = ""\n[[routes]]\npath = "/chat"\n')
    said = doorward("check", "--production")
    assert said.code == 2
    for key in ("server.public_url", "store.url", "audit.file"):
        assert f"{key}: error:" in said.err
    assert "server.trusted_proxies: warning: names no proxy" in said.err
    assert "routes[0].path: warning: asks for no permission" in said.err


def test_a_listener_of_the_gateways_is_nothing_to_the_middleware(doorward, tmp_path) -> None:
    listener = '[server]\nlisten = "0.0.0.0:80"\n'
    write(tmp_path, APP.replace("[server]\n", listener))
    assert doorward("check").code == 0
    write(tmp_path, APP.replace("[server]\n", listener).replace('trusted_proxies = ["10.0.0.1"]\n', "") + ROUTE)
    assert doorward("check").code == 2


def test_one_file_for_both_is_checked_for_the_middleware_when_told_so(doorward, tmp_path) -> None:
    both = APP.replace("/chat", "/talk") + ROUTE + 'permission = "chat:join"\nassertion_algorithm = "none"\n'
    write(tmp_path, both)
    assert "routes[0]" in doorward("check").err, "one route has no backend, and others have"
    said = doorward("check", "--middleware")
    assert said.code == 0
    assert "before going live `doorward check --middleware --production`" in said.err
    said = doorward("check", "--middleware", "--production")
    assert said.code == 0, said.err
    assert not any(key in said.err for key in GATEWAYS_OWN), said.err
    write(tmp_path, both.replace("https://rt", "http://rt"))
    said = doorward("check", "--middleware", "--production")
    assert said.code == 2
    assert "then `doorward check --middleware --production`." in said.err


def test_what_only_a_front_of_ours_can_read_is_an_error_in_the_middleware(doorward, tmp_path) -> None:
    write(tmp_path, APP.replace("[origins]", 'forwarded_header = "proxy-protocol"\n[origins]'))
    said = doorward("check")
    assert said.code == 2
    assert "can't be PROXY protocol in the middleware" in said.err


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
