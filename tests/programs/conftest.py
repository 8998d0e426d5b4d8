"""Servers for clients of other makers, and what those show for the notebooks of these tests."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
from nbformat import NotebookNode

from tests.harness.server import Server
from tests.programs import notebooks


@pytest.fixture(autouse=True)
def leave_nothing() -> Iterator[None]:
    """Other makers' programs leave sockets for the garbage collector, which must not complain in other tests."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="session")
def open_server() -> Iterator[Server]:
    """Without a token, for clients that cannot send one."""
    with Server() as server:
        yield server


@pytest.fixture(params=notebooks.KERNEL_NAMES)
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def here() -> Callable[[str], NotebookNode]:
    """`here(language)` is the notebook after a run on a kernel of this machine."""
    return cache(notebooks.run_here)


@pytest.fixture
def expected(here: Callable[[str], NotebookNode], language: str) -> list[dict[str, Any]]:
    return notebooks.outputs(here(language))
