"""Calls the server whose url is given, where nothing but httpx and this distribution is installed."""

import contextlib
import importlib.util
import sys

from polyrepl import Client, ContextNotFound, Done

absent = [name for name in ("msgspec", "starlette", "jupyter_client", "pydantic") if importlib.util.find_spec(name)]
assert not absent, absent
with Client(sys.argv[1]) as client:
    print(client.run_code("6 * 7", context_id="alone").text)
    with client.stream("print(1)", context_id="alone") as events:
        assert isinstance(list(events)[-1], Done)
    with contextlib.suppress(ContextNotFound):
        client.contexts.get("nobody")
        raise AssertionError("a context that nobody made")
assert not [name for name in sys.modules if name.split(".")[0] == "engine"]
