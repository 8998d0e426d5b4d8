"""The dialect of E2B's code interpreter, as its SDKs call it."""
