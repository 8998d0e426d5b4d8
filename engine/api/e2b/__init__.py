"""The dialect of E2B's code interpreter, as its SDKs call it."""

from engine.api.e2b.dialect import E2B

__all__ = ["E2B"]
