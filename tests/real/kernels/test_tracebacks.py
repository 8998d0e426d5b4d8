"""Tracebacks name the line that failed, in whatever it stands, and have what exception groups hold."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.real.kernels.stream_kernel import StreamKernel, reply

LIST = """\
def before(): pass
data = [1, 0]
found = [
    1 / x
    for x in data
]"""
DICT = """\
def divide(x):
    return 1 / x

found = {
    key: divide(key)
    for key in (1, 0)
}"""
GENERATOR = """\
import math


total = sum(
    1 / x
    for x in [1, 0])"""
LAMBDA = """\
functions = [
    lambda x: x,
    lambda x: 1 / x,
]
functions[1](0)"""
LONG_LAMBDA = """\
function = (lambda x:
    [1,
     1 / x])
function(0)"""
CLASS = """\
def before():
    return 1

class Broken:
    x = 1
    y = 1 / 0"""
FINALLY = """\
def f():
    try:
        1 / 0
    finally:
        x = 1
        y = 2

f()"""
AGAIN = """\
def f():
    try:
        1 / 0
    except ZeroDivisionError as error:
        raise error
f()"""
DECORATED = """\
import functools
def passing(function):
    @functools.wraps(function)
    def inner(*args):
        return function(*args)
    return inner

@passing
@passing
def divide(x):
    return 1 / x
divide(0)"""
AWAITING = """\
async def divide(x):
    return 1 / x
found = [
    await divide(x)
    for x in (1, 0)
]"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StreamKernel]:
    kernel = StreamKernel(tmp_path_factory.mktemp("kernel"))
    yield kernel
    kernel.close()


def traceback(kernel: StreamKernel, code: str) -> str:
    lines: list[str] = reply(kernel.run(code))["traceback"]
    return "\n".join(lines)


def marked(text: str) -> list[str]:
    """The lines at which an arrow points."""
    return [line.partition(">")[2].strip() for line in text.splitlines() if line.startswith("---") and ">" in line]


@pytest.mark.parametrize(
    ("code", "last"),
    [
        (LIST, ["4     1 / x"]),
        (DICT, ["5     key: divide(key)", "2     return 1 / x"]),
        (GENERATOR, ["4 total = sum(", "5     1 / x"]),
        (LAMBDA, ["5 functions[1](0)", "3     lambda x: 1 / x,"]),
        (LONG_LAMBDA, ["4 function(0)", "3      1 / x])"]),
        (CLASS, ["4 class Broken:", "6     y = 1 / 0"]),
        (FINALLY, ["8 f()", "3         1 / 0"]),
        (AGAIN, ["6 f()", "5         raise error", "3         1 / 0"]),
        (DECORATED, ["12 divide(0)", *["5         return function(*args)"] * 2, "11     return 1 / x"]),
        (AWAITING, ["4     await divide(x)", "2     return 1 / x"]),
    ],
    ids=["list", "dict", "generator", "lambda", "long-lambda", "class", "finally", "again", "decorated", "awaiting"],
)
def test_the_line_that_failed_is_marked(kernel: StreamKernel, code: str, last: list[str]):
    assert marked(traceback(kernel, code))[-len(last) :] == last


def test_an_exception_group_has_the_errors_in_it_and_where_they_were_raised(kernel: StreamKernel):
    code = (
        "def fail():\n    raise ValueError('first')\ntry:\n    fail()\nexcept ValueError as error:\n    first = error\n"
        "raise ExceptionGroup('several', [first, ExceptionGroup('nested', [KeyError('deep')])])"
    )
    messages = kernel.run(code)
    text = "\n".join(reply(messages)["traceback"])
    assert "ExceptionGroup: several (2 sub-exceptions)" in text
    assert "ValueError: first" in text
    assert "KeyError: 'deep'" in text
    assert "line 2, in fail" in text
    assert "Cell In[" in text
    assert "IPython" not in text
    assert not [each for each in messages if each["msg_type"] == "stream"]
    (error,) = [each["content"] for each in messages if each["msg_type"] == "error"]
    assert (error["ename"], error["evalue"]) == ("ExceptionGroup", "several (2 sub-exceptions)")


@pytest.mark.parametrize(
    "code",
    [
        "raise LookupError('outer') from ExceptionGroup('g', [ValueError('inner')])",
        "try:\n    raise ExceptionGroup('g', [ValueError('inner')])\nexcept* ValueError:\n    raise LookupError('outer')",
    ],
)
def test_an_error_that_was_raised_because_of_a_group_shows_both(kernel: StreamKernel, code: str):
    text = traceback(kernel, code)
    assert "ValueError: inner" in text
    assert text.endswith("LookupError: outer")


def test_a_task_group_shows_the_error_of_its_task(kernel: StreamKernel):
    code = (
        "import asyncio\nasync def bad(): raise RuntimeError('task broke')\n"
        "async with asyncio.TaskGroup() as group:\n    group.create_task(bad())"
    )
    assert "RuntimeError: task broke" in traceback(kernel, code)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise ExceptionGroup('g', [ValueError(n) for n in range(100_000)])", "99985 errors are left out here"),
        ("e = ValueError(1)\nfor _ in range(5000): e = ExceptionGroup('g', [e])\nraise e", "max_group_depth is 10"),
        (
            "e = ValueError(1)\nfor _ in range(9): e = ExceptionGroup('g', [e] * 15)\nraise e",
            "errors are left out here",
        ),
    ],
    ids=["wide", "deep", "both"],
)
def test_of_a_large_group_the_first_errors_are_shown(kernel: StreamKernel, code: str, said: str):
    text = traceback(kernel, code)
    assert said in text
    assert len(text) < 100_000


def test_errors_whose_text_fails_cost_nothing_else(kernel: StreamKernel):
    code = "class Bad(Exception):\n    def __str__(self): raise SystemExit\nraise ExceptionGroup('g', [Bad(), KeyError(1)])"
    text = traceback(kernel, code)
    assert text
    assert reply(kernel.run("1"))["status"] == "ok"
