"""A registry for pip and npm on this machine, which remembers what it was asked with."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

from tests.harness.package_files import tarball, wheel


class Registry:
    """Offers one package to pip (`/simple`) and one to npm (`/npm`). `on_request` is called while the tool waits for its answer."""

    def __init__(self, directory: Path, *, on_request: Callable[[], None] = lambda: None) -> None:
        self.authorizations: set[tuple[str, str | None]] = set()
        """First part of the path, and the header."""
        self._on_request = on_request
        wheel_path, tarball_path = (
            Path(wheel(directory, "offered", "1.0", "word = 'hello'")),
            Path(tarball(directory, "offered-x", "1.0.0", "module.exports = 'hello'")),
        )
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                registry.authorizations.add((self.path.split("/")[1], self.headers.get("Authorization")))
                registry._on_request()
                body, kind = registry._files.get(self.path.rstrip("/"), (None, "text/plain"))
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_port}"
        archive = tarball_path.read_bytes()
        version = {
            "name": "offered-x",
            "version": "1.0.0",
            "main": "index.js",
            "dist": {
                "tarball": f"http://{self.host}/npm/{tarball_path.name}",
                "integrity": f"sha512-{base64.b64encode(hashlib.sha512(archive).digest()).decode()}",
            },
        }
        packument = {"name": "offered-x", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}
        self._files = {
            "/simple/offered": (f'<a href="/simple/{wheel_path.name}">{wheel_path.name}</a>'.encode(), "text/html"),
            f"/simple/{wheel_path.name}": (wheel_path.read_bytes(), "application/octet-stream"),
            "/npm/offered-x": (json.dumps(packument).encode(), "application/json"),
            f"/npm/{tarball_path.name}": (archive, "application/octet-stream"),
        }

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
