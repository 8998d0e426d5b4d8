"""The HTTP API: each dialect is a thin folder on the engine, and no dialect imports another."""
