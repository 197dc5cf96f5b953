"""What a page about several nodes takes for granted: a PostgreSQL and a Redis, and somebody who administers them."""

import asyncio
import os
import shutil
import tempfile
from pathlib import Path

from tests.integration.blocks import Block
from tests.integration.following import Stranger
from tests.servers.postgres import PASSWORD, Postgres, programs
from tests.servers.redis import RedisServer

POSTGRES, REDIS = 5432, 6379


async def stores(who: Stranger, block: Block) -> None:
    """Both as they are once installed, on the ports that the page names."""
    folder = Path(tempfile.mkdtemp(prefix="doorward-page-"))  # not in tmp_path: PostgreSQL's own user can't go there
    who.kept.callback(shutil.rmtree, folder, ignore_errors=True)
    postgres, redis = Postgres(folder), RedisServer(who.folder.parent / "redis")
    postgres.port, redis.port = who.ports[POSTGRES], who.ports[REDIS]
    who.kept.callback(redis.kill)
    redis.restart()
    who.kept.callback(_end, postgres)
    await asyncio.to_thread(postgres.make)
    # `psql` and `redis-cli` of the page, as who may do everything
    who.environment |= {
        "PGHOST": "127.0.0.1",
        "PGPORT": str(postgres.port),
        "PGUSER": "postgres",
        "PGPASSWORD": PASSWORD,
        "PATH": os.pathsep.join([who.environment["PATH"], str(programs())]),
    }
    postgres.sql("DROP ROLE doorward")  # the page makes it


def _end(postgres: Postgres) -> None:
    if postgres.is_running:
        postgres.crash()
