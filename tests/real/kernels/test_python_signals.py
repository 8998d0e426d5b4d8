"""Signal handlers that cells set in the Python kernel."""

from __future__ import annotations

import signal

import pytest

from tests.real.kernels.kernel_under_test import KernelUnderTest

RAISES = "import signal\nclass TooLong(BaseException): pass\ndef ring(*_): raise TooLong('alarm')\n"
RING = "signal.signal(signal.SIGALRM, ring); _ = signal.setitimer(signal.ITIMER_REAL, 0.05)\n"


@pytest.mark.parametrize(
    "waits",
    [
        "time.sleep(30)",
        "while True: pass",
        "while True: print('x' * 1000)",
        "await asyncio.sleep(30)",
        "await asyncio.to_thread(time.sleep, 0.5)",
        "while True: await asyncio.sleep(0)",
    ],
)
def test_what_a_handler_raises_is_the_error_of_the_cell(kernel: KernelUnderTest, waits: str) -> None:
    kernel.run(RAISES)
    result = kernel.run(RING + waits)
    assert result.error == "TooLong"
    assert not any("signals.py" in line for line in result.reply["traceback"])
    assert kernel.run("await asyncio.sleep(0); 7").value == "7"


def test_what_a_handler_raises_between_cells_is_reported_and_costs_nothing(kernel: KernelUnderTest) -> None:
    kernel.run(RAISES)
    kernel.run(RING)
    while (message := kernel.receive("iopub"))["msg_type"] != "stream":
        pass
    assert "TooLong: alarm" in message["content"]["text"]
    assert kernel.run("8").value == "8"


def test_a_handler_of_sigint_is_called_once_for_each_signal(kernel: KernelUnderTest) -> None:
    code = (
        "import signal\nhits = []\nsignal.signal(signal.SIGINT, lambda *_: hits.append(1))\nprint('set', flush=True)\n"
    )
    request = kernel.send(code + "while not hits: time.sleep(0.2)\ntime.sleep(0.5)\nhits")
    while kernel.receive("iopub")["msg_type"] != "stream":
        pass
    kernel.interrupt()
    assert kernel.collect(request).value == "[1]"


def test_a_cell_can_restore_the_handler_that_it_found(kernel: KernelUnderTest) -> None:
    code = "import signal\nfound = signal.getsignal(signal.SIGINT)\ndef own(*_): pass\n"
    code += "replaced = signal.signal(signal.SIGINT, own)\nback = signal.signal(signal.SIGINT, found)\n"
    request = kernel.send(code + "assert replaced is found and back is own\nprint('ready', flush=True)\ntime.sleep(60)")
    while kernel.receive("iopub")["msg_type"] != "stream":
        pass
    kernel.interrupt()
    assert kernel.collect(request).error == "KeyboardInterrupt"


def test_a_handler_that_is_called_often_tears_no_output(kernel: KernelUnderTest) -> None:
    code = "import signal\nhits = []\nsignal.signal(signal.SIGALRM, lambda *_: hits.append(1))\n"
    code += "signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)\nfor i in range(30_000): print(i)\n"
    code += "signal.setitimer(signal.ITIMER_REAL, 0)\nlen(hits) > 1"
    result = kernel.run(code)
    assert result.text().split() == [str(i) for i in range(30_000)]
    assert result.value == "True"


def test_a_handler_that_exits_ends_no_kernel(kernel: KernelUnderTest) -> None:
    code = (
        "import signal\n_ = signal.signal(signal.SIGTERM, lambda *_: (print('asked to end', flush=True), sys.exit(3)))"
    )
    kernel.run(code)
    kernel.process.send_signal(signal.SIGTERM)
    while kernel.receive("iopub")["msg_type"] != "stream":
        pass
    assert kernel.run("9").value == "9"


def test_a_second_interrupt_ends_the_wait_for_the_threads_of_a_block(either: KernelUnderTest) -> None:
    code = "from concurrent.futures import ThreadPoolExecutor\nimport os, threading, time\n"
    code += "with ThreadPoolExecutor(1) as pool:\n    pool.submit(time.sleep, 1)\n"
    code += "    try: print('on', flush=True); time.sleep(60)\n    finally: print('first', flush=True)"
    request = either.send(code)
    said = ""
    for word in ("on", "first"):
        while word not in said:
            message = either.receive("iopub")
            said += message["content"]["text"] if message["msg_type"] == "stream" else ""
        either.interrupt()
    assert either.collect(request).error == "KeyboardInterrupt"
