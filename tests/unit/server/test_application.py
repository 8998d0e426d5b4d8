"""The application of a server: its parts start in one order and end in one, once, and a start that fails leaves nothing."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.errors import PolyreplError, ShuttingDown
from engine.kernels.provisioners.fake import Hold, Say
from engine.server.app import create_app
from engine.server.application import Application
from engine.workspaces import RunDir
from tests.conftest import MakeEngine
from tests.harness.in_process import serve
from tests.harness.notebooks import raw

pytestmark = pytest.mark.anyio
DEADLINE = 10.0


@pytest.fixture
def notebook(tmp_path: Path) -> str:
    path = tmp_path / "api.ipynb"
    path.write_bytes(raw("setup", "# GET /slow", "# GET /quick"))
    return str(path)


async def until(condition: Any) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.sleep(0.002)


async def test_what_is_ended_twice_at_once_ends_once(make_fake: MakeEngine) -> None:
    fake = make_fake()
    application = Application(fake.engine)
    await application.start()
    await fake.engine.create_context()
    run_dir = fake.engine.run_dir
    async with asyncio.timeout(DEADLINE):
        await asyncio.gather(*(application.aclose() for _ in range(3)))
    assert run_dir is not None
    assert not run_dir.path.exists()


async def test_an_end_is_whole_though_nobody_waits_for_it(make_fake: MakeEngine) -> None:
    fake = make_fake()
    application = Application(fake.engine)
    await application.start()
    await fake.engine.create_context()
    impatient = asyncio.create_task(application.aclose())
    await asyncio.sleep(0)
    impatient.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await impatient
    async with asyncio.timeout(DEADLINE):
        await application.aclose()
    assert not fake.engine.run_dir.path.exists()  # type: ignore[union-attr]


async def test_a_start_that_fails_leaves_nothing(make_fake: MakeEngine, notebook: str, monkeypatch) -> None:
    fake = make_fake(notebook=notebook)
    application = Application(fake.engine)
    assert application.notebook is not None

    def fail() -> None:
        raise OSError("no")

    monkeypatch.setattr(application.notebook, "start", fail)
    before = asyncio.all_tasks()
    with pytest.raises(OSError, match="no"):
        await application.start()
    assert fake.engine.run_dir is not None
    assert not fake.engine.run_dir.path.exists()
    await until(lambda: asyncio.all_tasks() <= before)


async def test_a_setup_that_fails_is_told_and_ends(make_fake: MakeEngine, notebook: str) -> None:
    error = {"ename": "NameError", "evalue": "x", "traceback": []}
    fake = make_fake({"setup": [Say("error", error)]}, notebook=notebook)
    application = Application(fake.engine)
    await application.start()
    with pytest.raises(PolyreplError, match="NameError"):
        await application.served()
    await application.aclose()
    assert fake.engine.run_dir is not None
    assert not fake.engine.run_dir.path.exists()


async def test_what_ends_while_it_starts_does_not_say_that_it_serves(make_fake: MakeEngine, notebook: str) -> None:
    fake = make_fake({"setup": [Hold()]}, notebook=notebook)
    application = Application(fake.engine)
    await application.start()
    serving = asyncio.create_task(application.served())
    await until(lambda: fake.kernels and fake.kernels[0].requests)
    await application.aclose()
    with pytest.raises(ShuttingDown):
        await serving


async def test_a_request_that_waits_when_the_server_ends_runs_no_more(make_fake: MakeEngine, notebook: str) -> None:
    fake = make_fake({"# GET /slow\n": [Hold()]}, notebook=notebook)
    app = create_app(fake.engine)
    application: Application = app.state.application
    assert application.notebook is not None
    await application.start()
    await application.served()
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000", timeout=30) as client:
        slow = asyncio.create_task(client.get("/slow"))
        await until(lambda: any(each[0]["code"] == "# GET /slow\n" for each in fake.kernels[0].requests))
        waiting = asyncio.create_task(client.get("/quick"))
        await until(lambda: application.notebook._waiting)  # type: ignore[union-attr]
        await application.notebook.aclose()  # the engine still lives
        assert (await waiting).status_code == 500
        assert all(each[0]["code"] != "# GET /quick\n" for kernel in fake.kernels for each in kernel.requests)
        slow.cancel()
    await application.aclose()


async def test_mcp_starts_nothing_once_the_server_has_ended(make_fake: MakeEngine) -> None:
    fake = make_fake()
    app = create_app(fake.engine)
    application: Application = app.state.application
    await application.start()
    await application.aclose()
    before = asyncio.all_tasks()
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000", timeout=30) as client:
        hello = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        answer = await client.post("/mcp", json=hello, headers={"Accept": "application/json, text/event-stream"})
    assert (answer.status_code, json.loads(answer.content)["code"]) == (503, "ShuttingDown")
    assert asyncio.all_tasks() <= before


async def test_what_has_ended_prepares_nothing(make_fake: MakeEngine) -> None:
    application = Application(make_fake().engine)
    await application.start()
    await application.aclose()
    with pytest.raises(ShuttingDown):
        await application.served()


@pytest.mark.parametrize("path", ["/execute", "/contexts", "/api/kernels", "/e2b/execute"])
async def test_a_disk_without_room_for_a_context_is_said_so(api, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    fake = await api()

    def full(*_: object) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(RunDir, "new_slot", full)
    response = await fake.client.post(path, json={"code": "x"} if "execute" in path else {})
    assert response.status_code in (500, 507)
    assert "No room for the files of this context: No space left on device" in response.text


def test_a_failure_of_ours_ends_the_connection_and_says_so(
    make_fake: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uvicorn ends it; a client that does not know sends its next request into a connection that is gone."""
    engine = make_fake().engine
    monkeypatch.setattr(engine, "execute", None)  # it cannot be called
    with serve(engine) as live, httpx.Client(base_url=live.url) as client:
        for _ in range(3):
            response = client.post("/execute", json={"code": "x"})
            assert response.status_code == 500
            assert response.headers["connection"] == "close"
            assert client.get("/healthz").status_code == 200
