"""What keeps contexts apart though all of them run as one user: their own caches, and an end that nothing outlives."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.harness.client import Client
from tests.harness.processes import outside
from tests.harness.waiting import wait_until
from tests.real.kernels.forks import is_there

# A program that leaves its session, its parent, its environment and its name behind, and tells its number.
_DAEMON = """
import ctypes, os, time
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
ctypes.CDLL(None).prctl(15, b"harmless", 0, 0, 0)
with open("daemon.new", "w") as file: file.write(str(os.getpid()))
os.rename("daemon.new", "daemon")
time.sleep(1000)
"""
_START = {
    "python": f"import subprocess; _ = subprocess.run([{sys.executable!r}, '-S', '-c', {_DAEMON!r}], env={{}})",
    "typescript": f"import {{spawnSync}} from 'node:child_process';\n"
    f"spawnSync({sys.executable!r}, ['-S', '-c', {_DAEMON!r}], {{env: {{}}, stdio: 'ignore'}}).status",
}
_END = {"python": "import os; os.kill(os.getpid(), 9)", "typescript": "process.kill(process.pid, 'SIGKILL')"}
_DIRECTORIES = ("IPYTHONDIR", "MPLCONFIGDIR", "XDG_CACHE_HOME", "DENO_DIR", "NUMBA_CACHE_DIR")


@pytest.mark.parametrize("how", ["deleted", "killed by itself"])
@pytest.mark.parametrize("language", ["python", "typescript"])
def test_a_daemon_ends_with_its_kernel(client: Client, language: str, how: str) -> None:
    context = client.create(language)
    place = Path(context["cwd"]) / "daemon"
    result = client.execute(_START[language], language=language, context_id=context["id"])
    assert result.status == "ok", result.error
    wait_until(place.exists)
    daemon = outside(int(place.read_text()), place.parent)
    assert is_there(daemon)
    if how == "deleted":
        client.delete(context["id"])
    else:
        client.execute(_END[language], language=language, context_id=context["id"])
    wait_until(lambda: not is_there(daemon))


def test_what_magics_keep_belongs_to_the_context(client: Client) -> None:
    client.execute("kept = 'mine'\n%store kept", context_id="apart-1")
    found = client.execute("%store -r\n'kept' in globals()", context_id="apart-2")
    assert found.text == "False"
    again = client.execute("del kept\n%store -r\nkept", context_id="apart-1")
    assert again.text == "'mine'"


def test_no_two_contexts_share_a_directory_that_programs_believe(client: Client) -> None:
    code = f"import os; [os.environ[name] for name in {_DIRECTORIES!r}]"
    one, two = (eval(client.execute(code, context_id=name).text or "") for name in ("apart-1", "apart-2"))
    assert len({*one, *two}) == 2 * len(_DIRECTORIES)


def test_no_two_contexts_share_compiled_code(client: Client) -> None:
    code = "process.env.POLYREPL_CACHE_DIR"
    places = [client.execute(code, language="typescript", context_id=name).text for name in ("apart-1", "apart-2")]
    assert len(set(places)) == 2


def test_the_servers_own_variables_cannot_be_set(client: Client) -> None:
    code = "import os; os.environ['POLYREPL_KERNEL'], os.environ['POLYREPL_PACKAGES']"
    before = client.execute(code, context_id="apart-1").text
    given = {"POLYREPL_KERNEL": "another", "POLYREPL_PACKAGES": "/elsewhere"}
    assert client.execute(code, context_id="apart-1", env_vars=given).text == before


def test_others_of_the_user_cannot_look_into_a_python_kernel(client: Client) -> None:
    assert client.execute("import ctypes; ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)", context_id="apart-1").text == "0"
