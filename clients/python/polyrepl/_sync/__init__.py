# Generated from _async/__init__.py by clients/python/generate.py: change that, and run this.
"""The asynchronous half, by hand. `_sync` is generated from it."""
