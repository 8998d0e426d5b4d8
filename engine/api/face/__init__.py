"""What browsers load from the server: the rendering kit, and the frame that holds active output. Neither holds data of anybody's."""

from engine.api.face.routes import is_public, routes

__all__ = ["is_public", "routes"]
