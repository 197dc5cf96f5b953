"""`doorward run`: the gateway. It ends in order on SIGTERM or Ctrl-C, and reads its file again on SIGHUP."""

import os
from typing import TYPE_CHECKING

import typer

from doorward.cli.command import ConfigFile, Exit, config_file, loaded

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Mapping

    from doorward.adapters.audit.printing import Printer
    from doorward.adapters.web.pages import Page
    from doorward.config.config import Config


def run(config: ConfigFile = None) -> None:
    """Stand at the door: serve until SIGTERM or Ctrl-C. SIGHUP reads the file again, all of it or nothing.

    Exit 3 when it could not start.

    Example: doorward run -c doorward.toml
    """
    raise typer.Exit(serve(config))


def serve(path: "pathlib.Path | None", *, pages: "Mapping[str, Page] | None" = None) -> int:
    """Run the gateway of a configuration, and say how it went. `pages` are served beside our own endpoints."""
    from doorward.adapters.audit.console import install
    from doorward.adapters.audit.printing import printing_aside
    from doorward.config.config import Form

    found = loaded(path, warn=True, form=Form.GATEWAY)
    with printing_aside() as printer:
        install(printer)
        return _serve(found, path, pages, printer)


def _serve(found: "Config", path: "pathlib.Path | None", pages: "Mapping[str, Page] | None", printer: "Printer") -> int:
    import secrets
    import shutil
    import socket
    import tempfile
    from pathlib import Path

    from doorward.adapters.audit.console import masked
    from doorward.adapters.gateway.main import serve as serve_parts
    from doorward.adapters.gateway.parts import GatewayParts, Where
    from doorward.adapters.system import even_clock
    from doorward.config.assemble import Assembly
    from doorward.config.config import Form
    from doorward.config.grammar import bracketed
    from doorward.config.load import load
    from doorward.service.noting import unfailing

    ticks = even_clock()
    launched = ticks()
    process = os.getpid()  # the one that takes signals, whoever else works
    # several workers leave their numbers for each other here, so that any one answers a scrape for the node
    folder = Path(tempfile.mkdtemp(prefix="doorward-")) if found.workers > 1 else None
    node = found.node or f"{socket.gethostname()}-{secrets.token_hex(3)}"

    def print_masked(line: str) -> None:
        printer.write(f"{masked(line)}\n")

    note = unfailing(print_masked)

    def build(number: int) -> GatewayParts:
        return Assembly(
            found,
            load=lambda: load(config_file(path), environment=os.environ, form=Form.GATEWAY),
            node=node,
            worker=number + 1,
            note=note,
            folder=folder,
            pages=pages,
            age=lambda: ticks() - launched,
        )

    def opened(gateway: Where, admin: Where) -> None:
        scheme = "https" if found.tls is not None else "http"
        front, back = (f"{bracketed(host)}:{port}" for host, port in (gateway, admin))
        note(f"{node}: gateway on {scheme}://{front}, admin on http://{back}, process {process}")

    try:
        code = serve_parts(
            build, workers=found.workers, opened=opened, note=note, parting=printer.finish, listen=found.listen
        )
        if code == Exit.DONE:
            note(f"{node}: stopped")
        return code
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
