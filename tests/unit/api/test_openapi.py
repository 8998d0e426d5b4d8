"""The API's document is valid OpenAPI 3.1, complete, and true: schemathesis calls every operation and compares."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis import Case
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.config import SchemathesisConfig
from starlette.routing import Route

from engine.api.http.openapi import documented_path
from engine.core import Engine
from engine.kernels.channels.fake import FakeChannels
from engine.kernels.provisioners.fake import Die, FakeProvisioner, Misbehave, Say, Step
from engine.models import Event, Item, Result
from engine.server.app import create_app
from engine.settings import Settings
from tests.harness.in_process import Live, serve

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
PAGES = {"/openapi.json", "/docs", "/redoc", "/docs/{name}"}


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


class AnyCode(dict[str, list[Step]]):
    """A script that has something for any code: output of every kind, errors, deaths, broken protocol."""

    KINDS: tuple[list[Step], ...] = (
        [Say("execute_result", {"data": {"text/plain": "2"}, "execution_count": 1})],
        [Say("stream", {"name": "stdout", "text": "a\rb\n"}), Say("stream", {"name": "stderr", "text": "é"})],
        [Say("error", {"ename": "E", "evalue": "v", "traceback": ["\x1b[31mt"]})],
        [Say("display_data", {"data": {"application/json": [None], "x/y": {"a": 1}}, "metadata": {"a": 1}})],
        [Say("stream", {"name": "stdout", "text": "x" * 5000})] * 3,
        [Say("display_data", {"data": {"image/png": b"\x89" * 3000}})] * 3,
        [Die()],
        [Say("clear_output", {"wait": True}), Misbehave(reply=True, idle=True)],
        [Say("display_data", {"data": [], "metadata": 5}), Say("stream", {"text": None})],
    )

    def get(self, key: str, default: Any = None) -> Any:
        return super().get(key) or self.KINDS[sum(map(ord, key)) % len(self.KINDS)]


SETTINGS = Settings(
    max_contexts=4,
    max_executions=50,
    max_request_bytes=50_000,
    max_stream_bytes=2048,
    max_output_bytes=8192,
    interrupt_grace=0.1,
    packages=False,  # nothing is to be fetched by names that are made up
)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    settings = SETTINGS.model_copy(update={"run_dir": tmp_path_factory.mktemp("schemathesis") / "run"})
    script = AnyCode(
        fork_request=[Say("fork_reply", {"status": "error", "obstacles": [{"kind": "k", "name": "n"}]})],
        complete_request=[
            Say(
                "complete_reply", {"status": "ok", "matches": ["x"], "cursor_start": 0, "cursor_end": 1, "metadata": {}}
            )
        ],
        inspect_request=[Say("inspect_reply", {"status": "ok", "found": False, "data": {}, "metadata": {}})],
        is_complete_request=[Say("is_complete_reply", {"status": "complete"})],
        variables_request=[Say("variables_reply", {"status": "ok", "items": [], "total": 0, "truncated": False})],
    )
    engine = Engine(settings, provisioner=FakeProvisioner.of(script), channels=FakeChannels)
    with serve(engine) as server:
        yield server
        assert len(engine.contexts) <= 4
        assert len(engine.executions) <= 50 + 4 * 33


load_all_checks()
schema = schemathesis.openapi.from_dict(
    json.loads(create_app(Engine(SETTINGS)).state.openapi()),
    config=SchemathesisConfig.from_dict(
        {"generation": {"max-examples": 20, "deterministic": True, "database": "none"}}
    ),
)
SHAPES = [
    CHECKS.get_one(name)
    for name in (
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
    )
]
# A valid value may still name what is not there: a directory, a language that is not installed.
NOT_DECIDABLE = [CHECKS.get_one("positive_data_acceptance")]
# 501 is an answer like others: a language whose kernel cannot do it.
NO_FAULT = [CHECKS.get_one("not_a_server_error")]


def call_and_compare(case: Case, live: Live, checks: list[Any] | None = None) -> None:
    response = case.call(base_url=live.url, timeout=20)
    excluded = NOT_DECIDABLE + (NO_FAULT if response.status_code == 501 else [])
    case.validate_response(response, checks=checks, excluded_checks=excluded)


@schema.parametrize()
def test_every_operation_answers_as_its_document_says(case: Case, live: Live):
    call_and_compare(case, live)


@schema.include(path_regex=r"\{").parametrize()
def test_every_operation_on_what_exists_answers_as_its_document_says(case: Case, live: Live):
    made = httpx.post(live.url + "/execute", json={"code": "x", "context_id": "existing"}, timeout=20).json()
    ids = {"execution_id": made["execution_id"], "context_id": "existing", "checkpoint": "none", "path": "a/b.txt"}
    for name in case.path_parameters:
        case.path_parameters[name] = ids[name]
    call_and_compare(case, live, SHAPES)
