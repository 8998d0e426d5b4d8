"""Kernels for the tests: one for all, or a fresh one."""

import pytest
from ts_kernel import Kernel


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cwd")
    (folder / "data.json").write_text('{"answer": 42}')
    (folder / "plain.js").write_text("exports.one = 1; exports['two'] = 2;")
    (folder / "types.ts").write_text("export const three: number = 3; export interface Shape { side: number }")
    (folder / "enums.ts").write_text("export enum Color { Red = 'red' }")
    (folder / "bad.ts").write_text("export function fail(): never {\n\n  throw new Error('from a file')\n}")
    package = folder / "node_modules" / "left"
    package.mkdir(parents=True)
    (package / "package.json").write_text('{"name": "left", "version": "1.0.0", "main": "index.js"}')
    (package / "index.js").write_text(
        "const o = {}; for (const k of ['pad', 'trim']) o[k] = () => k; module.exports = o;"
    )
    return folder


@pytest.fixture(scope="module")
def shared_kernel(directory):
    kernel = Kernel(directory)
    yield kernel
    kernel.close()


@pytest.fixture
def kernel(shared_kernel):
    return shared_kernel


@pytest.fixture
def fresh_kernel(directory):
    kernel = Kernel(directory)
    yield kernel
    kernel.close()
