"""What every request passes before a route: the path prefix, CORS, and the guard."""

from engine.api.middleware.auth import Guard
from engine.api.middleware.cors import Cors
from engine.api.middleware.prefix import Prefix

__all__ = ["Cors", "Guard", "Prefix"]
