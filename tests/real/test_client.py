"""The Python clients against a real server."""

from __future__ import annotations

import asyncio
import gc
import inspect
import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import polyrepl
from polyrepl import (
    UNSET,
    ApiError,
    AsyncClient,
    Client,
    ClientError,
    CodeFailed,
    Done,
    InputRequest,
    InvalidRequest,
    Started,
    Stdout,
)
from tests.harness.server import Server

pytestmark = pytest.mark.anyio
TOKEN = "secret"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(settings={"token": TOKEN, "check_timeout": "30"}) as server:
        assert server.url
        yield server


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Client]:
    with Client(server.url, token=TOKEN) as client:
        yield client


def test_a_program_needs_only_two_variables(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYREPL_URL", server.url)
    monkeypatch.setenv("POLYREPL_TOKEN", TOKEN)
    with Client() as client:
        assert client.health().status == "ok"
        assert client.run_code("6 * 7").text == "42"


def test_a_result_has_what_the_code_made_and_shows_itself(client: Client) -> None:
    result = client.run_code("print('hi')\nfrom PIL import Image\nImage.new('RGB', (3, 2))", context_id="r")
    assert (result.is_ok, result.stdout) == (True, "hi")
    (image,) = result.images
    assert image.startswith(b"\x89PNG")
    assert "hi" in str(result)
    assert repr(result).startswith("<Result ok [1]")
    assert result.primary is not None
    bundle, _ = result.primary._repr_mimebundle_()
    assert set(bundle) >= {"image/png", "text/plain"}
    assert set(result.primary._repr_mimebundle_(include={"image/png"})[0]) == {"image/png"}


def test_an_error_of_the_code_is_a_result_and_can_be_raised(client: Client) -> None:
    result = client.run_code("1 / 0", context_id="r")
    assert result.status == "error"
    with pytest.raises(CodeFailed, match="division by zero") as raised:
        result.raise_for_error()
    assert raised.value.code == "ZeroDivisionError"


def test_wishes_are_carried_out(client: Client) -> None:
    code = "import os\nopen('made.txt', 'w').write('x')\nlines = [input(), input()]\nos.environ['KEY'] + str(lines)"
    result = client.run_code(
        code, context_id="w", env_vars={"KEY": "v"}, stdin=["a", "b"], variables=True, checkpoint=True, files=True
    )
    assert result.text == "\"v['a', 'b']\""
    assert result.variables.created == ["lines", "os"]
    assert isinstance(result.checkpoint, str)
    assert [change.path for change in result.files] == ["made.txt"]
    failed = client.run_code("lines = 0; 1 / 0", context_id="w", rollback=True)
    assert failed.context_state == "rolled_back"
    assert client.run_code("len(lines)", context_id="w").text == "2"
    assert client.run_code("const n: number = 2; n", language="ts", context_id="w").text == "2"
    assert client.run_code("while True: pass", context_id="w", timeout=0.3).status == "timeout"


def test_types_are_checked_on_request(client: Client) -> None:
    result = client.run_code("const n: number = 'x'\nn.nowhere()", language="ts", context_id="types", check=True)
    assert [(each.line, each.column, each.code) for each in result.diagnostics or ()] == [(1, 7, 2322), (2, 3, 2339)]
    assert result.error
    assert "nowhere" in str(result.error.hint)
    python = client.run_code("1", context_id="types", check=True)
    assert (python.diagnostics, python.unchecked) == (UNSET, "Only cells of our TypeScript kernels are checked.")


def test_a_new_context_has_the_isolation_the_network_and_the_limits_that_were_asked_for(client: Client) -> None:
    default = client.contexts.create(context_id="default")
    wanted = {"limits": {"open_files": 200}, "isolation": default.isolation, "network": default.network}
    made = client.contexts.create(context_id="i1", **wanted)
    assert (made.limits or {})["open_files"] == 200
    assert (made.isolation, made.network) == (default.isolation, default.network)
    code = "import resource; resource.getrlimit(resource.RLIMIT_NOFILE)[1]"
    assert client.run_code(code, context_id="i2", **wanted).text == "200"
    client.executions.wait(client.executions.start("1", context_id="i3", **wanted).execution_id)
    assert (client.contexts.get("i3").limits or {})["open_files"] == 200
    for field, value in (("isolation", "strong"), ("network", "some"), ("limits", {"open_files": -1})):
        for call in (client.contexts.create, partial(client.run_code, "1")):
            with pytest.raises(InvalidRequest, match=field):
                call(context_id=f"not-{field}", **{field: value})


def test_the_same_key_runs_the_code_once(client: Client) -> None:
    first = client.run_code("import random; random.random()", context_id="k", idempotency_key="once")
    assert client.run_code("import random; random.random()", context_id="k", idempotency_key="once").text == first.text
    with pytest.raises(polyrepl.IdempotencyConflict):
        client.run_code("other", context_id="k", idempotency_key="once")


def test_callbacks_get_output_as_it_comes_and_answer_input(client: Client) -> None:
    seen: list[Any] = []

    def answer(request: InputRequest) -> str:
        seen.append(("asked", request.prompt))
        return "Ada"

    code = "import sys\nprint('out')\nname = input('? ')\nprint('err', file=sys.stderr)\nname"
    result = client.run_code(
        code,
        context_id="cb",
        on_stdout=lambda text: seen.append(("out", text)),
        on_stderr=lambda text: seen.append(("err", text)),
        on_item=lambda item: seen.append(("item", item.text)),
        on_input=answer,
    )
    assert seen == [("out", "out\n"), ("asked", "? "), ("err", "err\n"), ("item", "'Ada'")]
    assert result.text == "'Ada'"
    nobody = client.run_code("input()", context_id="cb", on_stdout=seen.append)
    assert nobody.error.name == "EOFError"


def test_contexts_and_all_that_is_theirs(client: Client) -> None:
    made = client.contexts.create("python", context_id="all")
    assert (made.id, made.language) == ("all", "python")
    assert "all" in [context.id for context in client.contexts.list()]
    client.run_code("number = 5", context_id="all")
    assert client.contexts.get("all").execution_count == 1
    (variable,) = client.contexts.variables("all", match="numb").items
    assert variable.preview == "5"
    checkpoint = client.checkpoints.create("all", name="five")
    assert [each.name for each in client.checkpoints.list("all")] == ["five"]
    client.run_code("number = 6", context_id="all")
    copy = client.contexts.fork("all", new_id="all-copy", checkpoint=checkpoint.checkpoint)
    assert client.run_code("number", context_id=copy.id).text == "5"
    client.contexts.restore("all", checkpoint.checkpoint)
    assert client.run_code("number", context_id="all").text == "5"
    client.checkpoints.delete("all", checkpoint.checkpoint)
    found = client.contexts.complete("all", "numb")
    assert [match.text for match in found.matches] == ["number"]
    assert (found.cursor_start, found.cursor_end) == (0, 4)
    assert client.contexts.inspect("all", "number").found
    assert client.contexts.is_complete("all", "if number:").status == "incomplete"
    with pytest.raises(polyrepl.InvalidRequest) as wrong:
        client.contexts.complete("all", "numb", cursor=99)
    assert wrong.value.errors[0].field == "cursor"
    client.contexts.restart("all")
    assert client.run_code("'number' in globals()", context_id="all").text == "False"
    client.contexts.delete("all")
    with pytest.raises(polyrepl.ContextNotFound) as gone:
        client.contexts.get("all")
    assert isinstance(gone.value, ApiError)
    assert (gone.value.code, gone.value.status) == ("ContextNotFound", 404)
    assert "deleted" in gone.value.cause
    assert gone.value.remediation


def test_an_execution_is_followed_and_interrupted_from_anywhere(client: Client) -> None:
    started = client.executions.start("print('begun', flush=True)\nwhile True: pass", context_id="x")
    events = client.executions.events(started.execution_id)
    assert isinstance(next(events), Started)
    assert next(events) == Stdout(text="begun\n")
    assert client.contexts.interrupt("x") == [started.execution_id]
    assert client.executions.wait(started.execution_id).status == "interrupted"
    with pytest.raises(polyrepl.InputNotExpected):
        client.executions.input(started.execution_id, "late")


def test_a_run_bounds_its_output_and_its_events_end_for_who_has_read_them(client: Client) -> None:
    result = client.run_code("print('x' * 10_000)", context_id="bounds", max_output_bytes=1024)
    assert result.truncated
    assert result.truncated["stdout"].kept_bytes <= 256
    events = list(client.executions.events(result.execution_id))
    assert isinstance(events[-1], Done)
    assert list(client.executions.events(result.execution_id, after=len(events))) == []


def test_a_stream_that_is_dropped_is_never_closed_by_the_garbage_collector_but_by_the_next_call(client: Client) -> None:
    started = client.executions.start("print('begun', flush=True)\nwhile True: pass", context_id="d")
    kept: dict[str, Any] = {"events": client.executions.events(started.execution_id)}
    assert isinstance(next(kept["events"]), Started)
    opened = len(client._connection._streams)
    pool = client._connection.http._transport._pool
    kept["itself"] = kept  # only the garbage collector finds it
    with pool._optional_thread_lock:
        del kept
        gc.collect()
    assert len(client._connection._streams) == opened
    assert client.contexts.interrupt("d") == [started.execution_id]
    assert len(client._connection._streams) < opened


def test_files_come_and_go_in_every_form(client: Client, tmp_path: Path) -> None:
    local = tmp_path / "local.bin"
    local.write_bytes(bytes(range(256)) * 3000)
    assert client.files.upload("f", b"bytes", "a/b ü.txt", language="python").path == "a/b ü.txt"
    assert client.files.upload("f", local).size == 768_000
    assert client.files.upload("f", io.BytesIO(b"of a file"), "c.txt").size == 9
    assert client.files.download("f", "a/b ü.txt") == b"bytes"
    assert client.files.download("f", "local.bin", tmp_path / "back.bin") == b""
    assert (tmp_path / "back.bin").read_bytes() == local.read_bytes()
    listed = client.files.list("f", recursive=True)
    assert {"a/b ü.txt", "local.bin", "c.txt"} <= {each.path for each in listed.items}
    client.files.delete("f", "c.txt")
    with pytest.raises(polyrepl.FileMissing):
        client.files.download("f", "c.txt", tmp_path / "no.txt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["back.bin", "local.bin"]
    with pytest.raises(ValueError, match="path"):
        client.files.upload("f", b"nameless")


def test_what_cannot_be_installed_is_told_as_it_happens(client: Client) -> None:
    client.contexts.create(context_id="p")
    said: list[str] = []
    result = client.packages.install("p", ["polyrepl==0.0.0.0.1"], on_output=said.append)
    assert (result.status, result.tool) == ("error", "pip")
    assert "".join(said)


def test_a_wrong_token_is_a_typed_error(server: Server) -> None:
    with Client(server.url, token="wrong") as client, pytest.raises(polyrepl.Unauthorized) as raised:
        client.contexts.list()
    assert isinstance(raised.value, ClientError)


async def test_the_asynchronous_client_does_the_same(server: Server, tmp_path: Path) -> None:
    async with AsyncClient(server.url, token=TOKEN) as client:
        assert (await client.run_code("6 * 7", context_id="async")).text == "42"
        seen: list[str] = []

        async def note(text: str) -> None:
            await asyncio.sleep(0)
            seen.append(text)

        async def answer(request: InputRequest) -> str:
            return request.prompt.upper()

        asked = await client.run_code("print('a'); input('b')", context_id="async", on_stdout=note, on_input=answer)
        assert (seen, asked.text) == (["a\n"], "'B'")
        async with client.stream("print(1)", context_id="async") as stream:
            events = [event async for event in stream]
        assert [type(event) for event in events] == [Started, Stdout, Done]
        assert (await stream.result()).stdout == "1"
        local = tmp_path / "local"
        local.write_bytes(b"x" * 600_000)
        await client.files.upload("async", local)
        assert await client.files.download("async", "local") == local.read_bytes()
        started = await client.executions.start("while True: pass", context_id="async")
        await client.executions.interrupt(started.execution_id)
        assert (await client.executions.wait(started.execution_id)).status == "interrupted"
        with pytest.raises(polyrepl.ContextNotFound):
            await client.contexts.get("nobody")


def test_both_clients_have_the_same_methods() -> None:
    def methods(kind: type) -> dict[str, list[str]]:
        found = {name: each for name, each in vars(kind).items() if not name.startswith("_") and callable(each)}
        return {name: list(inspect.signature(each).parameters) for name, each in found.items()}

    asynchronous = methods(AsyncClient)
    asynchronous["close"] = asynchronous.pop("aclose")
    assert asynchronous == methods(Client)
    with Client() as one:
        other = AsyncClient()
        for name in ("contexts", "executions", "checkpoints", "packages", "files"):
            assert methods(type(getattr(one, name))) == methods(type(getattr(other, name)))
