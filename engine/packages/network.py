"""What is said of errors in a context that has no network, which is known: how an error looks only decides whether that is its reason."""

from __future__ import annotations

import re

_LOOKED_AT = 8 * 1024  # characters of the end of a traceback
_LOCAL = re.compile(r"localhost|127\.0\.0\.1|\[?::1\]?")
# As resolvers, sockets and the libraries above them say it, in Python, Node, Bun, Deno and R.
_UNREACHABLE = re.compile(
    r"gaierror|Name or service not known|Temporary failure in name resolution|No address associated with hostname"
    r"|[Nn]etwork is unreachable|ENETUNREACH|EHOSTUNREACH|No route to host|ENOTFOUND|EAI_AGAIN|EAI_FAIL|getaddrinfo E[A-Z]+"
    r"|NameResolutionError|Failed to establish a new connection|[Cc]ould ?n[o']t (?:resolve|connect)|Could not resolve"
    r"|failed to lookup address information|dns error|Unable to connect\. Is the computer able to access the url"
    r"|cannot open URL|client error \(Connect\)"
)
_REFUSED = re.compile(r"Connection refused|ECONNREFUSED|ConnectionRefused")
_FORBIDDEN = re.compile(r"(?:\[Errno 13\]|EACCES|PermissionDenied|Permission denied)")
_CONNECTS = re.compile(r"\bconnect\b|create_connection|socket\.py|urlopen|http|fetch", re.IGNORECASE)
NO_NETWORK = "This context has no network"
_HINT = (
    f'{NO_NETWORK}. Make a new context with "network": "open" if the operator allows that (setting networks_allowed), or let the '
    "operator set the setting network to open"
)


def network_hint(error: tuple[str, str, str]) -> str | None:
    """What to do about an error (its name, value and traceback) of code without a network; None where it has another reason."""
    name, value, traceback = error
    text = "\n".join((name, value[:_LOOKED_AT], traceback[-_LOOKED_AT:]))
    if _UNREACHABLE.search(text):
        return _HINT
    if _REFUSED.search(text) and not _LOCAL.search(text):
        return _HINT
    # Landlock's way to refuse a connection.
    if _FORBIDDEN.search(f"{name} {value}") and _CONNECTS.search(traceback[-_LOOKED_AT:]) and not _LOCAL.search(value):
        return _HINT
    return None
