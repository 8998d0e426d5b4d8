"""A real server whose python contexts are forked: it says so, and loses nothing when the zygote is lost."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator

import psutil
import pytest

from tests.harness.client import Client, Repl
from tests.harness.server import Server
from tests.harness.waiting import wait_until


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(settings={"pool_max": "0", "preload": "json"}) as server:
        yield server


def state_of_zygote(client: Client) -> str:
    response = client.http.get("/readyz")
    assert response.status_code == 200
    return str(response.json()["checks"]["zygote"])


def starts(client: Client, way: str) -> float:
    prefix = f'polyrepl_kernel_starts_total{{language="python",way="{way}"}} '
    return sum(
        float(line.removeprefix(prefix))
        for line in client.http.get("/metrics").text.splitlines()
        if line.startswith(prefix)
    )


def parent_of(repl: Repl) -> int:
    """The parent of a kernel, which the kernel itself cannot see from its box."""
    pid = repl.run("import os; os.getpid()").text
    assert pid is not None
    return psutil.Process(repl.outside(int(pid))).ppid()


def test_contexts_are_forked_and_outlive_the_zygote(server: Server):
    client = server.client()
    wait_until(lambda: state_of_zygote(client) == "ready")
    forked = Repl(client, "python")
    forked.run("x = 41")
    assert (starts(client, "spawn"), starts(client, "zygote")) == (0, 1)
    first = server.zygote()
    assert parent_of(forked) == first.pid
    first.send_signal(signal.SIGKILL)
    wait_until(lambda: state_of_zygote(client) != "ready")
    assert state_of_zygote(client) == "fallback: killed by SIGKILL"
    assert forked.run("x + 1").text == "42"
    wait_until(lambda: state_of_zygote(client) == "ready")
    assert server.zygote() != first
    assert "polyrepl_zygote_generation 2.0" in client.http.get("/metrics").text
    assert parent_of(Repl(client, "python")) == server.zygote().pid
    assert forked.run("x").text == "41"
    client.close()


def test_a_forked_kernel_that_is_killed_is_named_with_its_peak_memory(server: Server):
    client = server.client()
    wait_until(lambda: state_of_zygote(client) == "ready")
    result = Repl(client, "python").run("import os; os.kill(os.getpid(), 9)")
    assert result.status == "died"
    assert "killed by SIGKILL (peak memory " in result["error"]["value"]
    client.close()


def test_what_a_forked_kernel_wrote_to_its_descriptors_right_before_a_crash_is_in_the_answer(server: Server):
    client = server.client()
    wait_until(lambda: state_of_zygote(client) == "ready")
    for _ in range(5):
        result = Repl(client, "python").run("import os\nos.write(2, b'last words\\n')\nos.abort()")
        assert result.status == "died"
        assert "last words" in result["logs"]["stderr"]
        assert "Fatal Python error: Aborted" in result["logs"]["stderr"]
    client.close()


def test_the_server_may_open_as_many_files_as_allowed_and_kernels_as_many_as_usual(server: Server):
    client = server.client()
    wait_until(lambda: state_of_zygote(client) == "ready")
    usual = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert resource.prlimit(server.pid, resource.RLIMIT_NOFILE) == (usual[1], usual[1])
    code = "import resource; resource.getrlimit(resource.RLIMIT_NOFILE)"
    most = (
        usual[1] if os.geteuid() == 0 else usual[1] // 2
    )  # isolated code with the server's user has half of its descriptors
    allowed = str((min(usual[0], most), most))
    assert Repl(client, "python").run(code).text == allowed
    assert Repl(client, "ipykernel").run(code).text == allowed
    client.close()
