"""A notebook as an API, over scripted kernels: who waits for whom, what ends how, and what never gets through."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.api.notebook.kernels import NotebookKernels
from engine.errors import BadNotebook, KernelStartFailed
from engine.kernels.provisioners.fake import Die, FakeKernel, Hold, Say, Script
from engine.server.app import create_app
from tests.conftest import MakeEngine
from tests.harness.notebooks import raw
from tests.harness.waiting import until

pytestmark = pytest.mark.anyio
DEADLINE = 60.0


def printed(text: str) -> list[Say]:
    return [Say("stream", {"name": "stdout", "text": text})]


def failed(name: str, value: str) -> list[Say]:
    return [Say("error", {"ename": name, "evalue": value, "traceback": []})]


# The cells of the notebook, as the kernel gets them, and what they do.
SCRIPT: Script = {
    "setup": [],
    "# GET /hello\n": printed("hello\n"),
    "# GET /hold\n": [Hold()],
    "# GET /stuck\n": [Hold(ignore_interrupts=True)],
    "# GET /die\n": [Die()],
    "# GET /fail\n": failed("ValueError", "no"),
    "# GET /flood\n": printed("x" * 2000),
    "# GET /image\n": [Say("display_data", {"data": {"image/png": "aGk=", "a/b": {"c": 1}}})],
    "# POST /made\n": printed("{}"),
    "# ResponseInfo POST /made\n": printed(json.dumps({"status": 201, "headers": {"X-A": "b", "X-N": 3}})),
    "# GET /a/:b\n": printed("parameter"),
    "# GET /healthz\n": printed("mine"),
}
ENDPOINTS = [cell for cell in SCRIPT if cell != "setup"]


@dataclass
class Served:
    """A notebook that is served, and a client of it."""

    notebook: NotebookKernels
    kernels: list[FakeKernel]
    client: httpx.AsyncClient
    app: Any

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.client.get(path, **options)

    def is_running(self, code: str) -> bool:
        return any(request[0]["code"] == code for kernel in self.kernels for request in kernel.requests)


Serve = Callable[..., Awaitable[Served]]


@pytest.fixture
async def serve(make_fake: MakeEngine, tmp_path: Path) -> AsyncIterator[Serve]:
    """`await serve(script, cells=..., **settings)` serves a notebook with these cells."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(
            script: Script | None = None, *, cells: list[str] | None = None, ready: bool = True, **settings: Any
        ) -> Served:
            path = tmp_path / "api.ipynb"
            path.write_bytes(raw(*(cells or ["setup", *(cell.rstrip("\n") for cell in ENDPOINTS)])))
            fake = make_fake({**SCRIPT, **(script or {})}, notebook=str(path), **settings)
            app = create_app(fake.engine)
            await stack.enter_async_context(fake.engine)
            app.state.application.notebook.start()
            stack.push_async_callback(app.state.application.notebook.aclose)
            if ready:
                await app.state.application.notebook.ready()
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            client = httpx.AsyncClient(transport=transport, base_url="http://localhost:8000", timeout=30)
            await stack.enter_async_context(client)
            return Served(app.state.application.notebook, fake.kernels, client, app)

        yield start


async def test_a_request_sets_its_variable_silently_and_gets_what_the_cell_printed(serve: Serve) -> None:
    served = await serve()
    response = await served.get("/hello?a=1", headers={"X-One": "2"})
    assert (response.status_code, response.text) == (200, "hello\n")
    assert response.headers["content-type"].startswith("text/plain")
    setup, assigned, cell = (request[0] for request in served.kernels[0].requests)
    assert (setup["code"], cell["code"]) == ("setup", "# GET /hello\n")
    assert (assigned["silent"], assigned["store_history"]) == (True, False)
    names: dict[str, Any] = {}
    exec(assigned["code"], names)
    bundle = json.loads(names["REQUEST"])
    assert (bundle["body"], bundle["args"], bundle["path"]) == ("", {"a": ["1"]}, {})
    assert bundle["headers"]["X-One"] == "2"


async def test_response_info_tells_status_and_headers(serve: Serve) -> None:
    served = await serve()
    response = await served.client.post("/made")
    assert (response.status_code, response.text) == (201, "{}")
    assert (response.headers["x-a"], response.headers["x-n"]) == ("b", "3")


async def test_a_body_is_weighed_as_long_as_it_waits_for_a_kernel(serve: Serve) -> None:
    served = await serve(notebook_kernels=1, incoming_bytes=200_000)
    budget = served.app.state.engine.budgets.incoming
    holding = asyncio.create_task(served.get("/hold"))
    await until(lambda: served.is_running("# GET /hold\n"))
    waiting = asyncio.create_task(served.client.post("/made", content="x" * 200_000))
    await until(lambda: budget.held > 0)
    assert (await served.client.post("/made", content="x" * 200_000)).status_code == 503
    served.kernels[0].release()
    assert [(await each).status_code for each in (holding, waiting)] == [200, 201]
    assert budget.held == 0


@pytest.mark.parametrize(
    "told",
    ["no json", "[]", '{"status": 99}', '{"status": true}', '{"headers": 3}', '{"headers": {"a b": "c"}}',
     '{"headers": {"X": "a\\r\\nY: b"}}', '{"headers": {"X": "\\u20ac"}}'],
)  # fmt: skip
async def test_a_response_info_that_cannot_be_used_is_an_error(serve: Serve, told: str) -> None:
    served = await serve({"# ResponseInfo POST /made\n": printed(told)})
    response = await served.client.post("/made")
    assert response.status_code == 500
    assert response.text.startswith("Error BadResponseInfo: ")


async def test_what_a_cell_shows_is_a_mime_bundle(serve: Serve) -> None:
    served = await serve()
    assert (await served.get("/image")).json() == {"image/png": "aGk=", "a/b": {"c": 1}}


async def test_output_that_was_cut_is_an_error_and_no_answer(serve: Serve) -> None:
    served = await serve(max_stream_bytes=1024)
    response = await served.get("/flood")
    assert (response.status_code, response.text.split(":")[0]) == (500, "Error OutputTooLarge")


async def test_two_requests_run_at_once_on_two_kernels_and_a_third_waits(serve: Serve) -> None:
    served = await serve(notebook_kernels=2)
    asked = [asyncio.create_task(served.get("/hold")) for _ in range(3)]
    await until(lambda: sum(served.is_running("# GET /hold\n") for _ in served.kernels) == 2)
    await until(lambda: all(kernel.requests[-1][0]["code"] == "# GET /hold\n" for kernel in served.kernels))
    assert not any(task.done() for task in asked)
    served.kernels[0].release()
    await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
    await until(lambda: len(served.kernels[0].requests) == 5)  # setup, and two requests
    for kernel in served.kernels:
        kernel.release()
    assert [response.status_code for response in await asyncio.gather(*asked)] == [200, 200, 200]


async def test_a_request_that_gets_no_kernel_in_time_is_told_to_come_again(serve: Serve) -> None:
    served = await serve(default_timeout=0.3, max_timeout=0.3, interrupt_grace=5.0)
    holding = asyncio.create_task(served.get("/stuck"))
    await until(lambda: served.is_running("# GET /stuck\n"))
    response = await served.get("/hello")
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert response.json()["reason"] == "Service Unavailable"
    holding.cancel()


async def test_a_request_too_many_is_told_to_come_again_at_once(serve: Serve) -> None:
    served = await serve(queue_size=1)
    asked = [asyncio.create_task(served.get("/hold")) for _ in range(2)]
    await until(lambda: served.is_running("# GET /hold\n"))
    response = await served.get("/hello")
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    served.kernels[0].release()
    await until(lambda: len(served.kernels[0].requests) == 5)
    served.kernels[0].release()
    assert {response.status_code for response in await asyncio.gather(*asked)} == {200}


async def test_a_timeout_is_504_and_keeps_the_kernel(serve: Serve) -> None:
    served = await serve(default_timeout=0.2)
    response = await served.get("/hold")
    assert (response.status_code, response.text[:20]) == (504, "Error TimeoutError: ")
    assert (await served.get("/hello")).text == "hello\n"
    assert len(served.kernels) == 1


async def test_a_kernel_that_does_not_stop_is_replaced_and_set_up_anew(serve: Serve) -> None:
    served = await serve(default_timeout=0.5)
    assert (await served.get("/stuck")).status_code == 504
    await until(lambda: len(served.kernels) == 2)
    assert (await served.get("/hello")).text == "hello\n"
    assert [request[0]["code"] for request in served.kernels[1].requests][0::2] == ["setup", "# GET /hello\n"]


async def test_a_kernel_that_dies_is_named_replaced_and_set_up_anew(serve: Serve) -> None:
    served = await serve()
    response = await served.get("/die")
    assert (response.status_code, response.text[:18]) == (500, "Error KernelDied: ")
    assert "SIGKILL" in response.text
    assert (await served.get("/hello")).text == "hello\n"
    assert served.kernels[1].requests[0][0]["code"] == "setup"


async def test_a_kernel_that_dies_between_requests_is_replaced_before_the_next(serve: Serve) -> None:
    served = await serve()
    served.kernels[0]._on_death(-9)
    await until(lambda: len(served.kernels) == 2)
    assert (await served.get("/hello")).text == "hello\n"
    assert served.kernels[1].requests[0][0]["code"] == "setup"


async def test_an_error_of_the_cell_is_500_as_text(serve: Serve) -> None:
    served = await serve()
    response = await served.get("/fail")
    assert (response.status_code, response.text) == (500, "Error ValueError: no \n")


async def test_a_client_that_goes_away_has_its_cell_interrupted_and_the_kernel_serves_on(serve: Serve) -> None:
    served = await serve()
    gone = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if not gone.is_set():
            await gone.wait()
        return {"type": "http.disconnect"}

    first = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive_body_first() -> dict[str, Any]:
        return first.pop() if first else await receive()

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", b"localhost")]
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/hold",
        "raw_path": b"/hold",
        "query_string": b"",
        "headers": headers,
    }
    asked = asyncio.create_task(served.app(scope, receive_body_first, send))
    await until(lambda: served.is_running("# GET /hold\n"))
    gone.set()
    await asyncio.wait_for(asked, DEADLINE)
    assert (await served.get("/hello")).text == "hello\n"
    assert len(served.kernels) == 1


async def test_the_notebooks_endpoint_wins_and_operators_keep_the_rest(serve: Serve) -> None:
    served = await serve()
    assert (await served.get("/healthz")).text == "mine"
    assert (await served.get("/readyz")).json()["checks"]["notebook"] == "ok"
    assert (await served.get("/health")).status_code == 200
    for path in (
        "/",
        "/docs",
        "/api/kernels",
        "/contexts",
        "/e2b/health",
        "/mcp",
        "/_api/source",
        "/public/a",
        "/nope",
    ):
        response = await served.get(path)
        assert (response.status_code, response.json()) == (404, {"reason": "Not Found", "message": ""})


async def test_another_method_is_405_and_options_is_answered(serve: Serve) -> None:
    served = await serve()
    response = await served.client.put("/hello")
    assert (response.status_code, response.text, response.headers["allow"]) == (405, "", "GET, OPTIONS")
    assert (await served.client.options("/hello")).status_code == 200


async def test_the_token_guards_all_that_the_notebook_serves_and_no_cell_sees_it(serve: Serve) -> None:
    served = await serve(token="secret-of-mine")
    for path in ("/hello", "/healthz", "/_api/spec/swagger.json"):
        response = await served.get(path)
        assert (response.status_code, response.json()) == (401, {"reason": "Unauthorized", "message": ""})
    for options in ({"params": {"token": "secret-of-mine"}}, {"headers": {"Authorization": "token secret-of-mine"}}):
        assert (await served.get("/hello", **options)).status_code == 200
    assert not any("secret-of-mine" in request[0]["code"] for request in served.kernels[0].requests)


async def test_a_page_of_another_origin_finds_nothing(serve: Serve) -> None:
    served = await serve()
    assert (await served.get("/hello", headers={"Origin": "http://elsewhere"})).status_code == 404


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_a_request_that_another_page_causes_runs_no_cell(serve: Serve, site: str) -> None:
    served = await serve()
    before = len(served.kernels[0].requests)
    response = await served.get("/hello", headers={"Sec-Fetch-Site": site})
    assert (response.status_code, len(served.kernels[0].requests)) == (403, before)
    for own in ("same-origin", "none"):
        assert (await served.get("/hello", headers={"Sec-Fetch-Site": own})).status_code == 200
    served = await serve(allowed_origins="*")
    assert (await served.get("/hello", headers={"Sec-Fetch-Site": site})).status_code == 200


async def test_a_request_with_a_bad_body_is_refused_before_a_kernel_is_used(serve: Serve) -> None:
    served = await serve(max_request_bytes=1024)
    before = len(served.kernels[0].requests)
    assert (await served.client.post("/made", content=b"\xff")).status_code == 400
    assert (await served.client.post("/made", content=b"x" * 2000)).status_code == 413
    broken = {"content-type": "multipart/form-data"}
    assert (await served.client.post("/made", content=b"x", headers=broken)).status_code == 400
    assert len(served.kernels[0].requests) == before


async def test_files_of_a_form_come_beside_its_fields(serve: Serve) -> None:
    served = await serve()
    await served.client.post("/made", data={"a": ["1", "2"]}, files={"f": ("n.txt", b"\xffhi", "text/plain")})
    names: dict[str, Any] = {}
    exec(served.kernels[0].requests[1][0]["code"], names)
    bundle = json.loads(names["REQUEST"])
    assert bundle["body"] == {"a": ["1", "2"]}
    assert bundle["files"] == {"f": [{"filename": "n.txt", "content_type": "text/plain", "base64": "/2hp"}]}


async def test_notebook_and_files_are_served_only_where_the_settings_say_so(serve: Serve, tmp_path: Path) -> None:
    public = tmp_path / "public"
    public.mkdir()
    (public / "a.txt").write_text("public")
    (tmp_path / "secret.txt").write_text("secret")
    (public / "link").symlink_to(tmp_path / "secret.txt")
    served = await serve(allow_notebook_download=True, static_path=str(public))
    assert (await served.get("/_api/source")).content == (tmp_path / "api.ipynb").read_bytes()
    assert (await served.get("/public/a.txt")).text == "public"
    (public / "index.html").write_text("<p>")
    response = await served.get("/public/index.html")
    assert response.headers["content-type"] == "text/html"
    unchanged = await served.get("/public/index.html", headers={"If-None-Match": response.headers["etag"]})
    assert unchanged.status_code == 304
    for way in ("..%2fsecret.txt", "%2e%2e/secret.txt", "link", "", "../secret.txt", "%2fetc/passwd"):
        assert (await served.get(f"/public/{way}")).status_code == 404


async def test_under_a_base_url_paths_begin_behind_it(serve: Serve) -> None:
    served = await serve(base_url="/user/ada")
    assert (await served.get("/user/ada/a/x%2Fy")).text == "parameter"
    assert (await served.get("/a/x")).status_code == 404


async def test_a_setup_cell_that_fails_is_named_at_the_start(serve: Serve) -> None:
    served = await serve({"setup": failed("NameError", "x")}, ready=False)
    with pytest.raises(BadNotebook, match=r"cell 1 \('setup'\) failed: NameError: x"):
        await served.notebook.ready()
    assert (await served.get("/hello")).status_code == 500


async def test_a_kernel_that_cannot_start_is_named_at_the_start(serve: Serve) -> None:
    served = await serve({"start fails": []}, ready=False)
    with pytest.raises(KernelStartFailed, match="No such file"):
        await served.notebook.ready()


async def test_an_unknown_kernelspec_is_named_at_the_start(serve: Serve) -> None:
    served = await serve(ready=False, force_kernel_name="cobol")
    with pytest.raises(BadNotebook, match="its kernelspec 'cobol' is none of python, py, python3, typescript"):
        await served.notebook.ready()


async def test_kernels_of_a_notebook_are_neither_evicted_nor_culled(serve: Serve) -> None:
    served = await serve(ready=False, max_contexts=1, context_idle_timeout=0.001)
    starting = asyncio.create_task(served.notebook.ready())
    while not starting.done():
        await asyncio.sleep(0)
        served.notebook._engine.contexts.cull()
    await starting
    served.notebook._engine.contexts.cull()
    assert not served.notebook._engine.contexts.has_room
    assert (await served.get("/hello")).text == "hello\n"
