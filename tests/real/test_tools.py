"""Tools for models: what they answer is what their schemas say, and the command prints them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from engine.api.mcp.definitions import definitions, output_schema
from engine.api.mcp.tools import BY_NAME
from engine.core import Engine
from engine.settings import Settings
from tests.harness.server import POLYREPL


def closed(schema: Any) -> Any:
    """The same schema, for which a field that it does not name is a mistake."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    known = {"additionalProperties": False} if "properties" in schema else {}
    return {name: closed(value) for name, value in schema.items()} | known


class Checked:
    """Calls tools over MCP, and holds every answer with a structure against the tool's schema, with no field besides."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.called: set[str] = set()

    async def __call__(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        answer = await self._client.call_tool(tool, arguments)
        structure: dict[str, Any] = answer.structured_content
        jsonschema.validate(structure, closed(output_schema(BY_NAME[tool])), jsonschema.Draft202012Validator)
        self.called.add(tool)
        return structure


EVERYTHING = """
import os, sys
from IPython.display import HTML, JSON, Image, Markdown, display
display(HTML("<b>b</b>"), JSON({"a": [1]}), Markdown("# m"))
from PIL import Image as Picture
display(Picture.new("RGB", (3, 2)))
print("\\x1b[31mred"); print("err", file=sys.stderr)
open("made.txt", "w").write("x" * 30_000); open("raw.bin", "wb").write(bytes(range(256)))
os.makedirs("below", exist_ok=True); Picture.new("RGB", (3, 2)).save("below/picture.png")
table = {"numbers": list(range(50_000))}; nothing = None; cycle = []; cycle.append(cycle)
table
"""


@pytest.mark.anyio
async def test_what_every_tool_answers_is_what_its_schema_says(tmp_path: Path) -> None:
    mcp = pytest.importorskip("mcp")
    from engine.api.mcp.server import make_server

    settings = Settings(run_dir=tmp_path / "run", pool_max=0)
    async with Engine(settings) as engine, mcp.Client(make_server(engine)) as client:
        call = Checked(client)
        await call("create_context", context_id="t")
        ran = await call("execute_code", code=EVERYTHING, context_id="t")
        assert (ran["status"], ran["truncated"], len(ran["items"]), len(ran["files"])) == ("ok", False, 5, 3)
        background = await call("execute_code", code="input()\nwhile True: pass", context_id="t", background=True)
        assert background["status"] in ("queued", "running")
        await call("get_execution", execution_id=background["execution_id"])
        await call("interrupt_execution", execution_id=background["execution_id"])
        stopped = await call("get_execution", execution_id=background["execution_id"], wait_ms=20_000)
        assert stopped["status"] in ("interrupted", "error")
        failed = await call("execute_code", code="del table['nombers']", context_id="t")
        assert failed["error"]["name"] == "KeyError"
        late = await call("execute_code", code="print('y' * 50_000, flush=True)\nwhile True: pass", timeout_ms=300)
        assert (late["status"], late["truncated"]) == ("timeout", True)
        names = {each["name"] for each in (await call("list_variables", context_id="t"))["items"]}
        assert names >= {"table", "nothing", "cycle"}
        there = await call("install_packages", context_id="t", packages=["numpy"])
        assert there["status"] == "ok"
        fork = await call("fork_context", context_id="t", new_context_id="copy")
        assert fork["id"] == "copy"
        died = await call("execute_code", code="import os; os._exit(3)", context_id="copy")
        assert died["status"] == "died"
        contexts = await call("list_contexts")
        assert {each["id"] for each in contexts["items"]} >= {"t", "copy"}
        await call("write_file", context_id="t", path="given.bin", content="AAEC", encoding="base64")
        listed = await call("list_files", context_id="t", recursive=True)
        assert {each["path"] for each in listed["items"]} >= {"below/picture.png", "given.bin", "made.txt"}
        read = [
            await call("read_file", context_id="t", path=each) for each in ("made.txt", "raw.bin", "below/picture.png")
        ]
        assert [(each["encoding"], each["truncated"]) for each in read] == [
            ("text", True),
            ("base64", False),
            ("base64", False),
        ]
        await call("delete_file", context_id="t", path="given.bin")
        await call("delete_context", context_id="t")
        assert call.called == set(BY_NAME)


def test_the_command_prints_them() -> None:
    command = [str(POLYREPL), "tools", "--format", "anthropic"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout) == definitions("anthropic")
