"""nginx that asks a FastAPI app with `auth_request`: how it is done today without a gateway that knows tokens.

nginx keeps its connections to the check open; the check runs under uvicorn with uvloop and httptools, one process. The
CPU of both counts.
"""

import os
import sys
from importlib import metadata
from pathlib import Path
from typing import ClassVar, Final

from bench.peers.base import START_SECONDS
from bench.peers.doorward import write_secret
from bench.peers.nginx import Nginx
from bench.processes import CORE_UNDER_TEST, Process, free_port

_ROOT: Final = Path(__file__).parents[2]

_UPSTREAM: Final = """
  upstream check {{
    server 127.0.0.1:{port};
    keepalive 64;
    keepalive_requests 1000000;
  }}
"""

_CHECK: Final = """
    location = /-/check {
      internal;
      proxy_pass http://check/check;
      proxy_pass_request_body off;
      proxy_set_header Content-Length "";
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Upgrade "";
    }
"""

_AUTHENTICATION: Final = """
      auth_request /-/check;
      auth_request_set $subject $upstream_http_x_jwt_subject;
      proxy_set_header X-JWT-Subject $subject;
      proxy_set_header Authorization "";
"""


class NginxFastApi(Nginx):
    """nginx as in its own rows, and the check beside it on the same core."""

    name: ClassVar[str] = "nginx+fastapi"
    authenticates: ClassVar[bool] = True
    shows: ClassVar[tuple[str, ...]] = ("x-jwt-subject",)
    only_handshakes: ClassVar[bool] = True
    _check: Process | None = None

    def start(self) -> None:
        self.folder.mkdir()
        secret = self.folder / "issuer.secret"
        write_secret(secret, self.site.secret)
        self._check_port = free_port()
        self._check = Process(
            [
                *(sys.executable, "-m", "uvicorn", "bench.peers.check_app:app", "--port", str(self._check_port)),
                *("--no-access-log", "--log-level", "warning", "--ws", "none", "--backlog", "4096"),
            ],
            folder=self.folder,
            name="check",
            core=CORE_UNDER_TEST,
            environment={**os.environ, "BENCH_SECRET_FILE": str(secret), "PYTHONPATH": str(_ROOT)},
        )
        self._check.wait_listening(self._check_port, seconds=START_SECONDS)
        self.launch()

    def pids(self) -> tuple[int, ...]:
        return tuple(pid for pids in self.parts().values() for pid in pids)

    def parts(self) -> dict[str, tuple[int, ...]]:
        return {"nginx": super().pids(), "check": self._check.pids() if self._check is not None else ()}

    def obituary(self) -> str | None:
        ended = self._check is not None and not self._check.running()
        return self._check.stderr_tail() if self._check is not None and ended else super().obituary()

    def stop(self) -> None:
        if self._check is not None:
            self._check.stop()
        super().stop()

    @classmethod
    def version(cls) -> str:
        return f"FastAPI {metadata.version('fastapi')}"

    def upstream(self) -> str:
        return _UPSTREAM.format(port=self._check_port)

    def authentication(self) -> tuple[str, str]:
        return _CHECK, _AUTHENTICATION
