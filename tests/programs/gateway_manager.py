"""jupyter_server's manager of a gateway's kernels, for programs that take a kernel manager: nbclient, papermill, nbconvert.

As it is, it sends no token when it opens its websocket, and starts `python3` whatever the notebook names."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import Any
from unittest import mock

import websocket
from jupyter_server.gateway.gateway_client import GatewayClient
from jupyter_server.gateway.managers import GatewayKernelClient, GatewayKernelManager


class TokenKernelClient(GatewayKernelClient):
    async def start_channels(self, **channels: bool) -> None:
        header = [f"Authorization: token {GatewayClient.instance().auth_token}"]
        connect = partial(websocket.create_connection, header=header)
        with mock.patch("websocket.create_connection", connect):
            await super().start_channels(**channels)


class TokenKernelManager(GatewayKernelManager):
    client_factory = TokenKernelClient

    async def start_kernel(self, **options: Any) -> None:
        await super().start_kernel(**{"kernel_name": self.kernel_name, **options})


@contextlib.contextmanager
def gateway(url: str, token: str | None = None) -> Iterator[None]:
    """Where this process has its gateway, in the block."""
    GatewayClient.clear_instance()
    GatewayClient.instance(url=url, auth_token=token or "")
    try:
        yield
    finally:
        GatewayClient.clear_instance()
