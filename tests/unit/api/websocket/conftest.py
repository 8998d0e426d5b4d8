"""The gateway over a scripted kernel, and a kernel of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine.core import Engine
from engine.kernels.channels.fake import FakeChannels
from engine.kernels.provisioners.fake import Ask, Die, FakeKernel, FakeProvisioner, Hold, Say
from engine.settings import Settings
from tests.harness.in_process import serve
from tests.harness.websocket import Gateway

ERROR = Say("error", {"ename": "OddError", "evalue": "no", "traceback": ["OddError: no"]})
SCRIPT = {
    "hello": [Say("stream", {"name": "stdout", "text": "hello\n"})],
    "hold": [Hold()],
    "bad": [ERROR],
    "ask": [Ask("name? ")],
    "die": [Die()],
    "flood": [Say("stream", {"name": "stdout", "text": "x" * 1_000_000})] * 60,
    "more": [Say("stream", {"name": "stdout", "text": "y" * 1_000_000})] * 7,
    "large": [Say("stream", {"name": "stdout", "text": "z" * 9_000_000})],
    "kernel_info_request": [Say("kernel_info_reply", {"status": "ok"})],
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    kernels: list[FakeKernel] = []
    settings = Settings(
        run_dir=tmp_path_factory.mktemp("gateway") / "run", pool_max=0, websocket_buffer_bytes=6 * 1024 * 1024
    )
    engine = Engine(settings, provisioner=FakeProvisioner.of(SCRIPT, kernels), channels=FakeChannels)
    with serve(engine) as live:
        gateway = Gateway(live, kernels)
        yield gateway
        gateway.http.close()


@pytest.fixture
def kernel(gateway: Gateway) -> Iterator[str]:
    kernel_id = gateway.start()
    yield kernel_id
    gateway.http.delete(f"/api/kernels/{kernel_id}")
