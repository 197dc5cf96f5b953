"""sslyze and testssl.sh against a real gateway, TLS 1.2 and 1.3, then 1.3 only; some six minutes.

What they say is kept in .reports/conformance/tls.json. Exit 1 for a finding of MEDIUM or worse that EXPLAINED lacks.
"""

import asyncio
import json
import sys
from typing import Any

from tests.integration.autobahn.kept import FOLDER
from tests.integration.tls_scan.scanners import second_opinion, sslyze
from tests.integration.tls_scan.serving import MINIMA, under_tls

GRAVE = ("MEDIUM", "HIGH", "CRITICAL")
CERTIFICATE = "of the certificate, which is the test's own: a day old, signed by an authority of this run"
EXPLAINED = {
    "cert_expirationStatus": CERTIFICATE,
    "cert_notAfter": CERTIFICATE,
    "cert_revocation": CERTIFICATE,
    "DNS_CAArecord": "of the name, which is localhost",
    "engine_problem": "of the scanner's own OpenSSL: it has no GOST",
    "HTTP_status_code": "nobody is signed in: 401 is the answer",
}


async def main() -> int:
    told: dict[str, Any] = {}
    for minimum in MINIMA:
        async with under_tls(minimum) as scanned:
            by_sslyze = await sslyze(scanned)
            by_testssl = await second_opinion(scanned)
        found = {
            one["id"]: {"severity": one["severity"], "finding": one["finding"], "why": EXPLAINED.get(one["id"], "")}
            for one in by_testssl.found
            if one["severity"] != "OK"
        }
        told[minimum] = {"sslyze": by_sslyze.code, "testssl": found}
        print(f"{minimum}: sslyze {by_sslyze.code}, testssl.sh {[*found]}", flush=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "tls.json").write_text(json.dumps(told, indent=1), encoding="utf-8")
    wrong = [
        f"{minimum}: {name}: {one}"
        for minimum, said in told.items()
        for name, one in said["testssl"].items()
        if one["severity"] in GRAVE and not one["why"]
    ]
    print("\n".join(wrong) or "nothing of MEDIUM or worse that is not explained")
    return 1 if wrong or any(said["sslyze"] for said in told.values()) else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
