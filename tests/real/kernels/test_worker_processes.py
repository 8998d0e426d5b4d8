"""multiprocessing in cells: workers have what the cells define, on every version of Python, and code can choose otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.kernels.kernel_under_test import KernelUnderTest


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[KernelUnderTest]:
    kernel = KernelUnderTest(tmp_path)
    yield kernel
    kernel.close()


def test_a_pool_runs_a_function_of_the_cell(kernel: KernelUnderTest) -> None:
    code = (
        "import multiprocessing\ndef double(n):\n    return 2 * n\n"
        "with multiprocessing.Pool(2) as pool:\n    print(pool.map(double, [1, 2]))"
    )
    assert kernel.run(code).text() == "[2, 4]\n"


def test_an_executor_runs_a_function_of_the_cell(kernel: KernelUnderTest) -> None:
    code = (
        "from concurrent.futures import ProcessPoolExecutor\ndef double(n):\n    return 2 * n\n"
        "with ProcessPoolExecutor(2) as executor:\n    print(list(executor.map(double, [1, 2])))"
    )
    assert kernel.run(code).text() == "[2, 4]\n"


@pytest.mark.parametrize("backend", ["loky", "multiprocessing"])
def test_joblib_runs_a_function_of_the_cell(kernel: KernelUnderTest, backend: str) -> None:
    code = (
        "from joblib import Parallel, delayed\ndef double(n):\n    return 2 * n\n"
        f"print(Parallel(n_jobs=2, backend={backend!r})(delayed(double)(n) for n in (1, 2)))"
    )
    assert kernel.run(code).text() == "[2, 4]\n"


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_the_code_may_choose_another_start_method(kernel: KernelUnderTest, method: str) -> None:
    code = (
        f"import multiprocessing\nmultiprocessing.set_start_method({method!r})\n"
        "with multiprocessing.Pool(1) as pool:\n    print(multiprocessing.get_start_method(), pool.map(abs, [-1]))"
    )
    assert kernel.run(code).text() == f"{method} [1]\n"
