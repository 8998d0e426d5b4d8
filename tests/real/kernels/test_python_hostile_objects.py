"""What users' objects and callbacks raise outside of a cell, and how long they take, costs the Python kernel nothing."""

from __future__ import annotations

import pytest

from engine.output import strip_ansi
from tests.real.kernels.kernel_under_test import KernelUnderTest

HOSTILE = {
    "repr exits": "def __repr__(self): raise SystemExit(2)",
    "repr is interrupted": "def __repr__(self): raise KeyboardInterrupt",
    "repr is cancelled": "def __repr__(self): raise asyncio.CancelledError",
    "an attribute exits": "def __getattr__(self, name): sys.exit('config missing')",
    "every attribute ends a generator": "def __getattribute__(self, name): raise GeneratorExit",
    "its class exits": "__class__ = property(lambda self: sys.exit())",
    "dir exits": "def __dir__(self): raise SystemExit",
    "its length exits": "def __len__(self): raise SystemExit",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_a_question_about_a_hostile_object_is_answered(kernel: KernelUnderTest, body: str) -> None:
    kernel.run(f"class Hostile:\n    {body}\nhostile = Hostile()")
    for code in ("hostile", "hostile.", "hostile.x"):
        for kind in ("inspect_request", "complete_request"):
            assert kernel.ask(kind, code=code, cursor_pos=len(code)).reply["status"] == "ok"
    assert kernel.ask("variables_request", match="hostile").reply["status"] == "ok"
    assert kernel.run("1", metadata={"changes": True}).value == "1"


def test_a_description_that_takes_for_ever_is_given_up(kernel: KernelUnderTest) -> None:
    kernel.run("class Slow:\n    def __repr__(self):\n        while True: pass\nslow = Slow()")
    reply = kernel.ask("inspect_request", code="slow", cursor_pos=4).reply
    assert (reply["status"], reply["found"]) == ("ok", True)
    assert "longer than" in reply["data"]["text/plain"]
    assert kernel.run("1").value == "1"


@pytest.mark.parametrize("raised", ["sys.exit(1)", "raise KeyboardInterrupt", "raise GeneratorExit", "1 / 0"])
def test_a_comm_whose_callback_raises_leaves_the_kernel_alive(kernel: KernelUnderTest, raised: str) -> None:
    code = f"def target(comm, opened):\n    @comm.on_msg\n    def clicked(event): {raised}\n"
    kernel.run(code + "get_ipython().kernel.comm_manager.register_target('hostile', target)")
    for kind in ("comm_open", "comm_msg", "comm_close"):
        content = {"comm_id": "c", "target_name": "hostile", "data": {}}
        kernel.session.send(kernel.sockets["shell"], kind, content)
    assert kernel.run("2").value == "2"


@pytest.mark.parametrize("raised", ["sys.exit(3)", "raise KeyboardInterrupt", "raise GeneratorExit", "1 / 0"])
def test_an_error_whose_text_raises_is_told_with_its_traceback(kernel: KernelUnderTest, raised: str) -> None:
    result = kernel.run(f"class Odd(Exception):\n    def __str__(self): {raised}\nraise Odd(1)")
    assert (result.error, result.reply["ename"]) == ("Odd", "Odd")
    assert "raise Odd(1)" in strip_ansi("\n".join(result.reply["traceback"]))
    assert kernel.run("4").value == "4"


def test_an_endless_recursion_is_told_in_short(kernel: KernelUnderTest) -> None:
    result = kernel.run("def down(n): return n * down(n - 1)\ndown(5)")
    text = "\n".join(result.reply["traceback"])
    assert (result.error, len(text) < 5000) == ("RecursionError", True)
    assert "skipping similar frames: down at line 1 (" in text


def test_a_recursion_of_several_functions_names_them_all(kernel: KernelUnderTest) -> None:
    result = kernel.run("def ping(): return pong()\ndef pong(): return ping()\nping()")
    text = "\n".join(result.reply["traceback"])
    assert "ping at line 1 (" in text
    assert "pong at line 2 (" in text


def test_a_long_chain_of_errors_is_told_in_short(kernel: KernelUnderTest) -> None:
    code = "error = ValueError('the first')\nfor i in range(1000):\n    later = ValueError(i)\n"
    result = kernel.run(code + "    later.__cause__ = error\n    error = later\nraise error")
    text = strip_ansi("\n".join(result.reply["traceback"]))
    assert "980 earlier errors are left out" in text
    assert text.count("ValueError:") == 21


def test_a_long_chain_of_errors_that_were_being_handled_is_told_in_short(kernel: KernelUnderTest) -> None:
    code = "error = ValueError('the first')\nfor i in range(5000):\n    later = ValueError(i)\n"
    result = kernel.run(code + "    later.__context__ = error\n    error = later\nraise error")
    text = strip_ansi("\n".join(result.reply["traceback"]))
    assert (result.error, result.reply["ename"]) == ("ValueError", "ValueError")
    assert "4981 earlier errors are left out" in text


HANGS = {
    "repr": "class Hangs:\n    def __repr__(self):\n        while True: pass\nHangs()",
    "a form of its own": "class Hangs:\n    def _repr_html_(self):\n        while True: pass\nHangs()",
    "in a list": "class Hangs:\n    def __repr__(self):\n        while True: pass\n[Hangs()]",
    "displayed": "class Hangs:\n    def __repr__(self):\n        while True: pass\ndisplay(Hangs())",
    "awaited": "class Hangs:\n    def __repr__(self):\n        while True: pass\nawait asyncio.sleep(0); Hangs()",
    "text of an error": "class Hangs(Exception):\n    def __str__(self):\n        while True: pass\nraise Hangs",
    "text of an error in a group": "class Hangs(Exception):\n    def __str__(self):\n        while True: pass\n"
    "raise ExceptionGroup('g', [Hangs()])",
    "value in JSON": "class Hangs:\n    def tolist(self):\n        while True: pass\ndisplay({'application/json': [Hangs()]}, raw=True)",
    "iterator in JSON": "display({'application/json': (n for n in iter(int, 1) if n)}, raw=True)",
}


@pytest.mark.parametrize("code", HANGS.values(), ids=HANGS)
def test_interrupts_end_a_description_that_takes_for_ever(kernel: KernelUnderTest, code: str) -> None:
    limits = {"stream_bytes": 1 << 20, "item_bytes": 1 << 20}  # as the server sends them
    request = kernel.send(code, metadata={"output_limits": limits})
    kernel.wait_until_started(request)
    for _ in range(100):  # each ends one question
        kernel.interrupt()
        if kernel.sockets["shell"].poll(100):
            break
    assert kernel.collect(request).reply["ename"] in ("KeyboardInterrupt", "Hangs", "ExceptionGroup")
    assert kernel.run("3").value == "3"


def test_an_error_whose_text_exits_is_an_error(kernel: KernelUnderTest) -> None:
    code = "class Exits(Exception):\n    def __str__(self): raise SystemExit\nraise Exits"
    assert kernel.run(code).reply["status"] == "error"
    assert kernel.run("4").value == "4"


@pytest.mark.parametrize("mode", ["Plain", "Verbose", "Minimal"])
def test_every_kind_of_traceback_is_bounded(kernel: KernelUnderTest, mode: str) -> None:
    kernel.run(f"%xmode {mode}")
    result = kernel.run("def down(): return down()\ndown()")
    kernel.run("%xmode Context")
    assert (result.error, len("\n".join(result.reply["traceback"])) < 5000) == ("RecursionError", True)


def test_clocks_and_calls_that_a_cell_replaces_do_not_stop_the_kernel(kernel: KernelUnderTest) -> None:
    kernel.run("from unittest import mock\nclock = time.monotonic")
    for fake in ("lambda: 5.0", "lambda: 1 / 0", "lambda: 'no time'"):
        code = f"time.monotonic = {fake}\nprint('seen', flush=False)\nawait asyncio.sleep(0.01)"
        assert kernel.run(code).text() == "seen\n"
        request = kernel.send("print('on')\nwhile True: pass")
        while kernel.receive("iopub")["msg_type"] != "stream":
            pass  # the helper thread has sent it
        kernel.interrupt()
        assert kernel.collect(request).error == "KeyboardInterrupt"
    kernel.run("time.monotonic = clock\nmock.patch('os.getpid', return_value=1).start(); mock.patch('os.kill').start()")
    result = kernel.run("mock.patch('time.time', side_effect=[1, 2]).start()\nprint('x')\ntime.time(), time.time()")
    assert result.value == "(1, 2)"
    request = kernel.send("while True: pass")
    kernel.wait_until_started(request)
    kernel.interrupt()
    assert kernel.collect(request).error == "KeyboardInterrupt"
    assert kernel.run("mock.patch.stopall(); os.getpid() > 1").value == "True"
