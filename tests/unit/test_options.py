"""The options of an execution: one definition for keywords, bodies, tools and the API document."""

from __future__ import annotations

import json
from typing import Any, get_type_hints

import msgspec
import pytest
from pydantic import ValidationError

from engine.api.mcp.definitions import input_schema
from engine.api.mcp.tools import BY_NAME
from engine.api.native.bodies import ExecuteBody
from engine.errors import InvalidRequest
from engine.options import BODY_FIELDS, ExecuteKeywords, ExecuteOptions, from_body

GIVEN: dict[str, Any] = {
    "env_vars": {"A": "1"},
    "timeout": 2.5,
    "stdin": ["a", "b"],
    "checkpoint": True,
    "on_error": "rollback",
    "variables": True,
    "data": True,
    "check": True,
    "files": False,
    "max_output_bytes": 4096,
    "limits": {"memory": 100_000_000, "cpus": 0.5},
    "isolation": "namespaces",
    "network": "none",
}


def test_every_option_can_be_given_by_keyword():
    assert tuple(get_type_hints(ExecuteKeywords)) == ExecuteOptions.__struct_fields__
    optional, plain = get_type_hints(ExecuteKeywords), get_type_hints(ExecuteOptions)
    for name in ("timeout", "interactive", "on_error", "files", "idempotency_key"):
        assert optional[name] == plain[name]


def test_every_option_is_explained():
    for name, hint in get_type_hints(ExecuteOptions, include_extras=True).items():
        assert hint.__metadata__[0].description.endswith("."), name


def test_a_body_says_every_option_but_those_of_its_request():
    unsaid = {"interactive", "idempotency_key", "prepares"}
    assert set(BODY_FIELDS) == set(GIVEN) == {*ExecuteOptions.__struct_fields__} - unsaid
    schema = ExecuteBody.model_json_schema()["properties"]
    for field in BODY_FIELDS.values():
        assert schema[field.name]["description"] == field.description


@pytest.mark.parametrize("given", [{}, GIVEN, *({name: value} for name, value in GIVEN.items())], ids=str)
def test_options_come_back_from_the_body_that_says_them(given: dict[str, Any]):
    options = ExecuteOptions(**given)
    said = {BODY_FIELDS[name].name: value for name, value in given.items()}
    if "timeout_ms" in said:
        said["timeout_ms"] = round(said["timeout_ms"] * 1000)
    assert ExecuteBody.model_validate_json(json.dumps({"code": "x", **said})).options() == options


@pytest.mark.parametrize(
    ("field", "value"),
    [("timeout_ms", 0), ("env_vars", {"1": "x"}), ("env_vars", {"A": "\0"}), ("on_error", "stop"), ("files", 1)],
)
def test_a_body_has_the_bounds_of_an_option(field: str, value: Any):
    with pytest.raises(ValidationError) as wrong:
        ExecuteBody.model_validate_json(json.dumps({"code": "x", field: value}))
    assert [each["loc"][0] for each in wrong.value.errors()] == [field]


def test_null_means_the_default():
    said = dict.fromkeys((field.name for field in BODY_FIELDS.values()), None)
    assert ExecuteBody.model_validate({"code": "x", **said}).options() == ExecuteOptions()


@pytest.mark.parametrize("name", ["timeout", "env_vars"])
def test_models_are_told_the_same_of_an_option(name: str):
    field = BODY_FIELDS[name]
    assert field.description in json.dumps(input_schema(BY_NAME["execute_code"])["properties"][field.name])


def test_no_number_of_milliseconds_is_too_large():
    class Body(msgspec.Struct):
        timeout_ms: int

    assert from_body(Body(10**400), ["timeout"]).timeout == 10.0**12


def test_options_are_a_value_of_their_own():
    env_vars, stdin = {"A": "1"}, ["a"]
    options = ExecuteOptions(env_vars=env_vars, stdin=stdin).checked()
    env_vars["A"], stdin[0] = "2", "b"
    assert (options.env_vars, options.stdin) == ({"A": "1"}, ("a",))


@pytest.mark.parametrize(
    ("given", "field"), [({"env_vars": {"1": "x"}}, "env_vars.1"), ({"stdin": ["ok", "\ud800"]}, "stdin.1")]
)
def test_what_no_kernel_could_receive_is_named(given: dict[str, Any], field: str):
    with pytest.raises(InvalidRequest) as wrong:
        ExecuteOptions(**given).checked()
    assert [each.field for each in wrong.value.errors] == [field]
