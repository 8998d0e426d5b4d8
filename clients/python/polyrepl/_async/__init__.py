"""The asynchronous half, by hand. `_sync` is generated from it."""
