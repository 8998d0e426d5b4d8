"""Tools for models: their schemas are valid, in the shape that each vendor takes, and true."""

from __future__ import annotations

import json

import jsonschema
import pytest

from engine.api.mcp.tools import BY_NAME, TOOLS, check_arguments, definitions, input_schema, output_schema
from engine.errors import InvalidRequest


def test_the_tools_cover_code_contexts_variables_branches_and_files() -> None:
    assert set(BY_NAME) >= {
        "execute_code",
        "get_execution",
        "interrupt_execution",
        "create_context",
        "list_contexts",
        "delete_context",
        "list_variables",
        "fork_context",
        "list_files",
        "read_file",
        "write_file",
    }


def test_schemas_are_valid_closed_and_explained() -> None:
    for tool in TOOLS:
        given, answered = input_schema(tool), output_schema(tool)
        for schema in (given, answered):
            jsonschema.Draft202012Validator.check_schema(schema)
            assert schema["type"] == "object", tool.name
            assert "$ref" not in json.dumps(schema), tool.name
        assert given["additionalProperties"] is False, tool.name
        assert all("description" in json.dumps(field) for field in given["properties"].values()), tool.name


def test_openai_takes_them_strictly_where_that_can_be() -> None:
    for function in definitions("openai"):
        assert function["type"] == "function"
        parameters = function["function"]["parameters"]
        assert set(parameters["required"]) == set(parameters["properties"]), function
        assert parameters["additionalProperties"] is False, function
        if function["function"]["strict"]:
            text = json.dumps(parameters["properties"])
            assert '"additionalProperties": {' not in text, function
            assert '"default"' not in text, function


def test_what_openai_calls_with_null_counts_as_left_out() -> None:
    given = {"code": "1", "context_id": None, "timeout_ms": None, "language": None, "background": None}
    assert check_arguments(BY_NAME["execute_code"], given).language == "python"
    with pytest.raises(InvalidRequest) as wrong:
        check_arguments(BY_NAME["execute_code"], {"code": 1})
    assert wrong.value.errors[0].field == "code"


def test_anthropic_and_mcp_have_shapes_of_their_own() -> None:
    for definition in definitions("anthropic"):
        assert set(definition) == {"name", "description", "input_schema"}
    types = pytest.importorskip("mcp.types")
    for definition in definitions("mcp"):
        tool = types.Tool.model_validate(definition)
        assert tool.annotations is not None
    hints = {each["name"]: each["annotations"] for each in definitions("mcp")}
    assert hints["list_files"]["readOnlyHint"]
    assert hints["delete_context"]["destructiveHint"]
    assert not hints["execute_code"]["readOnlyHint"]
