"""jupyter_kernel_test, the suite of the Jupyter project, over our Python kernel on zmq; and over stock ipykernel, which it knows."""

from __future__ import annotations

import os
import tempfile

import jupyter_kernel_test
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

from engine.resources import kernelspecs_dir

_DEADLINE = 30.0


def manager_of(kernel_name: str) -> KernelManager:
    specs = KernelSpecManager(kernel_dirs=[str(kernelspecs_dir())], ensure_native_kernel=False)
    return KernelManager(kernel_name=kernel_name, kernel_spec_manager=specs)


class _Samples(jupyter_kernel_test.KernelTests):
    """What Python has to offer to the optional tests. Not collected: it names no kernel."""

    __test__ = False

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


class TestOurKernel(_Samples):
    __test__ = True
    kernel_name = "polyrepl-python"


class TestStockKernel(_Samples):
    __test__ = True
    kernel_name = "ipykernel"
    supported_history_operations = ("tail", "search")  # of a range it names its own session 0


class TestWelcome(jupyter_kernel_test.IopubWelcomeTests):
    kernel_name = "polyrepl-python"
    support_iopub_welcome = True

    @classmethod
    def setUpClass(cls) -> None:
        cls.km = manager_of(cls.kernel_name)
        cls.km.start_kernel()
        cls.kc = cls.km.client()

    @classmethod
    def tearDownClass(cls) -> None:
        cls.kc.stop_channels()
        cls.km.shutdown_kernel()
        cls.km.cleanup_resources()
