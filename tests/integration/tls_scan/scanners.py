"""sslyze and testssl.sh, run as they come, and what they say: JSON, and an exit code."""

import asyncio
import json
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.tls_scan.serving import Scanned

ROOT = Path(__file__).parents[3]
# An environment of its own, made by `tools/setup scan`: sslyze wants another cryptography than ours.
SSLYZE = ROOT / ".venv-scan/bin/sslyze"


@dataclass(frozen=True, slots=True)
class Said:
    """`code` is the program's own verdict, `printed` what it printed, `found` its JSON."""

    code: int
    printed: str
    found: Any


async def _run(*command: str, report: Path, within: float) -> Said:
    process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT)
    try:
        async with asyncio.timeout(within):
            printed, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    text = printed.decode(errors="replace")
    assert report.exists(), text
    return Said(process.returncode, text, json.loads(report.read_text(encoding="utf-8")))


async def sslyze(scanned: Scanned, *, profile: str = "intermediate", within: float = 60.0) -> Said:
    """Everything that it can try, and whether Mozilla's profile is kept: exit code 0."""
    with tempfile.TemporaryDirectory(prefix="sslyze-") as folder:
        report = Path(folder, "said.json")
        said = await _run(
            *(str(SSLYZE), f"--mozilla_config={profile}", f"--certinfo_ca_file={scanned.authority}"),
            *("--certinfo", "--resum", "--resum_attempts=5", "--early_data", f"--json_out={report}", scanned.place),
            report=report,
            within=within,
        )
    (server,) = said.found["server_scan_results"]
    assert server["scan_status"] == "COMPLETED", said.printed
    return Said(said.code, said.printed, {name: one["result"] for name, one in server["scan_result"].items()})


async def second_opinion(scanned: Scanned, *, path: str = "/auth/session", within: float = 900.0) -> Said:
    """By testssl.sh, all its findings from LOW on. Some three minutes."""
    with tempfile.TemporaryDirectory(prefix="testssl-") as folder:
        report = Path(folder, "said.json")
        return await _run(
            *("testssl", "--quiet", "--color", "0", "--warnings", "off", "--add-ca", str(scanned.authority)),
            *("--severity", "LOW", "--jsonfile", str(report), f"https://{scanned.place}{path}"),
            report=report,
            within=within,
        )
