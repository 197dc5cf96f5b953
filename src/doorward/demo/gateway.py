"""The demo's gateway is the real one, with the page put in: what `doorward run` does, and nothing else.

The command itself stands above this floor; what both call is config.assemble and adapters.gateway.main.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from doorward.adapters.audit.console import install, masked
from doorward.adapters.audit.printing import printing_aside
from doorward.adapters.gateway.main import run
from doorward.adapters.gateway.parts import StartError
from doorward.config.assemble import Assembly
from doorward.config.load import load
from doorward.demo.pages import pages
from doorward.demo.terms import Terms
from doorward.ports import StoreError

NODE: Final = "demo"
STANDARD_INPUT: Final = 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m doorward.demo.gateway", description="The demo's gateway.")
    parser.add_argument("-c", dest="config", type=Path, required=True, help="its doorward.toml")
    parser.add_argument("--bind", required=True, help="as in that file; for the page, like the rest")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--issuer-port", type=int, required=True)
    parser.add_argument("--token-seconds", type=int, required=True)
    parser.add_argument("--lifeline", action="store_true", help="stop when standard input ends")
    chosen = parser.parse_args(arguments)
    terms = Terms(
        bind=chosen.bind, port=chosen.port, issuer_port=chosen.issuer_port, token_seconds=chosen.token_seconds
    )
    read = partial(load, chosen.config, environment={})
    config = read()
    if isinstance(config, list):
        for problem in config:
            _note(str(problem))
        return 2
    with printing_aside() as printer:
        install(printer, level=logging.WARNING)
        try:
            assembly = Assembly(config, load=read, node=NODE, worker=1, note=_note, pages=pages(terms))
            lifeline = STANDARD_INPUT if chosen.lifeline else None
            return run(assembly, lifeline=lifeline, opened=lambda gateway, admin: None)
        except (StartError, StoreError, OSError) as error:
            _note(f"could not start: {error}")
            return 3


def _note(line: str) -> None:
    """To standard error, which is a Printer while the gateway runs: it is written aside."""
    sys.stderr.write(f"gateway: {masked(line)}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
