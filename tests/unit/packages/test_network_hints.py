"""What is said of errors in a context without a network."""

from __future__ import annotations

import pytest

from engine.packages.network import network_hint


@pytest.mark.parametrize(
    "error",
    [
        ("gaierror", "[Errno -3] Temporary failure in name resolution", ""),
        ("URLError", "<urlopen error [Errno -2] Name or service not known>", ""),
        ("OSError", "[Errno 101] Network is unreachable", ""),
        ("ConnectionError", "HTTPConnectionPool: Failed to establish a new connection", ""),
        ("MyOwnError", "no data", "socket.gaierror: [Errno -3] Temporary failure in name resolution"),
        ("TypeError", "fetch failed", "[cause]: Error: getaddrinfo EAI_AGAIN example.com"),
        ("TypeError", "fetch failed", "Error: connect ENETUNREACH 1.2.3.4:80"),
        ("TypeError", "error sending request: dns error: failed to lookup address information", ""),
        (
            "PermissionError",
            "[Errno 13] Permission denied",
            'File "socket.py", in create_connection\n sock.connect(sa)',
        ),
    ],
)
def test_the_missing_network_is_named_with_setting_and_field(error: tuple[str, str, str]) -> None:
    hint = network_hint(error)
    assert hint is not None
    assert '"network": "open"' in hint
    assert "networks_allowed" in hint


@pytest.mark.parametrize(
    "error",
    [
        ("ValueError", "no network today", ""),
        ("ConnectionRefusedError", "[Errno 111] Connection refused by 127.0.0.1", "connect(('127.0.0.1', 80))"),
        ("PermissionError", "[Errno 13] Permission denied: 'file'", 'File "cell", line 1, in open'),
    ],
)
def test_another_reason_gets_no_such_hint(error: tuple[str, str, str]) -> None:
    assert network_hint(error) is None
