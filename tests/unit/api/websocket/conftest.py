"""The gateway over a scripted kernel, and a kernel of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine.kernels.provisioners.fake import Ask, Die, Hold, Say
from tests.harness.websocket import Gateway, scripted_gateway

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
    with scripted_gateway(tmp_path_factory, SCRIPT, websocket_buffer_bytes=6 * 1024 * 1024) as gateway:
        yield gateway


@pytest.fixture
def kernel(gateway: Gateway) -> Iterator[str]:
    kernel_id = gateway.start()
    yield kernel_id
    gateway.http.delete(f"/api/kernels/{kernel_id}")
