"""The description says all that the table and the models say, and nothing else."""

import json
from collections.abc import Iterator
from typing import Any

from doorward.adapters.admin import asked, models, openapi
from doorward.adapters.admin.acts import OPERATIONS

DOCUMENT: dict[str, Any] = json.loads(openapi.document(OPERATIONS, version="1.2.3"))
OPEN = {"/metrics", "/healthz", "/readyz"}


def described() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for member in value.values():
            yield from references(member)
    elif isinstance(value, list):
        for member in value:
            yield from references(member)


def test_every_call_is_described_and_no_other() -> None:
    served = {(operation.method, operation.path) for operation in OPERATIONS}
    told = {(method, path) for method, path, _ in described()}
    assert told == served | {("GET", "/openapi.json")} | {("GET", path) for path in OPEN}
    names = [operation["operationId"] for _, _, operation in described()]
    assert len(names) == len(set(names))
    assert (DOCUMENT["openapi"], DOCUMENT["info"]["version"]) == ("3.1.0", "1.2.3")


def test_every_parameter_body_and_answer_is_described() -> None:
    for operation in OPERATIONS:
        told = DOCUMENT["paths"][operation.path][operation.method.lower()]
        query = {one["name"] for one in told["parameters"] if one["in"] == "query"}
        assert query == set(operation.parameters.model_fields)
        assert {one["name"] for one in told["parameters"] if one["in"] == "path"} == (
            {"id"} if "{id}" in operation.path else set()
        )
        assert ("Idempotency-Key" in {one["name"] for one in told["parameters"]}) is operation.keyed
        assert ("requestBody" in told) is (operation.body is not None)
        for status, (_, model) in operation.answers.items():
            schema = told["responses"][str(status)]["content"]["application/json"]["schema"]
            assert schema == {"$ref": f"#/components/schemas/{model.__name__}"}
        assert {"400", "401", "405", "421", "429", "500", "503"} <= told["responses"].keys()
        if operation.writes:
            assert {"403", "413", "415"} <= told["responses"].keys()


def test_every_reference_leads_somewhere() -> None:
    found = set(references(DOCUMENT))
    assert found
    for reference in found:
        value: Any = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            value = value[part]
        assert value


def test_every_model_is_described_as_it_is() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    for name, schema in schemas.items():
        model = getattr(models, name, None) or getattr(asked, name)
        assert set(schema["properties"]) == set(model.model_fields), name
        assert schema["additionalProperties"] is False, name


def test_only_health_and_metrics_need_no_token() -> None:
    assert DOCUMENT["security"] == [{"admin": []}]
    assert {path for _, path, operation in described() if operation.get("security") == []} == OPEN


def test_every_problem_is_a_problem() -> None:
    for status, response in DOCUMENT["components"]["responses"].items():
        assert list(response["content"]) == ["application/problem+json"]
        assert int(status) >= 400
    assert "WWW-Authenticate" in DOCUMENT["components"]["responses"]["401"]["headers"]
    assert "Allow" in DOCUMENT["components"]["responses"]["405"]["headers"]
