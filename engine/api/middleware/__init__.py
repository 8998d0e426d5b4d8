"""What every request passes before a route: the path prefix, CORS, and the guard."""

from engine.api.middleware.auth import PEER, Guard
from engine.api.middleware.cors import Cors
from engine.api.middleware.prefix import Prefix

__all__ = ["PEER", "Cors", "Guard", "Prefix"]
