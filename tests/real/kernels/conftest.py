"""The Python kernel as a process, and stock ipykernel beside it."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.real.kernels.kernel_under_test import KernelUnderTest


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KernelUnderTest]:
    kernel = KernelUnderTest(tmp_path_factory.mktemp("k"), cwd=tmp_path_factory.mktemp("cwd"))
    kernel.run("import asyncio, os, subprocess, sys, threading, time")
    yield kernel
    kernel.close()


@pytest.fixture
def kernel(shared: KernelUnderTest) -> KernelUnderTest:
    shared.late.clear()
    return shared


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KernelUnderTest]:
    """Stock ipykernel: what a test says of both kernels is what Jupyter users rely on."""
    launcher = [sys.executable, "-m", "ipykernel_launcher", "--HistoryManager.hist_file=:memory:"]
    cwd = tmp_path_factory.mktemp("cwd")
    kernel = KernelUnderTest(tmp_path_factory.mktemp("k"), launcher=launcher, cwd=cwd)
    kernel.run("import asyncio, os, subprocess, sys, threading, time")
    yield kernel
    kernel.close()


@pytest.fixture(params=["shared", "stock"])
def either(request: pytest.FixtureRequest) -> KernelUnderTest:
    """Our kernel, and the one whose place it takes."""
    kernel: KernelUnderTest = request.getfixturevalue(request.param)
    kernel.late.clear()
    return kernel
