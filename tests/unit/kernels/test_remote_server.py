"""The REST side of a remote Jupyter, without one."""

from __future__ import annotations

import pytest

from engine.kernels.remote.server import RemoteServer

pytestmark = pytest.mark.anyio


async def test_a_request_after_the_end_opens_no_connections():
    server = RemoteServer("http://127.0.0.1:9")
    await server.aclose()
    with pytest.raises(ConnectionError, match="closed"):
        await server.find_kernelspec("python3")
    assert server._client is None
