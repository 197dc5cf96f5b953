"""What a server must be before anything is kept in it: a master that forgets nothing by itself, runs Lua, and is 6.2.

It is asked each time we connect: a server that came back may be another one. What it evicts may be set at any time, so
that is asked again and again.
"""

import re
from collections.abc import Mapping
from typing import Final

from redis.exceptions import ResponseError

from doorward.adapters.stores.redis.line import Line
from doorward.ports import StoreError

OLDEST: Final = (6, 2)
FORGOTTEN: Final = ". It let us in before: was Redis restarted without its ACL (aclfile, or the user in redis.conf)?"
_WRONG: Final = "wrong user name or password, or the user is disabled"
_RIGHTS: Final = (_WRONG, "Authentication required", "no permissions", "has no password")
_POLICY: Final = "maxmemory_policy"


async def check_server(line: Line) -> None:
    """Learn who it is (`line.life`). Raises StoreError naming what to set, or RedisError or OSError."""
    try:
        told = read_sections(await line.ask("INFO"))
    except ResponseError as error:
        raise StoreError(f"INFO is refused: {error}. Give the user +info (ACL SETUSER)") from None
    if told.get("cluster_enabled") == "1" and not line.address.cluster:
        raise StoreError("it is a node of a Redis Cluster: begin store.cluster_url with redis+cluster://")
    if told.get("loading", "0") != "0":
        raise StoreError("it is loading its data still")
    version = _version(told.get("redis_version", ""))
    if version < OLDEST:
        raise StoreError(
            f"its version is {told.get('redis_version', 'unknown')}: Redis {'.'.join(map(str, OLDEST))} or later, or "
            "Valkey, is needed"
        )
    check_policy(told)
    if told.get("role") != "master":
        raise StoreError("it is a replica, which can't be written to: name the master in store.cluster_url")
    try:
        await line.ask("EVAL", "return 1", 0)
    except ResponseError as error:
        raise StoreError(f"Lua scripts are refused: {error}. Give the user +@scripting (ACL SETUSER)") from None
    life = told.get("run_id", ""), told.get("master_replid", "")
    if not any(life):
        # After a restart from a snapshot it would be taken for the same, with tickets that were spent since.
        raise StoreError(
            "its INFO tells neither run_id nor master_replid, so nobody could see that it was restarted: it must be "
            "Redis or Valkey itself, and no proxy before it may take them out"
        )
    line.life = "/".join(life)


def words_of(error: Exception) -> str:
    """What a server says, or the system. What follows the word `password` our log masks: that is said in others."""
    words = str(error) or type(error).__name__
    if "without any password configured" in words:
        return "its default user has no password, and store.cluster_url has one"
    return words.replace("invalid username-password pair or user is disabled", _WRONG)


def is_of_rights(why: str) -> bool:
    """It knows us not, or no longer lets us do what we must."""
    return any(words in why for words in _RIGHTS)


def check_policy(told: Mapping[str, str]) -> None:
    """Of INFO's answer, its section `memory` at least. Raises StoreError where the server may forget by itself."""
    policy = told.get(_POLICY, "")
    if policy != "noeviction":
        # Also with maxmemory 0: the limit may be set later (RV-26).
        raise StoreError(
            f"its maxmemory-policy is {policy or 'unknown'}, so it may forget revocations, limits and spent tickets: "
            "set `maxmemory-policy noeviction`"
        )


def read_sections(answer: object) -> Mapping[str, str]:
    """INFO's lines as a table, whichever section they stand in."""
    if not isinstance(answer, bytes):
        raise StoreError("INFO was not understood")
    lines = answer.decode("utf-8", "replace").splitlines()
    return {name: value for name, colon, value in (line.partition(":") for line in lines) if colon}


def _version(text: str) -> tuple[int, ...]:
    """Valkey tells the version of Redis that it is compatible with."""
    found = re.match(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)
