"""asyncio.run in cells: as in a script, and the kernel's own loop is as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.real.kernels.kernel_under_test import KernelUnderTest

SETUP = """\
import asyncio
async def double(n):
    await asyncio.sleep(0)
    return 2 * n
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KernelUnderTest]:
    kernel = KernelUnderTest(tmp_path_factory.mktemp("kernel"))
    kernel.run(SETUP)
    yield kernel
    kernel.close()


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("asyncio.run(double(2))", "4"),
        ("from asyncio import run\nrun(double(2), debug=True)", "4"),
        ("with asyncio.Runner() as runner:\n    found = [runner.run(double(n)) for n in (1, 2)]\nfound", "[2, 4]"),
        ("loop = asyncio.new_event_loop()\nfound = loop.run_until_complete(double(3))\nloop.close()\nfound", "6"),
        (
            "async def many():\n    return await asyncio.gather(*map(double, range(3)))\nasyncio.run(many())",
            "[0, 2, 4]",
        ),
        (
            "async def echo():\n    child = await asyncio.create_subprocess_exec('echo', 'hi', stdout=-1)\n"
            "    return (await child.communicate())[0]\nasyncio.run(echo())",
            "b'hi\\n'",
        ),
        ("def plain(): return asyncio.run(double(4))\nplain()", "8"),
        ("await asyncio.to_thread(asyncio.run, double(5))", "10"),
    ],
)
def test_a_cell_runs_a_loop_as_a_script_does(kernel: KernelUnderTest, code: str, value: str) -> None:
    assert kernel.run(code).value == value


def test_the_kernels_loop_goes_on_with_its_tasks(kernel: KernelUnderTest) -> None:
    kernel.run("task = asyncio.create_task(asyncio.sleep(0.01, 'kept'))\nasyncio.run(double(1))")
    assert kernel.run("await task").value == "'kept'"
    assert kernel.run("asyncio.get_event_loop() is asyncio.get_running_loop() is task.get_loop()").value == "True"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            "await asyncio.sleep(0)\nasyncio.run(one := double(1))",
            "asyncio.run() cannot be called from a running event loop",
        ),
        (
            "async def outer():\n    asyncio.run(one := double(1))\nasyncio.run(outer())",
            "asyncio.run() cannot be called from a running event loop",
        ),
        ("asyncio.get_event_loop().run_until_complete(asyncio.Future())", "This event loop is already running"),
    ],
)
def test_a_loop_inside_a_coroutine_and_the_kernels_own_are_refused(
    kernel: KernelUnderTest, code: str, said: str
) -> None:
    (error,) = kernel.run(code).of("error")
    assert (error["content"]["ename"], error["content"]["evalue"]) == ("RuntimeError", said)


def test_a_traceback_shows_the_cell_and_asyncio_and_nothing_of_ours(kernel: KernelUnderTest) -> None:
    (error,) = kernel.run("async def fails():\n    return 1 / 0\nasyncio.run(fails())").of("error")
    text = "\n".join(error["content"]["traceback"])
    assert error["content"]["ename"] == "ZeroDivisionError"
    assert "fails" in text
    assert "polyrepl_kernel" not in text


@pytest.mark.parametrize(
    "body",
    ["await asyncio.sleep(100)", "while True: pass", "await asyncio.gather(*(asyncio.sleep(100) for _ in range(9)))"],
)
def test_an_interrupt_stops_a_loop_of_a_cell(kernel: KernelUnderTest, body: str) -> None:
    code = f"async def endless():\n    print('on', flush=True)\n    {body}\nasyncio.run(endless())"
    request = kernel.send(code)
    while kernel.receive("iopub")["msg_type"] != "stream":
        pass
    kernel.interrupt()
    result = kernel.collect(request)
    assert result.error == "KeyboardInterrupt"
    assert kernel.run("asyncio.run(double(1)), asyncio.get_running_loop().is_running()").value == "(2, True)"
