"""The dialect of Jupyter's Kernel Gateway: kernels, sessions and the websocket."""

from engine.api.gateway.dialect import GATEWAY
from engine.api.gateway.errors import is_gateway_path

__all__ = ["GATEWAY", "is_gateway_path"]
