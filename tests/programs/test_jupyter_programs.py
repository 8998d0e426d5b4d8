"""Programs of the Jupyter project and others around a server: JupyterLab's server, kernel managers, and clients of a few calls."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import nbformat
import pytest
from jupyter_client.session import Session
from websockets.sync.client import connect

from tests.harness.client import Client
from tests.harness.fixtures import TOKEN
from tests.harness.jupyter import jupyter_server
from tests.harness.server import Server
from tests.harness.waiting import DEADLINE, wait_until
from tests.harness.websocket import Socket, state, text, types
from tests.programs import notebooks
from tests.programs.gateway_manager import gateway
from tests.programs.installed import stop, use_clients

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
FOREVER = {"python": "print('on', flush=True)\nwhile True: pass", "typescript": "console.log('on')\nfor (;;);"}
KILL = {"python": "import os; os.kill(os.getpid(), 9)", "typescript": "process.kill(process.pid, 'SIGKILL')"}
WAIT = 20


class Frontend:
    """What JupyterLab does in a browser: opens a notebook of its server, runs all cells, and saves it."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=DEADLINE, trust_env=False)
        self.url = url.replace("http", "ws", 1)

    def upload(self, path: str, notebook: Any) -> None:
        body = {"type": "notebook", "format": "json", "content": notebook}
        self.http.put(f"/api/contents/{path}", content=json.dumps(body)).raise_for_status()

    def open(self, path: str) -> tuple[Any, str]:
        """The notebook and the id of its kernel."""
        content = self.http.get(f"/api/contents/{path}").json()["content"]
        kernel = {"name": content["metadata"]["kernelspec"]["name"]}
        body = {"path": path, "type": "notebook", "name": path, "kernel": kernel}
        response = self.http.post("/api/sessions", json=body)
        assert response.status_code == 201, response.text
        return nbformat.from_dict(content), str(response.json()["kernel"]["id"])

    def socket(self, kernel_id: str, session: str = "") -> Socket:
        return Socket(f"{self.url}/api/kernels/{kernel_id}/channels?session_id={session or uuid.uuid4().hex}")

    def run(self, path: str) -> Any:
        notebook, kernel_id = self.open(path)
        with self.socket(kernel_id) as socket:

            def tell(message: dict[str, Any]) -> None:
                socket.ws.send(json.dumps({**message, "channel": "shell"}, default=str))

            kernel_client = SimpleNamespace(session=Session(), shell_channel=SimpleNamespace(send=tell))

            def execute(code: str, take: Callable[[dict[str, Any]], object]) -> None:
                msg_id = socket.execute(code, allow_stdin=True, stop_on_error=True)
                idle = reply = False
                while not (idle and reply):
                    message = socket.receive()
                    if message["parent_header"].get("msg_id") != msg_id:
                        continue
                    if message["channel"] == "stdin":
                        socket.send("input_reply", "stdin", value=notebooks.ANSWER)
                    elif message["channel"] == "iopub":
                        take(message)
                    idle |= state(message) == "idle"
                    reply |= message["msg_type"] == "execute_reply"

            done = notebooks.Assembler(notebook, kernel_client).run(execute)
        self.upload(path, done)
        return nbformat.from_dict(self.http.get(f"/api/contents/{path}").json()["content"])


@pytest.fixture(scope="module")
def frontend(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Frontend]:
    """JupyterLab's server before ours."""
    directory = tmp_path_factory.mktemp("lab")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.real.conformance.test_gateway.TOKEN", TOKEN)
        with jupyter_server(server.url, TOKEN, directory) as url:
            frontend = Frontend(url)
            yield frontend
            frontend.http.close()


def test_jupyterlabs_server_runs_a_notebook(frontend: Frontend, language: str, expected: Any) -> None:
    frontend.upload(f"{language}.ipynb", notebooks.load(language))
    assert notebooks.KERNEL_NAMES[language] in frontend.http.get("/api/kernelspecs").json()["kernelspecs"]
    notebooks.compare(frontend.run(f"{language}.ipynb"), notebooks.answered(expected))


def test_jupyterlabs_server_interrupts_restarts_and_names_a_death(frontend: Frontend, language: str) -> None:
    frontend.upload(f"{language}-2.ipynb", notebooks.load(language))
    _, kernel_id = frontend.open(f"{language}-2.ipynb")
    with frontend.socket(kernel_id) as socket:
        msg_id = socket.execute(FOREVER[language])
        socket.until(lambda message: message["msg_type"] == "stream")
        assert frontend.http.post(f"/api/kernels/{kernel_id}/interrupt").status_code == 204
        assert "error" in types(socket.done(msg_id))
        socket.done(socket.execute("var kept = 1" if language == "typescript" else "kept = 1"))
        assert frontend.http.post(f"/api/kernels/{kernel_id}/restart").status_code == 200
        assert "error" in types(socket.done(socket.execute("kept")))
        msg_id = socket.execute(KILL[language])
        (error,) = [each for each in socket.done(msg_id) if each["msg_type"] == "error"]
        assert error["content"]["ename"] == "KernelDied"
        assert types(socket.done(socket.execute("1 + 1"))).count("execute_result") == 1
    assert frontend.http.delete(f"/api/kernels/{kernel_id}").status_code == 204


def test_two_notebooks_run_at_once_and_know_nothing_of_each_other(frontend: Frontend) -> None:
    kernels = []
    for path in ("one.ipynb", "two.ipynb"):
        frontend.upload(path, notebooks.load("python"))
        kernels.append(frontend.open(path)[1])
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(frontend.socket(kernel)) for kernel in kernels]
        first = sockets[0].execute("mine = input('? ')\nprint(mine)", allow_stdin=True)
        sockets[0].until(lambda message: message["msg_type"] == "input_request")
        assert "NameError" in str(sockets[1].done(sockets[1].execute("mine")))
        sockets[0].send("input_reply", "stdin", value="own")
        assert text(sockets[0].done(first)) == "own\n"


def test_a_frontend_that_reconnects_in_mid_cell_misses_nothing(frontend: Frontend, client: Client) -> None:
    frontend.upload("again.ipynb", notebooks.load("python"))
    _, kernel_id = frontend.open("again.ipynb")
    with frontend.socket(kernel_id, "same") as socket:
        msg_id = socket.execute(
            "print('before', flush=True)\nanswer = input('go? ')\nprint('after', answer)", allow_stdin=True
        )
        socket.until(lambda message: message["msg_type"] == "input_request")
    wait_until(lambda: client.http.get(f"/api/kernels/{kernel_id}").json()["connections"] == 0, what="it has left")
    with frontend.socket(kernel_id, "same") as socket:
        socket.send("input_reply", "stdin", value="yes")
        assert text(socket.done(msg_id)) == "after yes\n"


def test_jupyters_gateway_kernel_manager(server: Server, language: str, client: Client) -> None:
    async def use() -> None:
        from jupyter_server.gateway.managers import GatewayMappingKernelManager

        manager = GatewayMappingKernelManager()
        kernel_id = await manager.start_kernel(kernel_name=notebooks.KERNEL_NAMES[language])
        assert [each["id"] for each in await manager.list_kernels()] == [kernel_id]
        await manager.interrupt_kernel(kernel_id)
        await manager.restart_kernel(kernel_id)
        assert (await manager.kernel_model(kernel_id))["name"] == notebooks.KERNEL_NAMES[language]
        assert client.http.delete(f"/api/kernels/{kernel_id}").status_code == 204  # as a cull is seen
        assert await manager.list_kernels() == []

    with gateway(server.url, TOKEN):
        asyncio.run(use())


def test_jupyter_kernel_client_interrupts_and_restarts(server: Server, client: Client, language: str) -> None:
    use_clients()
    from jupyter_kernel_client import JupyterKernelClient

    kernel = JupyterKernelClient(server_url=server.url, token=TOKEN)
    kernel.start(name=notebooks.KERNEL_NAMES[language])
    try:
        assert kernel.kernel_info["language_info"]["name"] == language
        assert kernel.execute("40 + 2")["outputs"][0]["data"]["text/plain"] == "42"
        if language == "python":
            kernel.execute("n = 5")
            assert [each["name"] for each in kernel.list_variables()] == ["n"]
        replies: list[Any] = []
        running = threading.Event()
        code = FOREVER[language]

        def run() -> None:
            options = {
                "output_hook": lambda message: message["msg_type"] == "stream" and running.set(),
                "timeout": WAIT,
            }
            replies.append(kernel.execute_interactive(code, **options))

        thread = threading.Thread(target=run)
        thread.start()
        assert running.wait(WAIT)
        kernel.interrupt()
        thread.join(WAIT)
        assert replies[0]["content"]["status"] == "error"
        kernel.restart()
        assert kernel.execute("n")["status"] == "error"
        assert kernel.is_alive()
    finally:
        stop(kernel, client)


def test_enterprise_gateways_client(open_server: Server, language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use_clients()
    from enterprise_gateway.client.gateway_client import GatewayClient, KernelClient

    monkeypatch.setattr(KernelClient, "POST_IDLE_TIMEOUT", 0.05)  # how long it waits behind each cell for what is late

    gateway_client = GatewayClient(host=open_server.url.removeprefix("http://"))
    kernel = gateway_client.start_kernel(notebooks.KERNEL_NAMES[language])
    try:
        assert kernel.execute(["40 + 2"]) == ("42", False)
        assert kernel.execute("notDefined")[1]
        # It gives text and whether there was an error, no more, and keeps no history, of which one cell speaks.
        for cell in notebooks.load(language).cells:
            if cell.cell_type == "code" and "In[" not in cell.source:
                text, failed = kernel.execute(cell.source)
                assert failed == ("raises-exception" in cell.metadata.get("tags", [])), text
        assert kernel.get_state() == "idle"
        assert kernel.interrupt()
        assert kernel.restart()
        assert kernel.execute("40 + 3") == ("43", False)
    finally:
        gateway_client.shutdown_kernel(kernel)


def test_a_comm_that_typescript_does_not_have_is_closed(client: Client) -> None:
    kernel_id = client.http.post("/api/kernels", json={"name": "typescript"}).json()["id"]
    url = client.url.replace("http", "ws", 1)
    with Socket(f"{url}/api/kernels/{kernel_id}/channels?token={TOKEN}") as socket:
        socket.send("comm_open", comm_id="c", target_name="any", data={})
        closed = socket.until(lambda message: message["msg_type"] == "comm_close")[-1]
        assert closed["content"]["comm_id"] == "c"
    client.http.delete(f"/api/kernels/{kernel_id}")


def test_a_gateway_that_uses_the_server_as_its_code_interpreter(client: Client, language: str) -> None:
    """As agentic-primitives-gateway does: a minimal header, the token in the query, done at the cell's idle."""
    assert client.http.get("/api/kernels").status_code == 200  # its health check
    kernel_id = client.http.post("/api/kernels", json={"name": notebooks.KERNEL_NAMES[language]}).json()["id"]
    url = client.url.replace("http", "ws", 1)
    with connect(f"{url}/api/kernels/{kernel_id}/channels?token={TOKEN}", max_size=None) as websocket:
        msg_id = uuid.uuid4().hex
        header = {"msg_id": msg_id, "msg_type": "execute_request", "username": "", "session": "", "version": "5.3"}
        content = {
            "code": "20 + 22",
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
        }
        message = {
            "header": header,
            "parent_header": {},
            "metadata": {},
            "content": content,
            "buffers": [],
            "channel": "shell",
        }
        websocket.send(json.dumps(message))
        results = []
        while True:
            received = json.loads(websocket.recv(WAIT))
            if received["parent_header"].get("msg_id") != msg_id:
                continue
            if received["msg_type"] == "execute_result":
                results.append(received["content"]["data"]["text/plain"])
            if received["channel"] == "iopub" and state(received) == "idle":
                break
    assert results == ["42"]
    assert client.http.delete(f"/api/kernels/{kernel_id}").status_code == 204
    assert client.http.get(f"/api/kernels/{kernel_id}").status_code == 404


def test_jupyters_own_server_runs_cells_of_both_languages_on_us(server: Server, tmp_path: Path) -> None:
    with jupyter_server(server.url, TOKEN, tmp_path) as url, httpx.Client(base_url=url, timeout=DEADLINE) as http:
        assert {"python3", "typescript"} <= set(http.get("/api/kernelspecs").json()["kernelspecs"])
        for name, code in (("python3", "sum(range(10))"), ("typescript", "[1, 44].reduce((a, b) => a + b)")):
            body = {"path": f"{name}.ipynb", "type": "notebook", "name": "", "kernel": {"name": name}}
            response = http.post("/api/sessions", json=body)
            assert response.status_code == 201, response.text
            kernel = response.json()["kernel"]["id"]
            with Socket(f"{url.replace('http', 'ws')}/api/kernels/{kernel}/channels?session_id=a") as socket:
                results = [each for each in socket.done(socket.execute(code)) if each["msg_type"] == "execute_result"]
                assert results[0]["content"]["data"]["text/plain"] == "45"
            assert http.post(f"/api/kernels/{kernel}/interrupt").status_code == 204
            assert http.post(f"/api/kernels/{kernel}/restart").status_code == 200
            assert http.delete(f"/api/kernels/{kernel}").status_code == 204
