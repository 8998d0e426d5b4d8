"""The gateway dialect described, in Swagger 2.0 as the real server does."""

from __future__ import annotations

import json
from typing import Any

_KERNEL = "#/definitions/Kernel"
_SESSION = "#/definitions/Session"


def _answer(text: str, reference: str | None = None, *, is_list: bool = False) -> dict[str, Any]:
    if reference is None:
        return {"description": text}
    schema: dict[str, Any] = {"$ref": reference}
    return {"description": text, "schema": {"type": "array", "items": schema} if is_list else schema}


def _operation(
    summary: str, tag: str, answers: dict[str, Any], *, body: dict[str, Any] | None = None
) -> dict[str, Any]:
    operation: dict[str, Any] = {"summary": summary, "tags": [tag], "responses": answers}
    if body is not None:
        operation["parameters"] = [{"name": "body", "in": "body", "schema": body}]
    return operation


def _string(**more: Any) -> dict[str, Any]:
    return {"type": "string", **more}


def _in_path(name: str) -> list[dict[str, Any]]:
    return [{"name": name, "in": "path", "required": True, "type": "string"}]


_NO_KERNEL = _answer("Kernel does not exist")
_NO_SESSION = _answer("Session not found")
_START = {
    "type": "object",
    "properties": {
        "name": _string(),
        "env": {"type": "object", "additionalProperties": _string()},
        "kernel_id": _string(format="uuid"),
    },
}
_SESSION_BODY = {
    "type": "object",
    "properties": {
        "path": _string(),
        "type": _string(),
        "name": _string(),
        "kernel": {"type": "object", "properties": {"id": _string(), "name": _string()}},
    },
}
DOCUMENT: dict[str, Any] = {
    "swagger": "2.0",
    "info": {
        "title": "Jupyter Kernel Gateway API",
        "description": "Kernels by REST, their channels by websocket",
        "version": "3",
    },
    "basePath": "/",
    "produces": ["application/json"],
    "consumes": ["application/json"],
    "securityDefinitions": {
        "token_header": {"type": "apiKey", "name": "Authorization", "in": "header"},
        "token_query": {"type": "apiKey", "name": "token", "in": "query"},
    },
    "security": [{"token_header": []}, {"token_query": []}],
    "paths": {
        "/api": {"get": _operation("Version of the API", "api", {"200": _answer("The version")})},
        "/api/status": {"get": _operation("Activity of the server", "api", {"200": _answer("When, and how much")})},
        "/api/kernelspecs": {
            "get": _operation("What kernels there can be", "kernelspecs", {"200": _answer("Them, and the default")})
        },
        "/api/kernelspecs/{kernel_name}": {
            "parameters": _in_path("kernel_name"),
            "get": _operation(
                "One kernelspec", "kernelspecs", {"200": _answer("It"), "404": _answer("Kernel spec not found")}
            ),
        },
        "/api/kernels": {
            "get": _operation(
                "All kernels",
                "kernels",
                {"200": _answer("Them", _KERNEL, is_list=True), "403": _answer("Listing is switched off")},
            ),
            "post": _operation(
                "Start a kernel",
                "kernels",
                {
                    "201": _answer("The kernel", _KERNEL),
                    "400": _answer("The body is wrong, or the name of the kernel"),
                    "403": _answer("Resource Limit"),
                    "409": _answer("The id is in use"),
                },
                body=_START,
            ),
        },
        "/api/kernels/{kernel_id}": {
            "parameters": _in_path("kernel_id"),
            "get": _operation("One kernel", "kernels", {"200": _answer("It", _KERNEL), "404": _NO_KERNEL}),
            "delete": _operation("End a kernel", "kernels", {"204": _answer("Gone"), "404": _NO_KERNEL}),
        },
        "/api/kernels/{kernel_id}/interrupt": {
            "parameters": _in_path("kernel_id"),
            "post": _operation("Stop what runs", "kernels", {"204": _answer("Asked to stop"), "404": _NO_KERNEL}),
        },
        "/api/kernels/{kernel_id}/restart": {
            "parameters": _in_path("kernel_id"),
            "post": _operation("Begin anew", "kernels", {"200": _answer("The kernel", _KERNEL), "404": _NO_KERNEL}),
        },
        "/api/kernels/{kernel_id}/channels": {
            "parameters": [
                *_in_path("kernel_id"),
                {"name": "session_id", "in": "query", "required": False, "type": "string"},
            ],
            "get": _operation(
                "The kernel's channels, as a websocket",
                "kernels",
                {"101": _answer("Upgraded"), "400": _answer("Not a websocket"), "404": _NO_KERNEL},
            ),
        },
        "/api/sessions": {
            "get": _operation("All sessions", "sessions", {"200": _answer("Them", _SESSION, is_list=True)}),
            "post": _operation(
                "Make a session, or find that of the path",
                "sessions",
                {
                    "201": _answer("The session", _SESSION),
                    "400": _answer("A field is missing"),
                    "501": _answer("There is no such kernel"),
                },
                body=_SESSION_BODY,
            ),
        },
        "/api/sessions/{session_id}": {
            "parameters": _in_path("session_id"),
            "get": _operation("One session", "sessions", {"200": _answer("It", _SESSION), "404": _NO_SESSION}),
            "patch": _operation(
                "Rename it, or give it another kernel",
                "sessions",
                {"200": _answer("It", _SESSION), "404": _NO_SESSION, "410": _answer("Its kernel is gone")},
                body=_SESSION_BODY,
            ),
            "delete": _operation(
                "End it and its kernel",
                "sessions",
                {"204": _answer("Gone"), "404": _NO_SESSION, "410": _answer("Its kernel is gone")},
            ),
        },
    },
    "definitions": {
        "Kernel": {
            "type": "object",
            "required": ["id", "name"],
            "properties": {
                "id": _string(),
                "name": _string(),
                "last_activity": _string(format="date-time"),
                "connections": {"type": "integer"},
                "execution_state": _string(),
            },
        },
        "Session": {
            "type": "object",
            "properties": {
                "id": _string(format="uuid"),
                "path": _string(),
                "name": _string(),
                "type": _string(),
                "kernel": {"$ref": _KERNEL},
            },
        },
    },
}
SWAGGER_JSON = json.dumps(DOCUMENT)
SWAGGER_YAML = json.dumps(DOCUMENT, indent=2)  # JSON is YAML, too
