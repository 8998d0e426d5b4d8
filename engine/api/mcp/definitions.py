"""Definitions of the tools, as the APIs of model vendors and MCP take them."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from engine.api.mcp.tools import TOOLS, Tool

Vendor = Literal["openai", "anthropic", "mcp"]


def input_schema(tool: Tool) -> dict[str, Any]:
    return _schema(tool.arguments, is_closed=True)


def output_schema(tool: Tool) -> dict[str, Any]:
    return _schema(tool.answer, is_closed=False)


def _schema(kind: type[msgspec.Struct], *, is_closed: bool) -> dict[str, Any]:
    """JSON Schema of a struct, without references: not every vendor follows them."""
    (root,), parts = msgspec.json.schema_components([kind], ref_template="{name}")

    def inlined(node: Any) -> Any:
        if isinstance(node, list):
            return [inlined(each) for each in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            return inlined({**parts[node["$ref"]], **{k: v for k, v in node.items() if k != "$ref"}})
        return {key: inlined(value) for key, value in node.items() if key != "title"}

    schema: dict[str, Any] = inlined(root)
    for name in ("properties", "required"):
        schema.setdefault(name, {} if name == "properties" else [])
    if is_closed:
        schema["additionalProperties"] = False
    return schema


def definitions(vendor: Vendor) -> list[dict[str, Any]]:
    """All tools as the API of a vendor takes them."""
    return [_DEFINE[vendor](tool) for tool in TOOLS]


def _openai(tool: Tool) -> dict[str, Any]:
    """A function tool. `strict` there wants every field required; what may be left out becomes null instead."""
    schema = input_schema(tool)
    for name, field in schema["properties"].items():
        if name not in schema["required"]:
            schema["properties"][name] = _nullable(field)
    schema["required"] = list(schema["properties"])
    strict = not any(_is_open(field) for field in schema["properties"].values())
    function = {"name": tool.name, "description": tool.description, "parameters": schema, "strict": strict}
    return {"type": "function", "function": function}


def _nullable(field: dict[str, Any]) -> dict[str, Any]:
    field = {key: value for key, value in field.items() if key != "default"}
    if "anyOf" in field:
        kinds = field["anyOf"]
        return field if {"type": "null"} in kinds else {**field, "anyOf": [*kinds, {"type": "null"}]}
    if "enum" in field:
        return {**field, "enum": [*field["enum"], None]}
    return {**field, "type": [field["type"], "null"]}


def _is_open(field: dict[str, Any]) -> bool:
    """Whether it is an object of any keys, which `strict` does not allow."""
    return any(each.get("type") == "object" for each in field.get("anyOf", [field]))


def _anthropic(tool: Tool) -> dict[str, Any]:
    return {"name": tool.name, "description": tool.description, "input_schema": input_schema(tool)}


def _mcp(tool: Tool) -> dict[str, Any]:
    return {
        "name": tool.name,
        "title": tool.title,
        "description": tool.description,
        "inputSchema": input_schema(tool),
        "outputSchema": output_schema(tool),
        "annotations": {
            "title": tool.title,
            "readOnlyHint": tool.read_only,
            "destructiveHint": tool.destructive,
            "idempotentHint": tool.idempotent,
            "openWorldHint": tool.open_world,
        },
    }


_DEFINE = {"openai": _openai, "anthropic": _anthropic, "mcp": _mcp}
