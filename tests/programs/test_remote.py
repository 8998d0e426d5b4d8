"""A context on a remote Jupyter behaves as one on this machine: the suite's own tests, over Jupyter Server and Kernel Gateway."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.harness.client import Client, Repl
from tests.harness.dialects import PYTHON, Dialect
from tests.harness.jupyter import GATEWAY, LEGACY, SERVER, TOKEN, RemoteJupyter, remote_jupyter
from tests.harness.server import Server
from tests.real.conformance.test_cells import (  # noqa: F401 - collected here again
    test_a_carriage_return_overwrites_its_line,
    test_a_cell_without_a_value_has_no_items,
    test_a_syntax_error_is_named_and_located,
    test_aliases_of_a_language_share_their_context,
    test_an_error_in_a_function_of_an_earlier_cell_names_both_lines,
    test_an_error_keeps_the_state,
    test_an_error_tells_its_name_its_value_and_its_line,
    test_each_execution_is_counted,
    test_names_of_one_context_are_unknown_in_another,
    test_output_comes_as_lines_of_its_stream,
    test_state_is_kept_over_calls,
    test_the_last_expression_is_the_primary_item,
    test_unicode_of_every_plane_survives,
)
from tests.real.conformance.test_foreign_kernels import (  # noqa: F401
    bash,
    test_a_bash_cell_runs_and_keeps_its_state,
    test_a_bash_cell_that_fails_is_an_error,
)
from tests.real.conformance.test_gateway import (  # noqa: F401
    kernel,
    python_kernel,
    socket_of,
    test_a_widget_is_opened_changed_from_both_sides_and_closed,
    test_an_interrupt_stops_a_loop,
    test_buffers_travel_both_ways,
    test_cells_keep_their_state_and_are_shared_with_execute,
    test_input_is_answered,
)
from tests.real.conformance.test_streams import (  # noqa: F401
    test_a_reader_that_is_cut_off_and_resumes_gets_every_event_once,
    test_a_stream_that_ends_in_an_error_says_it,
    test_events_come_while_the_cell_runs_and_end_with_done,
    test_many_readers_get_the_same_events,
)
from tests.real.conformance.test_timeouts import (  # noqa: F401
    test_a_context_can_be_interrupted_without_knowing_what_runs,
    test_a_script_that_exits_is_an_error_and_keeps_the_state,
    test_an_interrupt_of_an_idle_context_does_not_reach_the_next_cell,
    test_an_interrupt_of_what_waits_leaves_what_runs_alone,
    test_executions_queued_behind_a_timeout_run_after_it,
    test_what_was_printed_before_a_timeout_is_in_the_answer,
)


@pytest.fixture(scope="module", params=["jupyter_server", "kernel_gateway"])
def remote(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteJupyter]:
    """Jupyter Server, and Kernel Gateway with the older protocol on its websockets."""
    command, *options = (SERVER,) if request.param == "jupyter_server" else (GATEWAY, LEGACY)
    with remote_jupyter(command, tmp_path_factory.mktemp("remote"), *options) as server:
        yield server


@pytest.fixture(scope="module")
def server(remote: RemoteJupyter) -> Iterator[Server]:
    env = {"JUPYTER_URL": remote.url, "JUPYTER_TOKEN": TOKEN}
    settings = {"jupyter_languages": "typescript=local,bash=bash", "pool_max": "0"}
    with Server(settings=settings, env=env, flags=["--backend", "jupyter"]) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Client]:
    client = server.client()
    yield client
    client.close()


@pytest.fixture(scope="module")
def dialect() -> Dialect:
    return PYTHON


@pytest.fixture(scope="module")
def shared(client: Client) -> Callable[[str], Repl]:
    repls: dict[str, Repl] = {}
    return lambda language: repls.setdefault(language, Repl(client, language, f"shared-{language}"))


def test_a_language_that_is_kept_here_runs_here(client: Client, server: Server) -> None:
    repl = Repl(client, "typescript")
    pid = repl.outside(int(repl.run("process.pid").text or 0))
    assert pid in [child.pid for child in server.children()]


def test_only_what_the_settings_place_is_offered(client: Client) -> None:
    languages = {entry["name"]: entry for entry in client.http.get("/languages").json()["items"]}
    assert {name: entry["kernel"] for name, entry in languages.items()} == {
        "bash": "jupyter:bash",
        "python": "jupyter:python3",
        "typescript": "polyrepl-typescript",
    }
    assert client.http.post("/execute", json={"code": "1", "language": "bun"}).status_code == 400


def test_readiness_tells_whether_the_remote_answers(client: Client) -> None:
    assert client.http.get("/readyz").json()["checks"]["jupyter"] == "ok"


def test_lines_are_read_variables_are_set_and_put_back(python: Repl) -> None:
    assert python.run("input('? ') + input()", stdin=["a", "b"]).text == "'ab'"
    code = "import os; os.environ.get('GREETING')"
    assert python.run(code, env_vars={"GREETING": 'it\'s "me"'}).text == repr('it\'s "me"')
    assert python.run(code).text is None


def test_the_control_channel_reaches_the_kernel_while_a_cell_runs(client: Client, python_kernel: str) -> None:  # noqa: F811
    with socket_of(client, python_kernel) as socket:
        msg_id = socket.execute("import time\nprint('begun')\nwhile True: time.sleep(0.01)")
        socket.until(lambda message: message["msg_type"] == "stream")
        asked = socket.send("debug_request", "control", type="request", seq=1, command="debugInfo", arguments={})
        reply = socket.until(lambda message: message["msg_type"] == "debug_reply")[-1]
        assert (reply["parent_header"]["msg_id"], reply["channel"]) == (asked, "control")
        socket.send("interrupt_request", "control")
        assert socket.done(msg_id)


def test_files_are_written_read_listed_and_deleted_through_the_kernel(client: Client, python: Repl) -> None:
    files, content = f"/contexts/{python.id}/files", bytes(range(256)) * 5000
    count = python.run("1")["execution_count"]
    made = client.http.put(f"{files}/data/a file.bin", content=content)
    assert (made.status_code, made.json()["size"]) == (201, len(content))
    assert client.http.put(f"{files}/empty", content=b"").status_code == 201
    assert python.run("len(open('data/a file.bin', 'rb').read()), open('empty').read()").text == "(1280000, '')"
    assert client.http.get(f"{files}/data/a file.bin").content == content
    ranged = client.http.get(f"{files}/data/a file.bin", headers={"Range": "bytes=600000-600003"})
    assert (ranged.status_code, ranged.content) == (206, content[600000:600004])
    listed = client.http.get(files, params={"path": "data"}).json()
    assert [(item["path"], item["type"], item["size"]) for item in listed["items"]] == [
        ("data/a file.bin", "file", len(content))
    ]
    assert client.http.get(f"{files}/data").status_code == 409
    assert client.http.get(f"{files}/nothing").status_code == 404
    assert client.http.delete(f"{files}/data").status_code == 409
    assert client.http.delete(f"{files}/data", params={"recursive": "true"}).status_code == 204
    assert client.http.delete(f"{files}/empty").status_code == 204
    result = python.run("import os; os.path.exists('data'), [name for name in dir() if 'file' in name]")
    assert (result.text, result["execution_count"]) == ("(False, [])", count + 2)


def test_no_path_leads_out_of_the_files(client: Client, python: Repl) -> None:
    python.run("import os; os.symlink('/etc', 'link')")
    files = f"/contexts/{python.id}/files"
    assert client.http.get(f"{files}/%2e%2e/secret").status_code == 400
    assert client.http.get(f"{files}/link/passwd").status_code == 409
    assert client.http.put(f"{files}/link/passwd", content=b"no").status_code == 409
    assert client.http.delete(f"{files}/link").status_code == 204
    assert python.run("os.path.exists('/etc/passwd')").text == "True"


def test_files_of_another_language_are_refused_by_name(client: Client, bash: Repl) -> None:  # noqa: F811
    bash.run("true")
    refused = client.http.get(f"/contexts/{bash.id}/files")
    assert (refused.status_code, "files" in refused.text) == (501, True)


def test_what_needs_this_machine_is_refused_by_name(client: Client, python: Repl) -> None:
    python.run("1")
    assert client.http.get(f"/contexts/{python.id}/variables").status_code == 501
    assert client.http.post(f"/contexts/{python.id}/fork", json={}).status_code == 501
    refused = client.http.post("/contexts", json={"language": "python", "cwd": "/tmp"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "cwd")
