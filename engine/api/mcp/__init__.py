"""The MCP dialect: tools and resources for models, over HTTP and standard input and output."""

from engine.api.mcp.transport import MCP, is_installed

__all__ = ["MCP", "is_installed"]
