"""Attacks on isolation and limits, as cells, for `benchmarks.neighbours` and `benchmarks.soak`.

Each is bounded, so that a machine survives it without isolation. The suite in `tests/hostile` says whether they are stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

MB = 1 << 20
_CALLS = "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
_OWN_PROCESSES = "own = os.stat('/proc/self/ns/pid').st_ino != {namespace}\n"


@dataclass(frozen=True, slots=True)
class Attack:
    """What a cell does once, and again until its time is over; `limits` are asked for with the context."""

    again: str
    begin: str = ""
    limits: Mapping[str, int] = field(default_factory=dict)
    language: str = "python"

    def cell(self, seconds: float, namespace: int) -> str:
        """The cell. `namespace`: number of the host's process namespace, in which nothing is killed."""
        begin, again = (text.replace("{namespace}", str(namespace)) for text in (self.begin, self.again))
        if self.language != "python":
            return f"const end = Date.now() + {seconds * 1000};\n{begin}\nwhile (Date.now() < end) {{ {again} }}"
        body = "\n    ".join(again.strip().splitlines())
        return f"import time\nend = time.monotonic() + {seconds}\n{begin}\nwhile time.monotonic() < end:\n    {body}"


ATTACKS: dict[str, Attack] = {
    "forks": Attack(
        "pids = []\n"
        "try:\n"
        "    for _ in range(100):\n"
        "        pid = os.fork()\n"
        "        if pid == 0: time.sleep(0.2); os._exit(0)\n"
        "        pids.append(pid)\n"
        "except OSError: pass\n"
        "for pid in pids: os.waitpid(pid, 0)",
        "import os",
        {"processes": 64},
    ),
    "threads": Attack(
        "over = threading.Event()\n"
        "try:\n"
        "    for _ in range(200): threading.Thread(target=over.wait, args=(5,), daemon=True).start()\n"
        "except RuntimeError: pass\n"
        "time.sleep(0.1); over.set(); time.sleep(0.1)",
        "import threading",
        {"processes": 64},
    ),
    "daemons": Attack(
        "try: subprocess.Popen(['sleep', '86398'], start_new_session=True, env={})\n"
        "except OSError: time.sleep(0.1)\n"
        "time.sleep(0.05)",
        "import subprocess",
        {"processes": 64},
    ),
    "memory": Attack(
        "held.append(b'x' * (4 << 20))\nif len(held) > 200: held.clear()", "held = []", {"memory": 256 * MB}
    ),
    "shared memory": Attack(
        "with open('/dev/shm/attack', 'ab') as file: file.write(b'x' * (4 << 20))\n"
        "if os.path.getsize('/dev/shm/attack') > 300 << 20: os.unlink('/dev/shm/attack')",
        "import os",
        {"memory": 256 * MB},
    ),
    "disk": Attack(
        "with open(f'large-{n % 40}', 'wb') as file: file.write(b'x' * (4 << 20))\nn += 1\ntime.sleep(0.01)",
        "n = 0",
        {"disk": 64 * MB},
    ),
    "names": Attack(
        "os.makedirs(f'many/{n}', exist_ok=True)\nfor k in range(200): open(f'many/{n}/{k}', 'w').close()\nn = (n + 1) % 100",
        "import os\nn = 0",
        {"disk": 256 * MB},
    ),
    "files open": Attack(
        "held = []\ntry:\n    while len(held) < 400: held.append(os.open('/dev/null', 0))\nexcept OSError: pass\n"
        "for fd in held: os.close(fd)",
        "import os",
        {"open_files": 128},
    ),
    "refused calls": Attack(
        "for number in (165, 246, 272, 298, 308, 321, 323, 425, 430, 442): libc.syscall(number, -1, -1, -1, -1, -1)",
        _CALLS,
    ),
    "namespaces": Attack(
        "pid = os.fork()\nif pid == 0: libc.unshare(0x10000000); libc.unshare(0x60020000); os._exit(0)\nos.waitpid(pid, 0)",
        _CALLS,
    ),
    "processes of others": Attack(
        "for name in os.listdir('/proc'):\n"
        "    for part in ('cmdline', 'environ', 'maps', 'status'):\n"
        "        try: open(f'/proc/{name}/{part}').read()\n"
        "        except OSError: pass",
        "import os",
    ),
    "kills": Attack(
        "if not own: break\npid = os.fork()\nif pid == 0: os.kill(-1, 9); os._exit(0)\nos.waitpid(pid, 0)",
        "import os\n" + _OWN_PROCESSES,
    ),
    "connections": Attack(
        "for address in ('127.0.0.1', '169.254.169.254', '192.0.2.1'):\n"
        "    with socket.socket() as one:\n"
        "        one.settimeout(0.02)\n"
        "        try: one.connect((address, 80))\n"
        "        except OSError: pass",
        "import socket",
    ),
    "links": Attack(
        "for target in ('/etc/passwd', '/proc/self/environ', '/proc/1/root/etc/shadow', '..'):\n"
        "    try: os.unlink('link')\n"
        "    except OSError: pass\n"
        "    os.symlink(target, 'link')",
        "import os",
    ),
    "stops itself": Attack("os.kill(os.getpid(), signal.SIGSTOP)", "import os, signal"),
    "buffers of Node": Attack(
        "held.push(Buffer.alloc(4 << 20, 1)); if (held.length > 200) held.length = 0",
        "const held = [];",
        {"memory": 256 * MB},
        "typescript",
    ),
    "workers of Node": Attack(
        "await new Promise((done) => { const one = new Worker('for (;;) {}', { eval: true }); one.on('error', done);"
        " setTimeout(() => one.terminate().then(done, done), 50) })",
        "const { Worker } = require('worker_threads');",
        {"processes": 64},
        "typescript",
    ),
    "children of Node": Attack(
        "for (let n = 0; n < 20; n++) spawn('sleep', ['86398'], { detached: true, stdio: 'ignore' }).on('error', () => {});"
        " await new Promise((done) => setTimeout(done, 100))",
        "const { spawn } = require('child_process');",
        {"processes": 64},
        "typescript",
    ),
}
