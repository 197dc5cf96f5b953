"""`python -m tests.fuzz [--seconds N] [TARGET …]`: each target by atheris, one after another, for a bounded time.

The corpus lies in .fuzz/ and grows from run to run; it is not committed. Ends with 1 when something was found, whose
input is then in .fuzz/found/: it belongs into seeds.FINDS, and mended.
"""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

HOME = Path(".fuzz")
MODULES = [
    "doorward.core",
    "doorward.config",
    "doorward.adapters.gateway.heads",
    "doorward.adapters.gateway.proxy_protocol",
]


def fuzz(name: str, seconds: int) -> None:
    """In a process of its own: libFuzzer ends the one that it runs in."""
    import atheris  # type: ignore[import-untyped]  # in .venv-fuzz alone

    with atheris.instrument_imports(include=MODULES):
        from tests.fuzz.targets import TARGETS
    from tests.fuzz.seeds import DICTIONARY, FINDS, SEEDS

    corpus, found = HOME / name, HOME / "found"
    corpus.mkdir(parents=True, exist_ok=True)
    found.mkdir(exist_ok=True)
    known = [data for target, data in FINDS if target == name]
    for number, seed in enumerate([*SEEDS[name], *known]):
        (corpus / f"seed-{number}").write_bytes(seed)
    words = HOME / f"{name}.dict"
    lines = ['"' + "".join(f"\\x{byte:02x}" for byte in word) + '"' for word in DICTIONARY.get(name, [])]
    words.write_text("\n".join(lines) + "\n")
    options = [f"-max_total_time={seconds}", "-max_len=20000", "-timeout=10", "-rss_limit_mb=2048", "-len_control=20"]
    options += [f"-dict={words}", f"-artifact_prefix={found}/{name}-", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], TARGETS[name])
    atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--seconds", type=int, default=20, help="for each target")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        fuzz(asked.targets[0], asked.seconds)
        return 0
    from tests.fuzz.targets import TARGETS

    failed = []
    for name in asked.targets or TARGETS:
        command = [sys.executable, "-m", "tests.fuzz", "--one", "--seconds", str(asked.seconds), name]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=asked.seconds + 120, env=os.environ)
        said = ended.stdout + ended.stderr
        runs = re.findall(r"stat::number_of_executed_units: (\d+)", said)
        covered = re.findall(r"cov: (\d+)", said)
        outcome = "nothing found" if ended.returncode == 0 else "FOUND"
        print(
            f"{name}: {outcome} in {runs[-1] if runs else '?'} inputs, coverage {covered[-1] if covered else '?'}",
            flush=True,
        )
        if ended.returncode:
            failed.append(name)
            print("\n".join(said.splitlines()[-40:]), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
