"""The table of the admin API: every call, who may make it, what it takes and what it answers. What is not here is 404.

Requests are dispatched, read and described by this table alone (api.py, openapi.py).
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from pydantic import BaseModel, TypeAdapter

from doorward.adapters.admin.asked import Asked, IdempotencyKey, NoParameters
from doorward.ports import PresentConnection
from doorward.service.administer import Done, KeyTaken, Order, Page, Told
from doorward.service.overview import Overview
from doorward.values.administrator import Administrator, AdminRole
from doorward.values.ban import Ban
from doorward.values.revocation import Revocation


class Administration(Protocol):
    """service.administer.Administration. Every method raises StoreError."""

    @property
    def now(self) -> float: ...

    async def connections(
        self, wanted: Mapping[str, str], *, after: tuple[int, str] | None, limit: int
    ) -> Page[PresentConnection]: ...

    async def connection(self, id: str) -> PresentConnection | None: ...

    async def close(self, connection: str, *, cause: str, key: str, by: str) -> Done | KeyTaken: ...

    async def revocations(self, *, before: int | None, limit: int) -> Page[Revocation]: ...

    async def revocation(self, id: str) -> Told | None: ...

    async def revoke(self, order: Order, *, by: str) -> Done | KeyTaken: ...

    async def bans(self, *, after: int, limit: int) -> Page[Ban]: ...

    async def ban(self, wanted: Ban) -> tuple[Ban, bool]: ...

    async def unban(self, id: int) -> Ban | None: ...

    async def overview(self) -> Overview:
        """Raises OSError too, where this node's own counts can't be read."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request that was let in and read. `id` is the path's, `key` the Idempotency-Key without quotes, or ""."""

    administration: Administration
    administrator: Administrator
    parameters: Any
    body: Any
    id: Any
    key: str
    version: str


@dataclass(frozen=True, slots=True)
class Answered:
    """`did` is for the audit: what was so before and what is so now. Empty: nothing was changed."""

    status: int
    model: BaseModel
    location: str = ""
    did: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """404: there is no such thing. 422: the key is another revocation's. 401: a token issued lately is wanted.

    `did` as in Answered, where something was done all the same.
    """

    status: int
    detail: str = ""
    did: str = ""


Act = Callable[[Call], Awaitable[Answered | Failed]]


@dataclass(frozen=True, slots=True)
class Operation:
    """`id` is what the path's {id} must be; `body` None: none is read. `answers`: by status, what it says and as what.
    `keyed`: it takes an Idempotency-Key."""

    method: str
    path: str
    name: str
    summary: str
    act: Act
    answers: Mapping[int, tuple[str, type[BaseModel]]]
    role: AdminRole = AdminRole.VIEWER
    parameters: type[Asked] = NoParameters
    id: TypeAdapter[Any] | None = None
    id_is_number: bool = False
    body: TypeAdapter[Any] | None = None
    body_required: bool = True
    keyed: bool = False

    @property
    def writes(self) -> bool:
        return self.method != "GET"


KEY: Final[TypeAdapter[Any]] = TypeAdapter(IdempotencyKey)


def found(operations: tuple[Operation, ...], path: str) -> tuple[dict[str, Operation], str]:
    """The calls at a path, by their method, and what stands for {id} in it. An empty table: nothing is there."""
    parts = path.split("/")
    there: dict[str, Operation] = {}
    id = ""
    for operation in operations:
        wanted = operation.path.split("/")
        if len(wanted) == len(parts) and all(
            want == part or (want == "{id}" and part) for want, part in zip(wanted, parts, strict=True)
        ):
            there[operation.method] = operation
            if "{id}" in wanted:
                id = parts[wanted.index("{id}")]
    return there, id
