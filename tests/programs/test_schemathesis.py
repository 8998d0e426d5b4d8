"""The API's document is true: schemathesis calls every operation, and compares its answers with the document."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from schemathesis import Case
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.config import SchemathesisConfig

from engine.core import Engine
from engine.kernels.channels.fake import FakeChannels
from engine.kernels.provisioners.fake import Die, FakeProvisioner, Misbehave, Say, Step
from engine.server.app import create_app
from engine.settings import Settings
from tests.harness.in_process import Live, serve


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
    config=SchemathesisConfig.from_dict({"generation": {"max-examples": 8, "deterministic": True, "database": "none"}}),
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
