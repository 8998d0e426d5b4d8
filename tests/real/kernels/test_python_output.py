"""Where output of the Python kernel goes: that of threads, of processes that a cell forks, and of replaced streams."""

from __future__ import annotations

import pytest

from engine.output import strip_ansi
from tests.real.kernels.kernel_under_test import KernelUnderTest

LATE = {
    "thread": "threading.Thread(target=late).start()",
    "worker of a pool": "from concurrent.futures import ThreadPoolExecutor\n_ = ThreadPoolExecutor(1).submit(late)",
    "timer": "threading.Timer(0, late).start()",
    "thread without an object": "import _thread\n_ = _thread.start_new_thread(late, ())",
    "worker of the loop": "_ = asyncio.get_event_loop().run_in_executor(None, late)",
}


@pytest.mark.parametrize("start", LATE.values(), ids=LATE)
def test_output_of_what_an_earlier_cell_started_belongs_to_the_cell_that_runs(
    kernel: KernelUnderTest, start: str
) -> None:
    code = "go, done = threading.Event(), threading.Event()\n"
    code += "def late():\n    go.wait(30); print('late'); display('shown'); done.set()\n"
    kernel.run(code + start)
    result = kernel.run("print('own'); go.set(); done.wait(30)")
    assert result.text() == "own\nlate\n"
    assert [m["content"]["data"]["text/plain"] for m in result.of("display_data")] == ["'shown'"]
    assert not [m for m in kernel.late if m["msg_type"] in ("stream", "display_data")]


def test_output_of_an_earlier_cells_task_belongs_to_the_cell_that_awaits_it(kernel: KernelUnderTest) -> None:
    kernel.run(
        "go = asyncio.Event()\nasync def late():\n    await go.wait(); print('late')\ntask = asyncio.create_task(late())"
    )
    assert kernel.run("go.set(); await task").text() == "late\n"


def test_a_request_that_runs_no_cell_takes_no_output_of_threads(kernel: KernelUnderTest) -> None:
    code = "class Slow:\n    def __repr__(self):\n        go.set(); done.wait(30); return 'slow'\n"
    code += "go, done = threading.Event(), threading.Event()\n"
    code += "threading.Thread(target=lambda: (go.wait(30), print('late'), done.set())).start()\nslow = Slow()"
    first = kernel.send(code)
    kernel.collect(first)
    assert not kernel.ask("inspect_request", code="slow", cursor_pos=4, detail_level=0).of("stream")
    kernel.run("")
    assert [m["parent_header"]["msg_id"] for m in kernel.late if m["msg_type"] == "stream"] == [first]


RESETS = {
    "as it was": "sys.stdout = io.StringIO(); print('hidden'); sys.stdout = sys.__stdout__",
    "wrapped": "sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding='utf-8')",
    "wrapped again": "sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding='utf-8')",
    "detached": "import codecs; sys.stdout = codecs.getwriter('utf-8')(sys.__stdout__.detach())",
    "a copy of the descriptor": "sys.stdout = os.fdopen(os.dup(1), 'w')",
    "back": "sys.stdout = sys.__stdout__",
}


def test_what_is_printed_is_seen_whatever_a_cell_makes_of_stdout(kernel: KernelUnderTest) -> None:
    kernel.run("import io")
    for reset in RESETS.values():
        assert kernel.run(f"{reset}\nprint('grüße')").text() == "grüße\n", reset
        assert kernel.run("print('next')").text() == "next\n", reset


@pytest.mark.parametrize("flush", ["raise SystemExit", "raise KeyboardInterrupt", "1 / 0"])
def test_a_stream_of_the_user_that_cannot_be_flushed_costs_no_answer(kernel: KernelUnderTest, flush: str) -> None:
    code = f"class Odd:\n    def write(self, text): pass\n    def flush(self): {flush}\nsys.stdout = Odd()\n1"
    assert kernel.run(code).value == "1"
    assert kernel.run("sys.stdout = sys.__stdout__; print('back')").text() == "back\n"


def test_stdout_takes_bytes_and_puts_characters_together(kernel: KernelUnderTest) -> None:
    code = (
        "out = sys.stdout.buffer\nprint('a'); out.write('é'.encode()[:1]); out.write('é'.encode()[1:]); out.flush()\n"
    )
    code += "out.write(b'\\xff'); out.close(); print('b'); sys.stdout.buffer.raw.write(memoryview(b'c'))"
    result = kernel.run(code)
    assert (result.text(), result.value) == ("a\né\ufffdb\nc", "1")


def test_stdout_can_be_reconfigured(kernel: KernelUnderTest) -> None:
    code = "sys.stdout.reconfigure(encoding='ascii', errors='backslashreplace', line_buffering=True); print('é')\n"
    code += "found = sys.stdout.encoding, sys.stdout.errors, sys.stdout.line_buffering\n"
    code += "sys.stdout.reconfigure(encoding='utf-8', line_buffering=False); print('é'); found"
    result = kernel.run(code)
    assert (result.text(), result.value) == ("\\xe9\né\n", "('ascii', 'backslashreplace', True)")
    assert kernel.run("sys.stdout.reconfigure(encoding='no such')").error == "LookupError"
    assert kernel.run("sys.stdout.reconfigure(errors='no such')").error == "LookupError"


def test_lines_of_forked_workers_are_whole(kernel: KernelUnderTest) -> None:
    code = "import multiprocessing\nfork = multiprocessing.get_context('fork')\ngate = fork.Barrier(3)\n"
    code += "def talk(k):\n    gate.wait()\n    for i in range(60): print('worker', k, 'line', i)\n"
    code += "workers = [fork.Process(target=talk, args=(k,)) for k in range(3)]\n"
    code += "for worker in workers: worker.start()\nfor i in range(60): print('parent', 0, 'line', i)\n"
    code += "for worker in workers: worker.join()"
    expected = [f"worker {k} line {i}" for k in range(3) for i in range(60)] + [f"parent 0 line {i}" for i in range(60)]
    assert sorted(kernel.run(code).text().splitlines()) == sorted(expected)


def test_a_forked_child_writes_the_end_of_its_line_when_it_flushes_or_ends(kernel: KernelUnderTest) -> None:
    code = "for way in ('flush', 'return'):\n    pid = os.fork()\n    if not pid:\n        print(way, end=' ')\n"
    code += "        if way == 'flush':\n            sys.stdout.flush(); os._exit(0)\n        break\n    _ = os.waitpid(pid, 0)"
    assert kernel.run(code).text() == "flush return "


@pytest.mark.parametrize(
    ("child", "status", "said"),
    [
        ("1 / 0", 1, "ZeroDivisionError: division by zero"),
        ("await asyncio.sleep(0) if False else undefined", 1, "NameError"),
        ("sys.exit(3)", 3, ""),
        ("sys.exit()", 0, ""),
        ("sys.exit('the reason')", 1, "the reason"),
        ("exit(4)", 4, ""),
        ("raise KeyboardInterrupt", -2, "KeyboardInterrupt"),
        ("pass", 0, ""),
    ],
)
def test_a_forked_child_ends_as_a_program_does(kernel: KernelUnderTest, child: str, status: int, said: str) -> None:
    kernel.run("import warnings; warnings.simplefilter('ignore')")  # Python 3.12 warns of forks beside threads
    code = (
        f"pid = os.fork()\nif not pid:\n    {child}\nelse:\n    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))"
    )
    result = kernel.run(code)
    assert (result.text(), result.reply["status"]) == (f"{status}\n", "ok")
    errors = strip_ansi(result.text("stderr"))
    assert (said in errors, bool(errors)) == (True, bool(said)), errors


def test_a_forked_child_has_no_input(kernel: KernelUnderTest) -> None:
    code = "pid = os.fork()\nif not pid:\n    try: input()\n    except EOFError as error: print(error)\n"
    code += "else:\n    _ = os.waitpid(pid, 0)"
    assert kernel.run(code, answer=lambda prompt: "nobody asks").text() == "EOF when reading a line\n"


def test_a_child_that_a_comm_forks_does_not_live_on_as_a_kernel(kernel: KernelUnderTest) -> None:
    code = "def target(comm, opened):\n    global pid\n    pid = os.fork()\n"
    kernel.run(code + "get_ipython().kernel.comm_manager.register_target('forks', target)")
    kernel.session.send(kernel.sockets["shell"], "comm_open", {"comm_id": "f", "target_name": "forks", "data": {}})
    assert kernel.run("os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])").value == "0"
