"""The description of the admin listener (OpenAPI 3.1), made of the table and the models that serve its requests."""

import json
from collections.abc import Iterable
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

from doorward.adapters.admin import models
from doorward.adapters.admin.answers import JSON, PROBLEM
from doorward.adapters.admin.operations import KEY, Operation
from doorward.values.administrator import AdminRole

PATH: Final = "/openapi.json"
_REF: Final = "#/components/schemas/{model}"
_PROBLEMS: Final = {
    400: "A parameter, header or member of the body is not as described.",
    401: "No admin token, or none that is good now. For a whole tenant, issuer or large network: none issued lately.",
    403: "The token is a viewer's, or a page of another site sent the request.",
    404: "There is no such thing.",
    405: "Not at this path.",
    408: "The body did not come within 10 s.",
    413: "The body is over 64 KiB.",
    415: "The body is not application/json.",
    421: "The Host is none of ours.",
    422: "The Idempotency-Key is that of another revocation.",
    429: "Too many refusals from this address.",
    500: "A fault of ours, which is in the audit log.",
    503: "A store is away.",
}
_WRITES: Final = (403, 408, 413, 415)
_ALWAYS: Final = (400, 401, 405, 421, 429, 500, 503)


def document(operations: Iterable[Operation], *, version: str) -> bytes:
    """The description as JSON."""
    operations = tuple(operations)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    paths[PATH] = {"get": _own()}
    paths.update(_open())
    described = {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "Doorward's admin API",
            "version": version,
            "description": "On the admin listener. One request per connection; nothing may be cached.",
        },
        "security": [{"admin": []}],
        "paths": paths,
        "components": {
            "schemas": _schemas(operations),
            "responses": {str(status): _problem(status) for status in _PROBLEMS},
            "securitySchemes": {
                "admin": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "doorward token issue --admin viewer|operator",
                }
            },
        },
    }
    return json.dumps(described, separators=(",", ":")).encode("ascii")


def _operation(operation: Operation) -> dict[str, Any]:
    problems = {*_ALWAYS, *(_WRITES if operation.writes else ())}
    if operation.id is not None:
        problems.add(404)
    if operation.keyed:
        problems.add(422)
    role = "an operator's" if operation.role is AdminRole.OPERATOR else "any"
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": f"With {role} admin token.",
        "parameters": _parameters(operation),
        "responses": {
            str(status): _answer(text, model, located=status == 201 and operation.keyed)
            for status, (text, model) in operation.answers.items()
        }
        | _refusals(problems),
    }
    if operation.body is not None:
        schema = operation.body.json_schema(ref_template=_REF)
        schema.pop("$defs", None)
        described["requestBody"] = {"required": operation.body_required, "content": {JSON: {"schema": schema}}}
    return described


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if operation.id is not None:
        found.append({"name": "id", "in": "path", "required": True, "schema": operation.id.json_schema()})
    members = operation.parameters.model_json_schema(ref_template=_REF).get("properties", {})
    for name, schema in members.items():
        kept = {key: value for key, value in schema.items() if key not in {"title", "description"}}
        found.append(
            {
                "name": name,
                "in": "query",
                "required": False,
                "description": schema.get("description", ""),
                "schema": _without_null(kept),
            }
        )
    if operation.keyed:
        about = "A name of your own for this revocation: sent twice, it is done once."
        found.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "description": about,
                "schema": KEY.json_schema(),
            }
        )
    return found


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter that is left out is not there: a URL has no null."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    rest = {name: value for name, value in schema.items() if name not in {"anyOf", "default"}}
    return {**kinds[0], **rest}


def _own() -> dict[str, Any]:
    return {
        "operationId": "describe",
        "summary": "This description",
        "description": "With any admin token.",
        "responses": {"200": {"description": "It.", "content": {JSON: {"schema": {"type": "object"}}}}}
        | _refusals({401, 405, 421, 429, 500, 503, 400}),
    }


def _open() -> dict[str, Any]:
    """What needs no token."""
    status = {"type": "object", "properties": {"status": {"const": "ok"}}, "required": ["status"]}
    well = {"description": "It is.", "content": {JSON: {"schema": status}}}
    numbers = {"description": "The node's numbers.", "content": {"text/plain": {"schema": {"type": "string"}}}}

    def call(name: str, summary: str, good: dict[str, Any], problems: set[int]) -> dict[str, Any]:
        responses = {"200": good} | _refusals(problems)
        return {"get": {"operationId": name, "summary": summary, "security": [], "responses": responses}}

    return {
        "/metrics": call("metrics", "Metrics in the Prometheus text format", numbers, {400, 405, 421, 500}),
        "/healthz": call("alive", "The process answers", well, {400, 405, 500}),
        "/readyz": call("ready", "The stores would take a write, nothing drains", well, {400, 405, 500, 503}),
    }


def _refusals(problems: set[int]) -> dict[str, Any]:
    return {str(status): {"$ref": f"#/components/responses/{status}"} for status in sorted(problems)}


def _answer(text: str, model: type[BaseModel], *, located: bool) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "description": text,
        "content": {JSON: {"schema": {"$ref": _REF.format(model=model.__name__)}}},
    }
    if located:
        answer["headers"] = {"Location": {"description": "Where it is.", "schema": {"type": "string"}}}
    return answer


def _problem(status: int) -> dict[str, Any]:
    described: dict[str, Any] = {
        "description": _PROBLEMS[status],
        "content": {PROBLEM: {"schema": {"$ref": _REF.format(model=models.Problem.__name__)}}},
    }
    name = {401: "WWW-Authenticate", 405: "Allow", 429: "Retry-After", 503: "Retry-After"}.get(status)
    if name is not None:
        described["headers"] = {name: {"required": True, "schema": {"type": "string"}}}
    return described


def _schemas(operations: Iterable[Operation]) -> dict[str, Any]:
    answered = {model for operation in operations for _, model in operation.answers.values()} | {models.Problem}
    given = models_json_schema(
        [(model, "serialization") for model in sorted(answered, key=lambda model: model.__name__)], ref_template=_REF
    )[1]["$defs"]
    for operation in operations:
        if operation.body is not None:
            asked = _named(operation.body)
            given |= asked
    return dict(sorted(given.items()))


def _named(body: TypeAdapter[Any]) -> dict[str, Any]:
    schema = body.json_schema(ref_template=_REF)
    defined: dict[str, Any] = schema.get("$defs", {})
    return defined
