"""A context on a remote Jupyter behaves as one on this machine: the suite's own tests, over Jupyter Server and Kernel Gateway."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.conformance.dialects import PYTHON, Dialect
from tests.conformance.server import Client, Repl, Server
from tests.conformance.test_cells import (  # noqa: F401 - collected here again
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
from tests.conformance.test_streams import (  # noqa: F401
    test_a_reader_that_is_cut_off_and_resumes_gets_every_event_once,
    test_a_stream_that_ends_in_an_error_says_it,
    test_events_come_while_the_cell_runs_and_end_with_done,
    test_many_readers_get_the_same_events,
)
from tests.conformance.test_timeouts import (  # noqa: F401
    test_a_context_can_be_interrupted_without_knowing_what_runs,
    test_a_script_that_exits_is_an_error_and_keeps_the_state,
    test_an_interrupt_of_an_idle_context_does_not_reach_the_next_cell,
    test_an_interrupt_of_what_waits_leaves_what_runs_alone,
    test_executions_queued_behind_a_timeout_run_after_it,
    test_what_waited_when_the_kernel_died_runs_on_the_next_one,
    test_what_was_printed_before_a_timeout_is_in_the_answer,
)
from tests.remote_jupyter import GATEWAY, LEGACY, SERVER, TOKEN, RemoteJupyter, remote_jupyter


@pytest.fixture(scope="module", params=["jupyter_server", "kernel_gateway"])
def remote(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteJupyter]:
    """Jupyter Server, and Kernel Gateway with the older protocol on its websockets."""
    command, *options = (SERVER,) if request.param == "jupyter_server" else (GATEWAY, LEGACY)
    with remote_jupyter(command, tmp_path_factory.mktemp("remote"), *options) as server:
        yield server


@pytest.fixture(scope="module")
def server(remote: RemoteJupyter) -> Iterator[Server]:
    env = {"JUPYTER_URL": remote.url, "JUPYTER_TOKEN": TOKEN}
    settings = {"jupyter_languages": "typescript=local", "pool_max": "0"}
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
    result = client.execute("process.ppid", language="typescript")
    assert result.text == str(server.pid)


def test_only_what_the_settings_place_is_offered(client: Client) -> None:
    languages = {entry["name"]: entry for entry in client.http.get("/languages").json()["items"]}
    assert {name: entry["kernel"] for name, entry in languages.items()} == {
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


def test_what_needs_this_machine_is_refused_by_name(client: Client, python: Repl) -> None:
    python.run("1")
    assert client.http.get(f"/contexts/{python.id}/variables").status_code == 501
    assert client.http.post(f"/contexts/{python.id}/fork", json={}).status_code == 501
    refused = client.http.post("/contexts", json={"language": "python", "cwd": "/tmp"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "cwd")
