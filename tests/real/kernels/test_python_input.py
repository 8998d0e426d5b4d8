"""`input()` in threads of the Python kernel: one asks at a time, and a wait ends with its cell."""

from __future__ import annotations

from tests.real.kernels.kernel_under_test import KernelUnderTest


def test_threads_that_ask_at_once_each_get_their_answer(kernel: KernelUnderTest) -> None:
    code = "await asyncio.gather(*(asyncio.to_thread(input, f'{name}? ') for name in 'ABC'))"
    assert kernel.run(code, answer=lambda prompt: prompt[0].lower()).value == "['a', 'b', 'c']"


def test_a_cell_and_its_thread_ask_in_turn(kernel: KernelUnderTest) -> None:
    code = "found = []\nthread = threading.Thread(target=lambda: found.append(input('thread? '))); thread.start()\n"
    code += "found.append(input('cell? ')); thread.join(); sorted(found)"
    assert kernel.run(code, answer=lambda prompt: prompt[:4]).value == "['cell', 'thre']"


def test_a_thread_that_waits_when_its_cell_ends_holds_nothing_up(kernel: KernelUnderTest) -> None:
    request = kernel.send("await asyncio.to_thread(input, 'x? ')", allow_stdin=True)
    kernel.receive("stdin")
    kernel.interrupt()
    assert kernel.collect(request).error == "KeyboardInterrupt"
    for number in range(3):
        assert kernel.run(f"{number}").value == f"{number}"
    assert kernel.run("input('again? ')", answer=str.upper).value == "'AGAIN? '"


def test_a_thread_that_asks_when_no_cell_runs_is_at_the_end_of_input(kernel: KernelUnderTest) -> None:
    code = "go, found = threading.Event(), []\ndef ask():\n    go.wait(30)\n    try: input()\n"
    code += "    except EOFError as error: found.append(str(error))\n"
    kernel.run(code + "thread = threading.Thread(target=ask); thread.start()\n", answer=str.upper)
    kernel.run("threading.Timer(0.05, go.set).start()", answer=str.upper)
    assert kernel.run("thread.join(30); found").value in ("['EOF when reading a line']", "[]")


def test_a_thread_of_an_earlier_cell_asks_for_the_one_that_runs(kernel: KernelUnderTest) -> None:
    code = "go, found = threading.Event(), []\ndef ask():\n    go.wait(30); found.append(input('late? '))\n"
    kernel.run(code + "thread = threading.Thread(target=ask); thread.start()")
    assert kernel.run("go.set(); thread.join(); found", answer=str.upper).value == "['LATE? ']"
