"""jupyter_kernel_test, the suite of the Jupyter project, over our kernels on zmq; and over stock ipykernel, which it knows."""

from __future__ import annotations

import os
import tempfile

import jupyter_kernel_test
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

from engine.kernels.interpreters import find_node, find_runtime, runtime_problem
from engine.resources import kernelspecs_dir
from tests.harness.waiting import wait_until

_DEADLINE = 60.0


class _Manager(KernelManager):
    """Puts the interpreter that the server would use in the place of its name in the kernelspec."""

    def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
        program, *rest = super().format_kernel_cmd(extra_arguments)
        found = find_node(None) if program == "node" else find_runtime(program)
        return [str(found or program), *rest]


def manager_of(kernel_name: str) -> KernelManager:
    specs = KernelSpecManager(kernel_dirs=[str(kernelspecs_dir())], ensure_native_kernel=False)
    return _Manager(kernel_name=kernel_name, kernel_spec_manager=specs)


class _Kernel(jupyter_kernel_test.KernelTests):
    """A kernel of ours behind the suite. Not collected: it names none."""

    __test__ = False

    @classmethod
    def setUpClass(cls) -> None:
        cls.km = manager_of(cls.kernel_name)
        directory = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.km.start_kernel(env={**os.environ, "IPYTHONDIR": directory})
        cls.kc = cls.km.blocking_client()
        cls.kc.start_channels()
        cls.kc.wait_for_ready(timeout=_DEADLINE)

    @classmethod
    def tearDownClass(cls) -> None:
        cls.kc.stop_channels()
        cls.km.shutdown_kernel()
        cls.km.cleanup_resources()


class _Python(_Kernel):
    """What Python has to offer to the optional tests."""

    language_name = "python"
    file_extension = ".py"
    code_hello_world = "print('hello, world')"
    code_stderr = "import sys; print('test', file=sys.stderr)"
    completion_samples = (
        {"text": "zi", "matches": {"zip"}},
        {"text": "import itert", "matches": {"itertools"}},
        {"text": "'abc'.startsw"},
        {"text": "%who_l"},
    )
    complete_code_samples = ("1", "print('hello, world')", "def f(x):\n  return x*2\n\n\n", "%lsmagic", "await x")
    incomplete_code_samples = ("print('''hello", "def f(x):\n  x*2", "for n in x:", "(1,")
    invalid_code_samples = ("import = 7q", "1 +* 2", "print(]")
    code_page_something = "zip?"
    code_generate_error = "raise ValueError"
    code_execute_result = (
        {"code": "1+2+3", "result": "6"},
        {"code": "[n*n for n in range(1, 4)]", "result": "[1, 4, 9]"},
        {"code": "from IPython.display import HTML; HTML('<b>bold</b>')", "mime": "text/html"},
    )
    code_display_data = (
        {"code": "from IPython.display import HTML, display; display(HTML('<b>test</b>'))", "mime": "text/html"},
        {"code": "from IPython.display import Math, display; display(Math('\\\\frac{1}{2}'))", "mime": "text/latex"},
        {"code": "from IPython.display import JSON, display; display(JSON({'a': 1}))", "mime": "application/json"},
        {"code": "display('plain')", "mime": "text/plain"},
    )
    code_history_pattern = "1?2*"
    supported_history_operations = ("tail", "range", "search")
    code_inspect_sample = "zip"
    code_clear_output = "from IPython.display import clear_output; clear_output()"


class _TypeScript(_Kernel):
    """What TypeScript has to offer to them; no history is kept."""

    language_name = "typescript"
    file_extension = ".ts"
    code_hello_world = "console.log('hello, world')"
    code_stderr = "console.error('test')"
    completion_samples = (
        {"text": "structuredCl", "matches": {"structuredClone"}},
        {"text": "import { readFile } from 'node:fs/pr", "matches": {"node:fs/promises"}},
        {"text": "'abc'.startsW", "matches": {"startsWith"}},
        {"text": "[1, 2].findLastI", "matches": {"findLastIndex"}},
        {"text": "'𝒳'; process.vers", "matches": {"version", "versions"}},
    )
    complete_code_samples = (
        "1",
        "console.log('hello, world')",
        "function f<T>(x: T): T[] {\n  return [x]\n}",
        "interface A { b?: string }",
        "await Promise.resolve(1)",
        "`${1}`",
        "<b>{1}</b>",
        "// only a comment",
    )
    incomplete_code_samples = (
        "console.log(`hello",
        "function f(x: number) {",
        "for (const n of [1]) {",
        "const a = [1,",
        "interface A {",
        "/* open",
        "`${",
        "<div>\n  <b>text</b>",
        "x.",
    )
    invalid_code_samples = ("import = 7q", "1 +* 2", "console.log(]", "let let = 1", "}")
    code_page_something = "parseInt?"
    code_generate_error = "throw new TypeError('no')"
    code_execute_result = (
        {"code": "1 + 2 + 3", "result": "6"},
        {"code": "[1, 2, 3].map((n: number) => n * n)", "result": "[ 1, 4, 9 ]"},
        {"code": "[{ a: 1 }]", "mime": "text/html"},
    )
    code_display_data = (
        {"code": "display.html('<b>test</b>')", "mime": "text/html"},
        {"code": "display.markdown('**test**')", "mime": "text/markdown"},
        {"code": "display.latex('\\\\frac{1}{2}')", "mime": "text/latex"},
        {"code": "display.json({ a: 1 })", "mime": "application/json"},
        {"code": "display('plain')", "mime": "text/plain"},
    )
    code_inspect_sample = "parseInt"
    code_clear_output = "display.clear()"


class TestOurKernel(_Python):
    __test__ = True
    kernel_name = "polyrepl-python"


class TestStockKernel(_Python):
    __test__ = True
    kernel_name = "ipykernel"
    supported_history_operations = ("tail", "search")  # of a range it names its own session 0


class TestTypeScript(_TypeScript):
    __test__ = True
    kernel_name = "polyrepl-typescript"


@pytest.mark.skipif(runtime_problem("bun") is not None, reason=str(runtime_problem("bun")))
class TestBun(_TypeScript):
    __test__ = True
    kernel_name = "polyrepl-bun"


@pytest.mark.skipif(runtime_problem("deno") is not None, reason=str(runtime_problem("deno")))
class TestDeno(_TypeScript):
    __test__ = True
    kernel_name = "polyrepl-deno"


class _Welcome(jupyter_kernel_test.IopubWelcomeTests):
    __test__ = False
    support_iopub_welcome = True

    @classmethod
    def setUpClass(cls) -> None:
        cls.km = manager_of(cls.kernel_name)
        cls.km.start_kernel()
        first = cls.km.client()  # whose kernel says that it is starting; the welcome comes first only after that
        first.start_channels()
        first.wait_for_ready(timeout=60)
        wait_until(first.hb_channel.is_beating, what="its heartbeat's thread works, and can be stopped")
        first.stop_channels()
        cls.kc = cls.km.client()

    @classmethod
    def tearDownClass(cls) -> None:
        if cls.kc.hb_channel.is_alive():  # a thread that has no socket yet would ask for one after the end
            wait_until(cls.kc.hb_channel.is_beating, what="the heartbeat's thread works")
        cls.kc.stop_channels()
        cls.km.shutdown_kernel()
        cls.km.cleanup_resources()


class TestWelcome(_Welcome):
    __test__ = True
    kernel_name = "polyrepl-python"


class TestWelcomeOfTypeScript(_Welcome):
    __test__ = True
    kernel_name = "polyrepl-typescript"
