"""The MCP transport: the server behind it, which the first request loads."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import httpx
import pytest

from engine.api.mcp.transport import McpState

pytestmark = pytest.mark.anyio


async def test_a_start_that_failed_is_tried_again_by_the_next_request(fake_engine, monkeypatch: pytest.MonkeyPatch):
    load, refused = importlib.import_module, ["engine.api.mcp.server"]

    def import_module(name: str, *rest: Any) -> ModuleType:
        if name in refused:
            refused.remove(name)
            raise ImportError(name)
        return load(name, *rest)

    monkeypatch.setattr(importlib, "import_module", import_module)
    state = McpState((await fake_engine()).engine)
    transport = httpx.ASGITransport(state, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        codes = [(await client.post("/mcp", json={}, headers={"accept": "text/plain"})).status_code for _ in range(2)]
    await state.aclose()
    assert codes == [500, 406]
