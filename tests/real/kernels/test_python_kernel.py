"""The Python kernel, driven as a real process over ipc, keeps the contract in ``runtimes/README.md``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import zmq

from tests.real.kernels.kernel_under_test import DEADLINE, LAUNCHER, KernelUnderTest, Result


def test_the_value_of_a_cell_is_its_result(either: KernelUnderTest) -> None:
    result = either.run("1+1")
    assert (result.value, result.reply["status"]) == ("2", "ok")


def test_the_users_directory_is_importable_and_the_launchers_is_not(tmp_path: Path) -> None:
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    (cwd / "app.py").write_text("where = 'the user'")
    kernel = KernelUnderTest(tmp_path, cwd=cwd)
    try:
        assert kernel.run("import app; app.where").value == "'the user'"
        assert kernel.run(f"import sys; '' in sys.path, {str(LAUNCHER.parent)!r} in sys.path").value == "(True, False)"
    finally:
        kernel.close()


def test_the_user_can_still_import_what_the_kernel_left_out(either: KernelUnderTest) -> None:
    assert either.run("import debugpy; debugpy.__name__").value == "'debugpy'"


def test_the_history_of_the_session_works_without_a_database(either: KernelUnderTest) -> None:
    either.run("'remembered'")
    assert either.run("_").value == "'remembered'"
    assert "remembered" in either.run("%history").text()


@pytest.mark.parametrize("value", ["plain", 'it\'s "quoted"', "two\nlines", "grüße 🎈", ""])
def test_an_environment_value_is_seen_by_the_cell_and_its_children_only(kernel: KernelUnderTest, value: str) -> None:
    code = (
        "import subprocess, sys, os\nprint(ascii(os.environ['PR_X']))\n"
        "subprocess.run([sys.executable, '-c', 'import os; print(ascii(os.environ[\"PR_X\"]))'])"
    )
    assert kernel.run(code, metadata={"env_vars": {"PR_X": value}}).text() == f"{value!a}\n" * 2
    assert kernel.run("'PR_X' in os.environ").value == "False"


@pytest.mark.parametrize(
    "code", ["%%bash\necho $PR_X", "!echo $PR_X", "await asyncio.sleep(0); print(os.environ['PR_X'])"]
)
def test_an_environment_value_reaches_every_kind_of_cell(kernel: KernelUnderTest, code: str) -> None:
    assert kernel.run(code, metadata={"env_vars": {"PR_X": "seen"}}).text().strip() == "seen"
    assert kernel.run("'PR_X' in os.environ").value == "False"


@pytest.mark.parametrize("code", ["1/0", "await asyncio.sleep(0); 1/0", "raise SystemExit"])
def test_the_environment_is_restored_after_an_error(kernel: KernelUnderTest, code: str) -> None:
    kernel.run("os.environ['PR_OLD'] = 'old'")
    assert kernel.run(code, metadata={"env_vars": {"PR_OLD": "new"}}).error
    assert kernel.run("os.environ['PR_OLD']").value == "'old'"


def test_a_variable_that_the_cell_assigned_keeps_the_cells_value(kernel: KernelUnderTest) -> None:
    kernel.run("os.environ['PR_Y'] = 'cell'", metadata={"env_vars": {"PR_Y": "request", "PR_Z": "z"}})
    assert kernel.run("os.environ.get('PR_Y'), os.environ.get('PR_Z')").value == "('cell', None)"


def test_a_request_shows_its_environment_to_nobody(kernel: KernelUnderTest) -> None:
    code = "get_ipython().kernel.get_parent(), get_ipython().get_parent(), get_ipython().parent_header"
    assert "secret" not in kernel.run(code, metadata={"env_vars": {"PR_S": "secret"}}).value


def test_a_variable_that_no_environment_can_hold_costs_nothing(kernel: KernelUnderTest) -> None:
    assert kernel.run("1", metadata={"env_vars": {"A=B": "x", "PR_N": "a\0b", "PR_I": 3}}).value == "1"


def test_a_limited_stream_has_its_first_and_its_last_half(kernel: KernelUnderTest) -> None:
    limits = {"output_limits": {"stream_bytes": 1000}}
    result = kernel.run("for i in range(1000): print(f'{i:09}')", metadata=limits)
    lines = result.text().split("\n")
    assert (lines[0], lines[49], lines[50], lines[-2]) == ("000000000", "000000049", "000000950", "000000999")
    assert result.omitted() == [9000]


@pytest.mark.parametrize("write", ["sys.stdout.write('é' * 501)", "[sys.stdout.write('é') for _ in range(501)]"])
def test_a_limited_stream_is_cut_between_characters(kernel: KernelUnderTest, write: str) -> None:
    result = kernel.run(f"_ = {write}", metadata={"output_limits": {"stream_bytes": 102}})
    assert result.text() == "é" * 25 + "é" * 25
    assert result.omitted() == [902]


def test_a_stream_within_its_limit_is_complete_and_says_nothing(kernel: KernelUnderTest) -> None:
    result = kernel.run("print('a' * 99)", metadata={"output_limits": {"stream_bytes": 100}})
    assert (result.text(), result.omitted()) == ("a" * 99 + "\n", [])


def test_the_two_streams_and_the_output_of_children_are_limited_each_on_its_own(kernel: KernelUnderTest) -> None:
    code = "os.system('head -c 5000 /dev/zero | tr \"\\\\0\" x'); sys.stderr.write('e' * 50); None"
    result = kernel.run(code, metadata={"output_limits": {"stream_bytes": 100}})
    assert (len(result.text()), len(result.text("stderr")), result.omitted()) == (100, 50, [4900])


def test_the_output_of_a_thread_is_limited_with_its_cell(kernel: KernelUnderTest) -> None:
    code = "t = threading.Thread(target=lambda: print('x' * 5000)); t.start(); t.join()"
    result = kernel.run(code, metadata={"output_limits": {"stream_bytes": 100}})
    assert (len(result.text()), result.omitted()) == (100, [4901])


def test_late_output_beyond_the_limit_is_counted_with_its_own_cell(kernel: KernelUnderTest) -> None:
    code = "timer = threading.Timer(0.05, lambda: (print('x' * 500), print('end', file=sys.stderr))); timer.start()"
    first = kernel.send(code, metadata={"output_limits": {"stream_bytes": 100}})
    kernel.collect(first)
    late = Result()
    while "end" not in late.text("stderr"):
        late.messages.append(kernel.receive("iopub"))
    kernel.run("")
    late.messages += kernel.late
    assert (len(late.text()), late.omitted()) == (100, [401])
    assert {m["parent_header"]["msg_id"] for m in late.of("stream")} == {first}


def test_a_flood_with_a_limit_does_not_grow_the_kernel(kernel: KernelUnderTest) -> None:
    code = "import resource\nbefore = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
    code += "for i in range(2000): print('x' * 99_999)\n"
    limits = {"output_limits": {"stream_bytes": 1 << 20}}
    result = kernel.run(code + "resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before", metadata=limits)
    assert len(result.text()) == 1 << 20
    assert result.omitted() == [200_000_000 - (1 << 20)]
    assert int(result.value) < 32 * 1024


def test_a_large_write_arrives_complete_in_messages_of_at_most_a_mebibyte(kernel: KernelUnderTest) -> None:
    result = kernel.run("print('é' * 3_000_000)")
    assert result.text() == "é" * 3_000_000 + "\n"
    assert max(len(m["content"]["text"].encode()) for m in result.of("stream")) <= 1 << 20


def test_a_lone_surrogate_does_not_cost_the_output(kernel: KernelUnderTest) -> None:
    assert kernel.run("print('a\\ud800b')").text() == "a\\ud800b\n"


def test_a_large_value_is_left_out_and_named(kernel: KernelUnderTest) -> None:
    code = (
        "from IPython.display import display\n"
        "display({'text/plain': 'é' * 60, 'image/png': b'x' * 90, 'application/json': [1] * 80, 'text/html': 'h'}, raw=True)"
    )
    (message,) = kernel.run(code, metadata={"output_limits": {"item_bytes": 101}}).of("display_data")
    assert message["content"]["data"] == {"text/plain": "é" * 50, "text/html": "h"}
    assert message["metadata"]["omitted"]["text/plain"] == 20
    assert message["metadata"]["omitted"]["image/png"] >= 120
    assert message["metadata"]["omitted"]["application/json"] >= 160


def test_large_results_and_updates_are_limited_as_well(kernel: KernelUnderTest) -> None:
    code = "h = display('x' * 50, display_id=True); h.update('y' * 50); 'z' * 50"
    result = kernel.run(code, metadata={"output_limits": {"item_bytes": 10}})
    messages = result.of("display_data", "update_display_data", "execute_result")
    assert [m["metadata"]["omitted"] for m in messages] == [{"text/plain": 42}] * 3


def test_output_of_finished_children_comes_before_the_reply_and_in_order(kernel: KernelUnderTest) -> None:
    for _ in range(10):
        code = "print('a'); os.system('echo b'); print('c'); subprocess.run(['echo', 'd']); print('e')"
        assert kernel.run(code).text() == "a\nb\nc\nd\ne\n"


def test_all_output_of_a_large_child_is_there(kernel: KernelUnderTest) -> None:
    code = "_ = subprocess.run([sys.executable, '-c', 'print(\"é\" * 1_000_000)'])"
    assert kernel.run(code).text() == "é" * 1_000_000 + "\n"


def test_what_is_written_to_the_descriptors_is_output(kernel: KernelUnderTest) -> None:
    result = kernel.run(
        "_ = os.write(1, b'one'), os.write(2, b'two'), subprocess.run(['echo', 'three'], stdout=sys.stdout)"
    )
    assert (result.text(), result.text("stderr")) == ("onethree\n", "two")


def test_forked_children_print_through_their_parent(kernel: KernelUnderTest) -> None:
    code = "print('parent')\npid = os.fork()\nif not pid:\n    print('child', flush=True); os._exit(0)\n_ = os.waitpid(pid, 0)"
    assert kernel.run(code).text() == "parent\nchild\n"


def test_output_of_a_running_cell_is_sent_while_it_runs(kernel: KernelUnderTest) -> None:
    result = kernel.run("print('now'); input()", answer=lambda prompt: "")
    assert result.text() == "now\n"
    request = kernel.send("print('soon')\ntime.sleep(60)")
    while kernel.receive("iopub")["msg_type"] != "stream":
        pass
    kernel.interrupt()
    assert kernel.collect(request).error == "KeyboardInterrupt"


def test_input_and_getpass_are_answered(either: KernelUnderTest) -> None:
    result = either.run("import getpass; input('a?'), getpass.getpass('b?')", answer=str.upper)
    assert result.value == "('A?', 'B?')"


def test_input_without_a_frontend_raises_at_once(either: KernelUnderTest) -> None:
    assert either.run("input()").error == "StdinNotImplementedError"


def test_the_end_of_input_is_an_eof_error(either: KernelUnderTest) -> None:
    assert either.run("input()", answer=lambda prompt: "\x04").error == "EOFError"


@pytest.mark.parametrize("code", ["exit", "quit()", "exit(keep_kernel=False)"])
def test_exit_leaves_the_kernel_alive(kernel: KernelUnderTest, code: str) -> None:
    kernel.run("kept = 5")
    assert kernel.run(code).reply["status"] == "ok"
    assert kernel.run("await asyncio.sleep(0.2); kept").value == "5"


@pytest.mark.parametrize("code", ["sys.exit(3)", "await asyncio.sleep(0); sys.exit(3)"])
def test_sys_exit_is_an_error_and_leaves_the_kernel_alive(kernel: KernelUnderTest, code: str) -> None:
    result = kernel.run(code)
    assert (result.error, result.reply["ename"], result.reply["status"]) == ("SystemExit", "SystemExit", "error")
    assert result.text("stderr") == ""
    assert kernel.run("1").value == "1"


def test_a_task_that_exits_does_not_end_the_kernel(kernel: KernelUnderTest) -> None:
    kernel.run("async def leave(): sys.exit()\ntask = asyncio.create_task(leave())")
    assert kernel.run("2").value == "2"


def test_a_cell_that_cancels_itself_is_answered(kernel: KernelUnderTest) -> None:
    assert kernel.run("asyncio.current_task().cancel(); await asyncio.sleep(9)").error == "CancelledError"
    assert kernel.run("3").value == "3"


def test_inline_figures_and_tables_are_rich(either: KernelUnderTest) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("pandas")
    (figure,) = either.run("import matplotlib.pyplot as plt; _ = plt.plot([1, 2])").of("display_data")
    assert set(figure["content"]["data"]) == {"image/png", "text/plain"}
    (table,) = either.run("import pandas; pandas.DataFrame({'a': [1]})").of("execute_result")
    assert "<table" in table["content"]["data"]["text/html"]
    (awaited,) = either.run("await asyncio.sleep(0); _ = plt.plot([1, 2])").of("display_data")
    assert "image/png" in awaited["content"]["data"]


def test_the_kernel_exits_when_its_parent_is_gone(tmp_path: Path) -> None:
    parent = (
        "import os, subprocess, sys\n"
        "kernel = subprocess.Popen(sys.argv[1:], env={**os.environ, 'JPY_PARENT_PID': str(os.getpid())})\n"
        "kernel.wait()"
    )
    kernel = KernelUnderTest(tmp_path, launcher=[sys.executable, "-c", parent, sys.executable, str(LAUNCHER)])
    try:
        child = os.pidfd_open(int(kernel.run("import os; os.getpid()").value))
        kernel.process.kill()
        poller = zmq.Poller()
        poller.register(child, zmq.POLLIN)
        assert poller.poll(DEADLINE * 1000), "the kernel is still there"
        os.close(child)
    finally:
        kernel.close()


def test_a_shutdown_request_ends_the_kernel(tmp_path: Path) -> None:
    kernel = KernelUnderTest(tmp_path)
    try:
        kernel.session.send(kernel.sockets["control"], "shutdown_request", {"restart": False})
        assert kernel.receive("control")["content"]["status"] == "ok"
        assert kernel.process.wait(DEADLINE) == 0
    finally:
        kernel.close()
