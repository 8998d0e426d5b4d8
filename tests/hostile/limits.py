"""Too much of something: checks 24 to 28. Each of them is bounded, so that a machine survives it where it is not stopped."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import psutil

from tests.harness.client import Result
from tests.harness.waiting import wait_until
from tests.hostile.check import NEVER, scene
from tests.hostile.stage import offers

if TYPE_CHECKING:
    from tests.hostile.stage import Stage

MB = 1 << 20
LIMITS = {"memory": 128 * MB, "processes": 64, "open_files": 128, "file_size": 32 * MB, "disk": 64 * MB}
SLEEPER = "86399.{}"  # seconds that only our own children sleep


def limited(stage: Stage, language: str, name: str, cell: str, **fields: Any) -> list[str]:
    """Run a cell in a context with one limit. Returns what is wrong: no end, no name, or a call that does not work afterwards."""
    asked = {"limits": {name: LIMITS[name]}} if offers("context_limits") else {}
    with stage.other(language, **asked) as repl:
        answer = repl.run(cell, timeout_ms=60_000, **fields)
        after = repl.run("1+1", timeout_ms=60_000)
        named = is_named(answer, name)
        if is_named(after, name):  # a watchdog looks now and then: what a cell left beyond the limit ends the next one
            named, after = True, repl.run("1+1", timeout_ms=60_000)
        found = [] if named else [f"{name} is not named: {answer.status} {str(answer.get('error'))[:300]}"]
        return found + ([] if after.text == "2" else [f"the next call: {str(after)[:300]}"])


def is_named(answer: Result, name: str) -> bool:
    """Whether an answer failed, and says which limit it was."""
    error = answer.get("error") or {}
    told = f"{error.get('value')} {error.get('hint')}"
    return answer.status != "ok" and (f"`{name}`" in told or "at its limit of" in told)


def sleepers(number: object) -> list[int]:
    """The processes of this machine that sleep for as long as only ours do."""
    argument, found = SLEEPER.format(number), []
    for each in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if argument in each.cmdline():
                found.append(each.pid)
    return found


def all_gone(number: object) -> list[str]:
    with contextlib.suppress(AssertionError):
        wait_until(lambda: not sleepers(number), deadline=10)
    left = sleepers(number)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    return [f"{len(left)} processes are left"] if left else []


FORKS = {
    "python": """
import subprocess
for _ in range(150): subprocess.Popen(["sleep", "{sleep}"], start_new_session=True)
import time; time.sleep(5)
""",
    "typescript": """
const { spawn } = require('child_process');
for (let n = 0; n < 150; n++) await new Promise((done, fail) => {
  const one = spawn('sleep', ['{sleep}'], {detached: true, stdio: 'ignore'}); one.on('spawn', done); one.on('error', fail) });
await new Promise((done) => setTimeout(done, 5000));
""",
}


@scene(24, "A named limit, and all are gone at the end.", since="none")
def fork_bomb(stage: Stage, language: str) -> object:
    """Starts 150 processes in sessions of their own, with a limit of 64."""
    number = f"1{TIERS_NUMBER[stage.tier]}{len(language)}"
    return limited(stage, language, "processes", FORKS[language].replace("{sleep}", SLEEPER.format(number))) + all_gone(
        number
    )


TIERS_NUMBER = {"none": 1, "process": 2, "landlock": 3, "namespaces": 4}


@scene(24, "A named limit.", since="none", languages="python")
def thread_bomb(stage: Stage, language: str) -> object:
    """Starts 200 threads, with a limit of 64."""
    cell = "import threading, time\nover = threading.Event()\nfor _ in range(200): threading.Thread(target=over.wait, args=(50,), daemon=True).start()\ntime.sleep(5)"
    return limited(stage, language, "processes", cell)


DAEMON = """
import os, signal, subprocess, sys
source = '''
import os, signal
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): signal.signal(number, signal.SIG_IGN)
os.execvpe("sleep", ["sleep", "{sleep}"], {{"PATH": "/usr/bin:/bin"}})
'''
subprocess.run([sys.executable, "-c", source], check=True)
"""
DAEMON_OF_NODE = """
require('child_process').spawnSync('sh', ['-c', "trap '' TERM INT HUP; setsid env -i /usr/bin/sleep {sleep} & exit"], {{stdio: 'ignore'}}); 1
"""


@scene(24, "Gone with the context.", since="none")
def daemon(stage: Stage, language: str) -> object:
    """Starts a process by two forks, with a session, an environment and a name of its own, that ignores signals."""
    number = f"2{TIERS_NUMBER[stage.tier]}{len(language)}"
    cell = (DAEMON if language == "python" else DAEMON_OF_NODE).format(sleep=SLEEPER.format(number))
    with stage.other(language) as repl:
        assert repl.run(cell).status == "ok"
        wait_until(lambda: sleepers(number), what="the daemon is there")
    return all_gone(number)


MEMORY = {
    "heap": "held = []\nfor _ in range(60): held.append(bytearray(os.urandom(1 << 20)) * 10)",
    "map": "held = mmap.mmap(-1, 600 << 20)\nfor at in range(0, 600 << 20, 4096): held[at] = 1",
    "file in memory": "fd = os.memfd_create('x')\nfor _ in range(60): os.write(fd, block)",
    "dev shm": "import tempfile\nwith tempfile.NamedTemporaryFile(dir='/dev/shm', buffering=0) as file:\n    for _ in range(60): file.write(block)\n    time.sleep(2)",
    "child": "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'held = []\\nfor _ in range(60): held.append(bytearray(10 << 20))'], check=True)",
}


def memory(way: str) -> Callable[[Stage, str], object]:
    def take(stage: Stage, language: str) -> object:
        cell = f"import mmap, os, time\nblock = b'x' * (10 << 20)\ntry:\n    {MEMORY[way].replace(chr(10), chr(10) + '    ')}\n    time.sleep(2)\nfinally:\n    held = None"
        return limited(stage, language, "memory", cell)

    take.__name__ = f"memory_{way.replace(' ', '_')}"
    take.__doc__ = f"Takes 600 MB by this way: {way}. The limit is 128 MB."
    return take


for _way in MEMORY:
    # What no process has mapped is counted only with control groups, which an ordinary user rarely has.
    _unmapped = _way in ("file in memory", "dev shm")
    scene(
        25,
        "Counted to the context, and named.",
        since=NEVER if _unmapped else "none",
        as_root="none",
        languages="python",
        depends=_unmapped,
    )(memory(_way))


@scene(25, "Counted to the context, and named.", since="none", languages="typescript")
def memory_of_node(stage: Stage, language: str) -> object:
    """Takes 600 MB in buffers. The limit is 128 MB."""
    return limited(
        stage, language, "memory", "const held = []; for (let n = 0; n < 60; n++) held.push(Buffer.alloc(10 << 20, 1));"
    )


DISK = {
    "python": """
import time
for number in range(40):
    with open(f"large-{number}", "wb") as file: file.write(b"x" * (10 << 20))
    time.sleep(0.1)
time.sleep(5)
""",
    "typescript": """
for (let n = 0; n < 40; n++) { require('fs').writeFileSync('large-' + n, Buffer.alloc(10 << 20)); await new Promise(done => setTimeout(done, 100)) }
await new Promise(done => setTimeout(done, 5000));
""",
}


@scene(26, "A named limit; the server's own files are unharmed.", since="none")
def disk(stage: Stage, language: str) -> object:
    """Writes 400 MB in files of 10 MB. The limit is 64 MB."""
    return limited(stage, language, "disk", DISK[language])


@scene(26, "A named limit.", since="none")
def large_file(stage: Stage, language: str) -> object:
    """Writes a file of 60 MB. The limit is 32 MB for a file."""
    cells = {
        "python": "with open('large', 'wb') as file:\n    for _ in range(60): file.write(b'x' * (1 << 20))",
        "typescript": "require('fs').writeFileSync('large', Buffer.alloc(60 << 20))",
    }
    return limited(stage, language, "file_size", cells[language])


RESERVES = """
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
reserve = lambda file: libc.fallocate(file.fileno(), 0, ctypes.c_int64(0), ctypes.c_int64(200 << 20))
with open("reserved", "wb") as file: print("reserved" if reserve(file) == 0 else errno.errorcode[ctypes.get_errno()])
"""


@scene(26, "Refused: files grow by writing only.", since="landlock", depends=True, languages="python")
def reserved_space(stage: Stage, language: str) -> object:
    """Reserves 200 MB by one call, in less time than anybody needs to see it. The limit is 64 MB."""
    asked = {"limits": {"disk": LIMITS["disk"]}} if offers("context_limits") else {}
    with stage.other(language, **asked) as repl:
        answer = repl.run(RESERVES, timeout_ms=60_000)
        kept = repl.run("import os\nos.stat('reserved').st_blocks * 512", timeout_ms=60_000)
        return [] if (answer.stdout, kept.text) == (["ENOTSUP"], "0") else [str(answer)[:300], str(kept)[:300]]


@scene(26, "A named limit.", since="none")
def open_files(stage: Stage, language: str) -> object:
    """Opens /dev/null 400 times. The limit is 128."""
    cells = {
        "python": "import os\nheld = []\ntry:\n    for _ in range(400): held.append(os.open('/dev/null', os.O_RDONLY))\nfinally:\n    for fd in held: os.close(fd)",
        "typescript": "const held = []; try { for (let n = 0; n < 400; n++) held.push(require('fs').openSync('/dev/null')) } "
        "finally { for (const fd of held) require('fs').closeSync(fd) }",
    }
    return limited(stage, language, "open_files", cells[language])


FLOODS = {
    "python": {
        "lines": "while True: print('x' * 1_000_000)",
        "errors": "import sys\nwhile True: sys.stderr.write('x' * 100_000 + '\\n')",
        "descriptor": "import os\nwhile True: os.write(1, b'y' * 1_000_000)",
        "displays": "from IPython.display import display\nwhile True: display({'text/plain': 'x' * 10_000}, raw=True)",
        "deep JSON": "from IPython.display import display\nv = []\nfor _ in range(900): v = [v]\nwhile True: display({'application/json': v}, raw=True)",
        "wide JSON": "from IPython.display import display\nv = [[]] * 1_000_000\nwhile True: display({'application/json': v}, raw=True)",
    },
    "typescript": {
        "lines": "for (;;) console.log('x'.repeat(1_000_000))",
        "errors": "for (;;) { console.error('x'.repeat(100_000)); await 0 }",
        "descriptor": "for (;;) require('fs').writeSync(1, 'y'.repeat(1_000_000))",
    },
}


@scene(27, "The answer and the server's memory stay bounded.", since="none")
def floods(stage: Stage, language: str) -> object:
    """Prints, displays and logs for a second each, as fast as it can: lines, bytes on descriptor 1, deep and wide JSON."""
    found = []
    with stage.other(language) as repl:
        for name, cell in FLOODS[language].items():
            before = stage.server.memory()
            answer = repl.run(cell, timeout_ms=1_000)
            grown = (stage.server.memory() - before) // MB
            if answer.status == "ok" or len(str(answer)) > 64 * MB or grown > 400:
                found.append(f"{name}: {answer.status}, {len(str(answer))} characters, {grown} MB")
        assert repl.run("1+1", timeout_ms=60_000).text == "2"
    return found


STUBBORN = {
    "python": {
        "spins in C": "sum(iter(int, 1))",
        "spins in C, without the lock": "import hashlib\nhashlib.pbkdf2_hmac('sha256', b'x', b'y', (1 << 31) - 1)",
        "blocks SIGINT": "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})\nwhile True: pass",
        "stops itself": "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
        "becomes another program": "import os\nos.execvp('sleep', ['sleep', '500'])",
        "swallows everything": "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        "closes all": "import os, time\nos.closerange(0, 1024)\ntime.sleep(500)",
    },
    "typescript": {
        "spins": "for (;;) {}",
        "spins in C": "/^(a+)+$/.test('a'.repeat(60) + 'b')",
        "stops itself": "process.kill(process.pid, 'SIGSTOP')",
        "ignores SIGINT": "process.on('SIGINT', () => {}); process.on('SIGTERM', () => {}); for (;;) {}",
        "closes all": "for (let fd = 0; fd < 64; fd++) try { require('fs').closeSync(fd) } catch {}; for (;;) {}",
    },
}


@scene(28, "The call ends at its timeout or with a named death, and the next one works.", since="none")
def stubborn_cells(stage: Stage, language: str) -> object:
    """Spins in C, blocks signals, stops itself, becomes another program, closes all of its files."""
    found = []
    with stage.other(language) as repl:
        for name, cell in STUBBORN[language].items():
            answer = repl.run(cell, timeout_ms=700)
            after = repl.run("1+1", timeout_ms=60_000)
            if answer.status not in ("timeout", "died") or not answer.error or after.text != "2":
                found.append(f"{name}: {answer.status} {answer.error}, then {str(after)[:200]}")
    return found


@scene(28, "Its descriptors 0 to 2 are closed, and nothing else: the context works.", since="none", languages="python")
def without_descriptors(stage: Stage, language: str) -> object:
    """Closes 0, 1 and 2, and goes on."""
    with stage.other(language) as repl:
        repl.run("import os\nos.closerange(0, 3)")
        answer = repl.run("print('printed'); 6 * 7", timeout_ms=60_000)
        return [] if answer.text == "42" else [str(answer)[:300]]


@scene(
    28,
    "The parent cannot be reached, or only its own box ends.",
    since="landlock",
    as_root="process",
    languages="python",
)
def kill_the_parent(stage: Stage, language: str) -> object:
    """Kills its parent, if it is not a process of the host; else asks whether it could."""
    inside = (
        int(stage.value("python", "import os; os.stat('/proc/self/ns/pid').st_ino"))
        != os.stat("/proc/self/ns/pid").st_ino
    )
    number = int(signal.SIGKILL) if inside else 0
    answer = stage.run(
        language,
        f"import os\nfor pid in {{os.getppid(), 1}} - {{0}}:\n    try: os.kill(pid, {number}); print('could')\n    except OSError: pass",
    )
    assert stage.run(language, "1+1").text == "2"
    return stage.damage() if inside else "could" in "".join(answer.stdout)
