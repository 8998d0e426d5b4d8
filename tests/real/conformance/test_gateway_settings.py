"""A server that is set up with the variables of a Kernel Gateway, as a process: its port, path, certificate, seed and refusals."""

from __future__ import annotations

import functools
import http.server
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from tests.harness.server import Server
from tests.harness.waiting import DEADLINE
from tests.harness.websocket import Socket

# Of nobody: made for this test, for 127.0.0.1, until 2126.
CERTIFICATE = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgquxITsaUgTJaUI5Y
9dqKlky5a+EebOfBvh9aSQUmS7GhRANCAASQjVtNNPwAi3x4lgoOVlRS5r4i8+B3
9BYbevC9yZl3WBkp5L8Bfnas8Ur1VWdCFQtINULItSS0bd2DBEYV7AEt
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBjzCCATagAwIBAgIUZfuq9Mu+0s1U195WZJoSiCtNblIwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyNTIzMDQwNVoYDzIxMjYxMTAx
MjMwNDA1WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAASQjVtNNPwAi3x4lgoOVlRS5r4i8+B39BYbevC9yZl3WBkp5L8Bfnas
8Ur1VWdCFQtINULItSS0bd2DBEYV7AEto2QwYjAdBgNVHQ4EFgQUV3xeedOJ52U4
sEJWV1zQCxgzmgIwHwYDVR0jBBgwFoAUV3xeedOJ52U4sEJWV1zQCxgzmgIwDwYD
VR0TAQH/BAUwAwEB/zAPBgNVHREECDAGhwR/AAABMAoGCCqGSM49BAMCA0cAMEQC
IB/mqpv1FLjQGiFztqjhwb0E8nr0GHoCk9Wh18rhQKEGAiAK0mhyWxiiCd0Umo5j
skokt7EAHqjMdj8ieYUo/bD6yA==
-----END CERTIFICATE-----
"""


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """The address of a web server that has the seed."""
    (tmp_path / "seed.ipynb").write_text(json.dumps({"cells": [{"cell_type": "code", "source": "seeded = 5"}]}))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_what_a_kernel_gateway_is_set_up_with_sets_us_up(web: str, tmp_path: Path) -> None:
    certificate = tmp_path / "certificate.pem"
    certificate.write_text(CERTIFICATE)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        env = {
            "KG_PORT_RETRIES": "50", "KG_BASE_URL": "/user/ada", "KG_AUTH_TOKEN": "secret", "KG_MAX_AGE": "33",
            "KG_CERTFILE": str(certificate), "KG_KEYFILE": str(certificate), "KG_SEED_URI": f"{web}/seed.ipynb",
        }  # fmt: skip
        server = Server(settings={"pool_max": "0"}, env=env, flags=["--port", str(port)])
        try:
            url = httpx.URL(server.url)
            assert (url.scheme, url.path) == ("https", "/user/ada")
            assert url.port is not None
            assert port < url.port <= port + 50
            trust = ssl.create_default_context(cafile=str(certificate))
            with httpx.Client(verify=trust, headers={"Authorization": "token secret"}, timeout=DEADLINE) as client:
                made = client.post(f"{url}/api/kernels")
                assert (made.status_code, made.headers["access-control-max-age"]) == (201, "33")
                kernel = made.json()["id"]
                assert made.headers["location"] == f"/user/ada/api/kernels/{kernel}"
            place = f"wss://127.0.0.1:{url.port}/user/ada/api/kernels"
            for refused, status in (
                (f"{place}/{kernel}/channels", 401),
                (f"{place}/nope/channels?token=secret", 404),
                (f"wss://127.0.0.1:{url.port}/api/kernels/{kernel}/channels?token=secret", 404),
            ):
                with pytest.raises(InvalidStatus) as caught:
                    Socket(refused, ssl=trust)
                assert caught.value.response.status_code == status
            with Socket(f"{place}/{kernel}/channels?token=secret", ssl=trust) as client_socket:
                seen = client_socket.done(client_socket.execute("seeded"))
                (result,) = [each for each in seen if each["msg_type"] == "execute_result"]
                assert result["content"]["data"]["text/plain"] == "5"
            assert "error" not in server.log_text.lower()
        finally:
            server.close()
