"""HAProxy with `jwt_verify`: one process of one thread, no log. It passes the subject on; no audit and no assertion."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import ClassVar

from bench.peers.base import Peer
from bench.peers.nginx import open_files
from bench.processes import BenchError
from bench.tokens import AUDIENCE, ISSUER

_CONFIGURATION = """
global
  nbthread 1
  maxconn {most}
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout tunnel 1h
frontend front
  bind 127.0.0.1:{port} backlog 4096{tls}
  http-request deny deny_status 401 unless {{ req.hdr(authorization) -m found }}
  http-request set-var(txn.bearer) http_auth_bearer
  http-request set-var(txn.alg) var(txn.bearer),jwt_header_query('$.alg')
  http-request set-var(txn.iss) var(txn.bearer),jwt_payload_query('$.iss')
  http-request set-var(txn.aud) var(txn.bearer),jwt_payload_query('$.aud')
  http-request set-var(txn.exp) var(txn.bearer),jwt_payload_query('$.exp','int')
  http-request set-var(txn.now) date()
  http-request deny deny_status 403 unless {{ var(txn.alg) -m str HS256 }}
  http-request deny deny_status 403 unless {{ var(txn.iss) -m str {issuer} }}
  http-request deny deny_status 403 unless {{ var(txn.aud) -m str {audience} }}
  http-request deny deny_status 403 if {{ var(txn.exp),sub(txn.now) -m int lt 0 }}
  http-request deny deny_status 403 unless {{ var(txn.bearer),jwt_verify(txn.alg,"{secret}") -m int 1 }}
  http-request set-header X-JWT-Subject %[var(txn.bearer),jwt_payload_query('$.sub')]
  http-request del-header Authorization
  default_backend echo
backend echo
  server echo 127.0.0.1:{backend}
"""


class HAProxy(Peer):
    """One process, in the foreground."""

    name: ClassVar[str] = "haproxy"
    authenticates: ClassVar[bool] = True
    shows: ClassVar[tuple[str, ...]] = ("x-jwt-subject",)

    def command(self) -> list[str | Path]:
        tls = ""
        if self.tls:
            both = self.folder / "both.pem"
            both.touch(mode=0o600)
            certificate = self.site.certificate
            both.write_bytes(certificate.certificate.read_bytes() + certificate.key.read_bytes())
            tls = f" ssl crt {both} ssl-min-ver TLSv1.3"
        configuration = self.folder / "haproxy.cfg"
        configuration.write_text(
            _CONFIGURATION.format(
                most=(open_files() - 200) // 2,
                port=self.port,
                tls=tls,
                issuer=ISSUER,
                audience=AUDIENCE,
                secret=self.site.secret.decode(),
                backend=self.site.backend_port,
            )
        )
        return [_binary(), "-db", "-f", configuration]

    @classmethod
    def version(cls) -> str:
        said = subprocess.run([_binary(), "-v"], capture_output=True, text=True, timeout=10, check=True).stdout
        return "haproxy/" + said.split()[2].partition("-")[0]


def _binary() -> str:
    found = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise BenchError("could not start: haproxy is not installed (Debian's package haproxy)")
    return found
