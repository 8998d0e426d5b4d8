"""The MCP dialect: tools and resources for models, over HTTP and standard input and output."""
