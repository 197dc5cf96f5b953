"""nginx as its manual sets up WebSocket proxying: one worker, no access log, no authentication."""

import os
import resource
import shutil
import subprocess
from pathlib import Path
from typing import ClassVar

from bench.peers.base import Peer
from bench.processes import BenchError

_CONFIGURATION = """
{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile {files};
pid {folder}/nginx.pid;
error_log {folder}/error.log error;
events {{ worker_connections {files}; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
{upstream}  server {{
    listen 127.0.0.1:{port}{ssl} backlog=4096;
    {certificate}
{check}    location / {{
      proxy_pass http://127.0.0.1:{backend};
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection "upgrade";
{authentication}      proxy_read_timeout 1h;
      proxy_send_timeout 1h;
    }}
  }}
}}
"""


class Nginx(Peer):
    """Master and one worker."""

    name: ClassVar[str] = "nginx"
    authenticates: ClassVar[bool] = False

    def command(self) -> list[str | Path]:
        certificate = self.site.certificate
        tls = (
            f"ssl_certificate {certificate.certificate}; ssl_certificate_key {certificate.key}; ssl_protocols TLSv1.3;"
            if self.tls
            else ""
        )
        check, authentication = self.authentication()
        configuration = self.folder / "nginx.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                # As root the worker would otherwise become a user who can't write the scratch folder.
                user="user root;" if os.geteuid() == 0 else "",
                files=open_files(),
                folder=self.folder,
                port=self.port,
                ssl=" ssl" if self.tls else "",
                certificate=tls,
                backend=self.site.backend_port,
                upstream=self.upstream(),
                check=check,
                authentication=authentication,
            )
        )
        return [_binary(), "-p", self.folder, "-e", self.folder / "error.log", "-c", configuration]

    def upstream(self) -> str:
        """Servers besides the backend."""
        return ""

    def authentication(self) -> tuple[str, str]:
        """How it finds out who comes: a location of its own, and what the backend's location says of it."""
        return "", ""

    @classmethod
    def version(cls) -> str:
        said = subprocess.run([_binary(), "-v"], capture_output=True, text=True, timeout=10, check=True).stderr
        return said.strip().removeprefix("nginx version: ")


def open_files() -> int:
    """The open-file limit that a peer inherits."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _binary() -> str:
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise BenchError("could not start: nginx is not installed (Debian's package nginx)")
    return found
