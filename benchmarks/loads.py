"""Loads that try to stop the server for everybody: cells and clients, for `benchmarks.neighbours`."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from .client import HttpClient, WebSocket
from .procs import PeerError

_DISPLAY = "from IPython.display import display, update_display\n"
_NAMED = "for n in range(990): display({'text/plain': 'x' * 2000}, raw=True, display_id='one')\n"
#: Writes frames of its own on the kernel's stream, in the place of the kernel's.
_FORGE = """
import json, os, struct
transport = get_ipython().kernel.transport
numbers = sorted(map(int, os.listdir('/proc/self/fd')))
paths = {n: f'/proc/self/fd/{n}' for n in numbers if n > 2 and os.path.exists(f'/proc/self/fd/{n}')}
stream = next(n for n, path in paths.items() if os.readlink(path).startswith('socket:'))
found = get_ipython().parent_header
parent = json.dumps(found.get('parent_header') or found.get('header') or found).encode()
def frame(msg_type, content):
    header = json.dumps(dict(msg_id='1', msg_type=msg_type, session='s', version='5.4')).encode()
    parts = [header, parent, b'{}', content]
    sizes = [len(part) for part in parts]
    head = struct.pack('<IBBH', 4 + 4 * len(parts) + sum(sizes), 1, 1, len(parts)) + struct.pack(f'<{len(sizes)}I', *sizes)
    return head + b''.join(parts)
def send(data):
    with transport._send_lock:
        view = memoryview(data)
        while view:
            view = view[os.write(stream, view[:1 << 20]):]
lists = b'{"execution_state": "busy", "x": [' + b','.join([b'[]'] * 3_500_000) + b']}'
"""
#: Python: what is done once, and what is done again and again.
_FLOODS = {
    "short prints": ("", "print('x' * 200)"),
    "prints of 1 MB": ("", "print('x' * 1_000_000)"),
    "empty lines": ("", "print('\\n' * 1_000_000)"),
    "displays": (_DISPLAY, "display({'text/plain': 'x'}, raw=True)"),
    "updates of 990 displays": (
        _DISPLAY + _NAMED,
        "update_display({'text/plain': 'y' * 2000}, raw=True, display_id='one')",
    ),
    "JSON of empty lists": (_DISPLAY + "value = [[]] * 3_500_000\n", "display({'application/json': value}, raw=True)"),
    "JSON of NaN": (
        _DISPLAY + "value = [float('nan')] * 1_000_000\n",
        "display({'application/json': value}, raw=True)",
    ),
    "forged: small frames": (
        _FORGE + "data = frame('status', b'{\"execution_state\": \"busy\"}') * 300\n",
        "send(data)",
    ),
    "forged: large status": (_FORGE + "data = frame('status', lists)\n", "send(data)"),
    "forged: unknown type": (_FORGE + "data = frame('surprise', lists)\n", "send(data)"),
}
_HINTED_ERROR = "throw new Error(\"Cannot find module '\" + 'a'.repeat(60_000))"


class Attacker:
    """The context and the client of one load. `until`: when the load ends, on the clock of time.monotonic."""

    def __init__(self, port: int, seconds: float) -> None:
        self.port = port
        self.seconds = seconds
        self.until = time.monotonic() + seconds
        self.context = f"attacker-{os.urandom(4).hex()}"
        self.notes: list[str] = []

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self.until

    def run(self, code: str, language: str = "python", *, context: str = "", prefer: str = "") -> Any:
        """Execute a cell; the decoded answer, whatever its HTTP status is."""
        body = {"code": code, "language": language, "context_id": context or self.context, "timeout_ms": 60_000}
        http = HttpClient(self.port)
        try:
            return json.loads(http.request("POST", "/execute", body, timeout=120.0, prefer=prefer)[1])
        finally:
            http.close()

    def flood(self, begin: str, again: str) -> None:
        """Run a cell that does `begin` once, and `again` until the load is over."""
        loop = f"import time\nend = time.monotonic() + {self.seconds}\nwhile time.monotonic() < end: {again}"
        answer = self.run(begin + loop)
        if answer.get("status") != "ok":
            self.notes.append(f"{answer.get('status')} {str(answer.get('error') or answer.get('message'))[:100]}")

    def at_once(self, work: Callable[[int], None], count: int) -> None:
        """Run `work` in `count` threads, and again until the load is over."""

        def worker(number: int) -> None:
            while not self.is_over:
                try:
                    work(number)
                except (OSError, PeerError, ValueError) as error:
                    self.notes.append(f"{type(error).__name__}: {error}")
                    time.sleep(0.01)

        threads = [threading.Thread(target=worker, args=(number,)) for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def close(self) -> None:
        http = HttpClient(self.port)
        with contextlib.suppress(OSError, PeerError):
            http.request("DELETE", f"/contexts/{self.context}", timeout=60.0)
        http.close()


def _flood(begin: str, again: str, contexts: int = 1) -> Callable[[Attacker], None]:
    """The same cell in several contexts at once."""

    def load(attacker: Attacker) -> None:
        others = [Attacker(attacker.port, attacker.seconds) for _ in range(contexts)]
        threads = [threading.Thread(target=other.flood, args=(begin, again)) for other in others]
        for thread in threads:
            thread.start()
        for thread, other in zip(threads, others, strict=True):
            thread.join()
            attacker.notes += other.notes
            other.close()

    return load


def _quiet(attacker: Attacker) -> None:
    time.sleep(attacker.seconds)


def _hinted_errors(attacker: Attacker) -> None:
    while not attacker.is_over:
        attacker.run(_HINTED_ERROR, "typescript")


def _wrong_entries(attacker: Attacker) -> None:
    http = HttpClient(attacker.port)
    while not attacker.is_over:
        http.request("POST", "/execute", {"code": "1", "stdin": [0] * 300_000}, timeout=120.0)
    http.close()


def _nested_body(attacker: Attacker) -> None:
    http = HttpClient(attacker.port)
    body = {"code": "1", "env_vars": [[[]] * 3 for _ in range(600_000)]}
    while not attacker.is_over:
        http.request("POST", "/execute", body, timeout=120.0)
    http.close()


def _readers(attacker: Attacker) -> None:
    """Many clients that read one large result at once."""
    answer = attacker.run("import sys\nfor out in (sys.stdout, sys.stderr): out.write('x' * 5_000_000)")

    def read(number: int) -> None:
        http = HttpClient(attacker.port)
        http.request("GET", f"/executions/{answer['execution_id']}", timeout=120.0)
        http.close()

    attacker.at_once(read, 16)


def _stalled_readers(attacker: Attacker) -> None:
    """Clients that ask for one large result and read nothing."""
    answer = attacker.run("import sys\nfor out in (sys.stdout, sys.stderr): out.write('x' * 10_000_000)")
    with contextlib.ExitStack() as stack:
        for _ in range(60):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", attacker.port), timeout=30))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.sendall(f"GET /executions/{answer['execution_id']} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        time.sleep(max(0.0, attacker.until - time.monotonic()))


def _many_files(attacker: Attacker) -> None:
    """Uploads into a context that has very many files."""
    attacker.run(
        "import os\nfor d in range(100):\n    os.mkdir(f'd{d}')\n    for f in range(500): open(f'd{d}/{f}', 'w').close()"
    )
    attacker.until = time.monotonic() + attacker.seconds

    def upload(number: int) -> None:
        http = HttpClient(attacker.port)
        http.request("PUT", f"/contexts/{attacker.context}/files/up{number}", "x", timeout=60.0)
        http.close()

    attacker.at_once(upload, 24)


def _deep_directories(attacker: Attacker) -> None:
    """Contexts with directories that are nested very deeply, made and deleted."""
    while not attacker.is_over:
        other = Attacker(attacker.port, 0)
        other.run("import os\nfor _ in range(1500): os.mkdir('d'); os.chdir('d')")
        other.close()


def _queue(attacker: Attacker) -> None:
    """Requests of 10 MB that wait behind a running cell, in four contexts."""
    names = [f"{attacker.context}-{number}" for number in range(4)]
    for name in names:
        attacker.run("import time; time.sleep(30)", context=name, prefer="respond-async")
    code = "#" + "x" * 10_000_000

    def ask(number: int) -> None:
        attacker.run(code, context=names[number], prefer="respond-async")

    attacker.at_once(ask, len(names))
    http = HttpClient(attacker.port)
    for name in names:
        http.request("DELETE", f"/contexts/{name}", timeout=60.0)
    http.close()


def _websocket(attacker: Attacker) -> None:
    """Requests of 9 MB that wait on one websocket."""
    http = HttpClient(attacker.port)
    kernel = http.json("POST", "/api/kernels", {"name": "python3"})["id"]
    ws = WebSocket(attacker.port, f"/api/kernels/{kernel}/channels", {})

    def request(code: str) -> str:
        header = {"msg_id": os.urandom(8).hex(), "msg_type": "execute_request", "session": "s", "version": "5.3"}
        content = {"code": code, "silent": True}
        return json.dumps(
            {"channel": "shell", "header": header, "parent_header": {}, "metadata": {}, "content": content}
        )

    ws.send(request("import time; time.sleep(30)"))
    big = request("#" + "x" * 9_000_000)
    sender = threading.Thread(target=_send_until_over, args=(attacker, ws, big), daemon=True)
    sender.start()
    sender.join(attacker.seconds + 1)
    ws.close()
    sender.join(40)
    http.request("DELETE", f"/api/kernels/{kernel}", timeout=60.0)
    http.close()


def _send_until_over(attacker: Attacker, ws: WebSocket, message: str) -> None:
    with contextlib.suppress(OSError):
        while not attacker.is_over:
            ws.send(message)


def _connections(attacker: Attacker) -> None:
    """Very many connections that ask for nothing."""
    with contextlib.ExitStack() as stack:
        for _ in range(1500):
            if attacker.is_over:
                break
            try:
                stack.enter_context(socket.create_connection(("127.0.0.1", attacker.port), timeout=5))
            except OSError as error:
                attacker.notes.append(str(error))
                break
        time.sleep(max(0.0, attacker.until - time.monotonic()))


#: Name -> load. The first is the base of the ratios.
LOADS: dict[str, Callable[[Attacker], None]] = {
    "nothing": _quiet,
    "a busy loop": _flood("", "pass"),
    "two busy loops": _flood("", "pass", contexts=2),
    **{name: _flood(begin, again) for name, (begin, again) in _FLOODS.items()},
    "displays in four contexts": _flood(*_FLOODS["displays"], contexts=4),
    "errors that look like hints": _hinted_errors,
    "300,000 wrong entries": _wrong_entries,
    "nested body": _nested_body,
    "16 readers of 10 MB": _readers,
    "60 stalled readers": _stalled_readers,
    "uploads beside 50,000 files": _many_files,
    "deep directories": _deep_directories,
    "queues of 10 MB requests": _queue,
    "a websocket's backlog": _websocket,
    "1,500 connections": _connections,
}
