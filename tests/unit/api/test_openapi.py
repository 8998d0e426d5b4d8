"""The API's document is valid OpenAPI 3.1 and complete."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.routing import Route

from engine.api.http.openapi import documented_path
from engine.models import Event, Item, Result
from engine.server.app import create_app

CONTRACT = {
    "/execute": {"post"},
    "/execute/async": {"post"},
    "/contexts": {"get", "post"},
    "/contexts/{context_id}": {"get", "delete"},
    "/contexts/{context_id}/restart": {"post"},
    "/contexts/{context_id}/interrupt": {"post"},
    "/executions/{execution_id}": {"get"},
    "/executions/{execution_id}/events": {"get"},
    "/executions/{execution_id}/interrupt": {"post"},
    "/executions/{execution_id}/input": {"post"},
    "/contexts/{context_id}/fork": {"post"},
    "/contexts/{context_id}/checkpoints": {"get", "post"},
    "/contexts/{context_id}/checkpoints/{checkpoint}": {"delete"},
    "/contexts/{context_id}/restore": {"post"},
    "/contexts/{context_id}/packages": {"post"},
    "/contexts/{context_id}/files": {"get", "post"},
    "/contexts/{context_id}/files/{path}": {"get", "put", "post", "delete"},
    "/languages": {"get"},
    "/healthz": {"get"},
    "/health": {"get"},
    "/readyz": {"get"},
    "/metrics": {"get"},
    "/": {"get"},
}
PAGES = {"/openapi.json", "/docs", "/redoc", "/docs/{name}", "/_output/frame.html", "/_web/{path:path}"}


@pytest.fixture
def app(make_fake):
    return create_app(make_fake().engine)


@pytest.fixture
def document(app) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(app.state.openapi())
    return found


class TestDocument:
    def test_it_is_valid_openapi_3_1(self, document: dict[str, Any]):
        assert document["openapi"].startswith("3.1.")
        OpenAPIV31SpecValidator(document).validate()

    @pytest.mark.anyio
    async def test_it_is_served(self, api, document: dict[str, Any]):
        response = await (await api()).client.get("/openapi.json")
        assert response.headers["content-type"] == "application/json"
        assert set(response.json()["paths"]) == set(document["paths"])

    def test_every_route_is_in_it(self, make_fake, document: dict[str, Any]):
        served: dict[str, set[str]] = {}
        for route in create_app(make_fake(surfaces=["native"]).engine).routes:
            assert isinstance(route, Route)
            if route.path not in PAGES:
                path = documented_path(route.path)
                served.setdefault(path, set()).update(m.lower() for m in route.methods or () if m != "HEAD")
        documented = {
            path: set(item) & {"get", "post", "put", "delete", "patch"} for path, item in document["paths"].items()
        }
        assert documented == served

    def test_the_operations_of_the_issue_are_there(self, document: dict[str, Any]):
        for path, methods in CONTRACT.items():
            assert methods <= set(document["paths"][path])

    def operations(self, document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        for path, item in document["paths"].items():
            for method, operation in item.items():
                yield f"{method} {path}", operation

    def test_every_operation_is_named_once_summarized_and_tagged(self, document: dict[str, Any]):
        operations = [operation for _, operation in self.operations(document)]
        names = [operation["operationId"] for operation in operations]
        assert len(names) == len(set(names))
        assert all(operation["summary"] and operation["tags"] for operation in operations)

    def test_every_error_answer_has_a_body_with_a_message(self, document: dict[str, Any]):
        for name, operation in self.operations(document):
            for status, answer in operation["responses"].items():
                assert answer["description"]
                if status >= "400":
                    schema = answer["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
                    fields = document["components"]["schemas"][schema]["properties"]
                    assert "message" in fields or "error" in fields or "checks" in fields, (name, status)

    def test_every_operation_with_a_body_documents_400_and_413(self, document: dict[str, Any]):
        for name, operation in self.operations(document):
            if "requestBody" in operation:
                assert {"400", "413"} <= set(operation["responses"]), name

    @pytest.mark.parametrize(
        ("path", "status"),
        [("/execute", "410"), ("/execute/async", "507"), ("/contexts/{context_id}/fork", "507")],
    )
    def test_what_is_rarely_answered_is_documented_too(self, document: dict[str, Any], path: str, status: str):
        assert status in document["paths"][path]["post"]["responses"]

    def test_a_body_of_the_contract_is_described(self, document: dict[str, Any]):
        body = document["components"]["schemas"]["ExecuteBody"]
        assert body["required"] == ["code"]
        assert {"code", "context_id", "language", "env_vars", "timeout_ms"} <= set(body["properties"])
        assert all(field.get("description") for field in body["properties"].values())

    def test_the_fields_of_results_and_items_are_described(self, document: dict[str, Any]):
        schemas = document["components"]["schemas"]
        for kind in (Result, Item):
            assert set(schemas[kind.__name__]["properties"]) == set(kind.__struct_fields__)
        assert schemas["Item"]["required"] == ["is_primary"]

    def test_every_kind_of_event_is_described(self, document: dict[str, Any]):
        for kind in Event.__subclasses__():
            assert document["components"]["schemas"][kind.__name__]["properties"]["type"]

    def test_the_limits_of_this_server_are_told(self, make_fake):
        engine = make_fake(max_timeout=60.0, kernelspecs=[]).engine
        text = create_app(engine).state.openapi().decode()
        assert '"maximum": 60000' in text
        for name in engine.languages.names():
            assert f'"{name}"' in text

    def test_a_token_is_told_where_one_is_needed(self, make_fake):
        plain = json.loads(create_app(make_fake().engine).state.openapi())
        assert "security" not in plain
        guarded = json.loads(create_app(make_fake(token="t").engine).state.openapi())
        OpenAPIV31SpecValidator(guarded).validate()
        assert guarded["security"]
        for name, operation in self.operations(guarded):
            path = name.split()[1]
            assert ("401" in operation["responses"]) == (operation.get("security") != []), name
            assert (operation.get("security") == []) == (path in ("/healthz", "/health", "/readyz")), name
