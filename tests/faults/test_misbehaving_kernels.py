"""Kernels that break the protocol: no call hangs, each ends with a right result or a named error, and the next is as if nothing was."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness.client import Client, Repl
from tests.harness.server import Server

KERNEL = Path(__file__).parent / "misbehaving_kernel.py"
SPECS = {
    "misbehaving": ([], "signal"),
    "deaf": ([], "message"),
    "mute": (["mute"], "signal"),
    "dies": (["dies"], "signal"),
}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    prefix = tmp_path_factory.mktemp("kernels")
    for name, (arguments, mode) in SPECS.items():
        (prefix / "kernels" / name).mkdir(parents=True)
        argv = [sys.executable, str(KERNEL), "{connection_file}", *arguments]
        spec = {"argv": argv, "display_name": name, "language": "none", "interrupt_mode": mode}
        (prefix / "kernels" / name / "kernel.json").write_text(json.dumps(spec))
    settings = {
        "kernelspecs": ",".join(SPECS),
        "pool_max": "0",
        "zygote": "false",
        "kernel_start_timeout": "4",
        "interrupt_grace": "0.3",
    }
    with Server(settings=settings, env={"JUPYTER_PATH": str(prefix)}) as server:
        client = server.client()
        yield client
        client.close()


@pytest.fixture
def repl(client: Client) -> Iterator[Callable[[str], Repl]]:
    made: list[Repl] = []

    def make(language: str) -> Repl:
        made.append(Repl(client, language))
        return made[-1]

    yield make
    for each in made:
        client.delete(each.id)


def check_next(repl: Repl, state: str) -> None:
    """The next two calls have their own output, and nothing else."""
    for text, expected in (("one", state), ("two", "preserved")):
        result = repl.run(f"print {text}", timeout_ms=10_000)
        assert (result.status, result.stdout, result["context_state"]) == ("ok", [text], expected)


@pytest.mark.parametrize(
    ("code", "stdout"),
    [
        ("idle before output", ["late"]),
        ("never idle", ["out"]),
        ("twice", ["out"]),
        ("other parents", ["mine"]),
        ("forged", ["mine"]),
        ("flood after idle", None),
    ],
)
def test_a_result_is_right_whatever_comes_beside_it(
    repl: Callable[[str], Repl], code: str, stdout: list[str] | None
) -> None:
    own = repl("misbehaving")
    result = own.run(code, timeout_ms=20_000)
    assert result.status == "ok"
    assert stdout is None or result.stdout == stdout
    check_next(own, "preserved")


def test_frames_that_are_no_messages_are_left_out(repl: Callable[[str], Repl]) -> None:
    own = repl("misbehaving")
    result = own.run("garbage", timeout_ms=20_000)
    assert (result.status, result.stdout) == ("ok", ["mine"])
    check_next(own, "preserved")


@pytest.mark.parametrize(
    ("language", "code"),
    [("misbehaving", "no reply"), ("misbehaving", "hang"), ("misbehaving", "close"), ("deaf", "hang")],
)
def test_what_never_ends_and_takes_no_interrupt_is_ended_at_its_deadline(
    repl: Callable[[str], Repl], language: str, code: str
) -> None:
    own = repl(language)
    result = own.run(code, timeout_ms=500)
    assert (result.status, result.error, result["context_state"]) == ("timeout", "TimeoutError", "lost")
    check_next(own, "restarted")


@pytest.mark.parametrize("code", ["die", "die after the reply"])
def test_a_kernel_that_dies_in_a_cell_is_named(repl: Callable[[str], Repl], code: str) -> None:
    own = repl("misbehaving")
    result = own.run(code, timeout_ms=20_000)
    assert (result.status, result.error, result["context_state"]) == ("died", "KernelDied", "lost")
    assert "code 3" in result["error"]["value"]
    check_next(own, "restarted")


@pytest.mark.parametrize(("language", "said"), [("mute", "no answer in 4 s"), ("dies", "exited with code 4")])
def test_a_kernel_that_does_not_come_up_is_named(client: Client, language: str, said: str) -> None:
    response = client.http.post("/execute", json={"code": "1", "language": language})
    assert (response.status_code, response.json()["error"]["name"]) == (500, "KernelStartFailed")
    assert said in response.json()["error"]["value"]
