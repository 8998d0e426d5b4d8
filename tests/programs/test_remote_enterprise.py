"""The same over Enterprise Gateway."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.jupyter import ENTERPRISE, RemoteJupyter, remote_jupyter
from tests.programs.test_remote import *  # noqa: F403 - collected here again
from tests.real.conformance.test_foreign_kernels import test_a_bash_cell_is_stopped_at_its_timeout  # noqa: F401


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteJupyter]:
    with remote_jupyter(ENTERPRISE, tmp_path_factory.mktemp("remote")) as server:
        yield server
