"""The documented examples of KernelBox, as they stand there, on real kernels."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import httpx
import pytest

from tests.harness.client import Client
from tests.harness.processes import is_running
from tests.harness.server import Server

BASE = "http://127.0.0.1:8080"


@pytest.fixture(scope="module")
def open_server() -> Iterator[Server]:
    """Without a token, as KernelBox is."""
    with Server(settings={"pool_min": "1", "pool_languages": "python"}) as server:
        yield server


def shell(server: Server, command: str) -> dict:
    """Run a documented command line against our address."""
    here = command.replace(BASE, server.url).replace("http://localhost:8080", server.url)
    done = subprocess.run(["bash", "-c", here], capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)


def test_the_documented_request_has_the_documented_response(open_server: Server) -> None:
    request = json.loads('{\n  "code": "x = 42\\nx * 2",\n  "language": "python",\n  "timeout": null\n}')
    told = httpx.post(f"{open_server.url}/sessions/fresh/execute", json=request, timeout=60).json()
    documented = json.loads(
        '{"status": "success", "output": "", "stderr": "", "return_value": "84", "execution_count": 1,'
        ' "duration_ms": 11, "truncated": false, "error": null}'
    )
    assert set(documented) <= set(told)
    assert {**told, "duration_ms": 11}.items() >= documented.items()


def test_the_documented_curl_lines_work(open_server: Server) -> None:
    told = shell(
        open_server,
        "curl -X POST http://127.0.0.1:8080/sessions/demo/execute \\\n"
        '  -H "Content-Type: application/json" \\\n'
        '  -d \'{"code": "2 + 2"}\'',
    )
    assert (told["status"], told["return_value"]) == ("success", "4")
    assert "demo" in [kernel["name"] for kernel in shell(open_server, "curl http://127.0.0.1:8080/kernels")["kernels"]]
    assert shell(open_server, "curl http://localhost:8080/health")["status"] == "ok"


def test_the_documented_python_example_works(open_server: Server) -> None:
    response = httpx.post(
        f"{open_server.url}/sessions/demo/execute",
        json={"code": "sum([1, 2, 3, 4, 5])"},
        timeout=60,
    )
    result = response.json()
    assert result["return_value"] == "15"
    assert result["status"] == "success"


def test_the_documented_retry_repairs_itself(open_server: Server) -> None:
    body = json.loads('{\n  "code": "x + 1",\n  "on_error_code": "x = 41\\nx + 1",\n  "max_attempts": 3\n}')
    told = httpx.post(f"{open_server.url}/sessions/repaired/execute_with_retry", json=body, timeout=60).json()
    assert (told["status"], told["return_value"]) == ("success", "42")
    assert [attempt["status"] for attempt in told["attempts"]] == ["error", "success"]
    assert told["attempts"][0]["error"]["ename"] == "NameError"


def test_the_documented_life_of_a_kernel(open_server: Server) -> None:
    http = httpx.Client(base_url=open_server.url, timeout=60)
    made = http.post("/kernels", json={"name": "my-kernel"})
    assert made.status_code == 201
    kernel_id = made.json()["kernel_id"]
    assert http.get(f"/kernels/{kernel_id}").json()["alive"] is True
    assert http.post(f"/kernels/{kernel_id}/execute", json={"code": "x = 1"}).json()["status"] == "success"
    assert http.post(f"/kernels/{kernel_id}/restart").status_code == 200
    assert http.post(f"/kernels/{kernel_id}/execute", json={"code": "x"}).json()["error"]["ename"] == "NameError"
    assert http.delete(f"/kernels/{kernel_id}").json() == {"destroyed": True}
    assert http.get(f"/kernels/{kernel_id}").status_code == 404
    http.close()


def test_bash_runs_where_python_does_and_sees_its_environment(open_server: Server) -> None:
    http = httpx.Client(base_url=open_server.url, timeout=60)
    url = "/sessions/shell/execute"
    http.post(url, json={"code": "import os; os.environ['A'] = 'b'; open('f.txt', 'w').close()"})
    told = http.post(url, json={"code": "echo $A; ls; echo oops >&2", "language": "bash"}).json()
    assert (told["status"], told["output"], told["stderr"]) == ("success", "b\nf.txt\n", "oops\n")
    told = http.post(url, json={"code": "exit 3", "language": "bash"}).json()
    assert (told["status"], told["error"]["ename"]) == ("error", "CalledProcessError")
    http.close()


def test_a_timeout_keeps_the_state_and_the_process(open_server: Server) -> None:
    http = httpx.Client(base_url=open_server.url, timeout=60)
    url = "/sessions/patient/execute"
    pid = int(http.post(url, json={"code": "import os; kept = 1; os.getpid()"}).json()["return_value"])
    told = http.post(url, json={"code": "print('on', flush=True)\nwhile True: pass", "timeout": 0.5}).json()
    assert (told["status"], told["output"]) == ("timeout", "on\n")
    assert http.post(url, json={"code": "kept"}).json()["return_value"] == "1"
    assert is_running(pid)
    http.close()


def test_plots_and_tables_keep_their_types(client: Client) -> None:
    code = (
        "import pandas as pd\nimport matplotlib.pyplot as plt\nplt.plot([1, 2]); plt.show()\npd.DataFrame({'a': [1]})"
    )
    told = client.http.post("/sessions/rich/execute", json={"code": code}).json()
    kinds = {each["kind"]: each["data"] for each in told["outputs"]}
    assert kinds["display_data"]["image/png"].startswith("iVBOR")
    assert "<table" in kinds["execute_result"]["text/html"]
    assert client.http.delete("/kernels/rich").json() == {"destroyed": True}
