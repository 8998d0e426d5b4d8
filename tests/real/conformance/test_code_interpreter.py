"""The code-interpreter gateway's documented lines, and its client as documented, on real kernels; and what cells do to files."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.harness.client import Client, Repl
from tests.harness.dialects import Dialect
from tests.harness.server import Server

SESSIONS = "/api/v1/code-interpreter/sessions"


@pytest.fixture(scope="module")
def open_server() -> Iterator[Server]:
    """Without a token, as in the documentation."""
    with Server(settings={"pool_min": "1", "pool_languages": "python"}) as server:
        yield server


def shell(server: Server, command: str) -> Any:
    here = command.replace("http://localhost:8000", server.url)
    done = subprocess.run(["bash", "-c", here], capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)


def test_the_documented_curl_lines_work(open_server: Server) -> None:
    session = shell(
        open_server,
        "curl -X POST http://localhost:8000/api/v1/code-interpreter/sessions \\\n"
        '-H "Content-Type: application/json" \\\n'
        "-d '{}'",
    )
    session_id = session["session_id"]
    told = shell(
        open_server,
        f"curl -X POST http://localhost:8000/api/v1/code-interpreter/sessions/{session_id}/execute \\\n"
        '-H "Content-Type: application/json" \\\n'
        '-d \'{\n"code": "import math\\nprint(math.pi)",\n"language": "python"\n}\'',
    )
    assert told["stdout"] == "3.141592653589793\n"
    assert (told["exit_code"], told["error"], told["result"]) == (0, None, "")
    assert httpx.delete(f"{open_server.url}{SESSIONS}/{session_id}", timeout=60).status_code == 204


class DocumentedClient:
    """The calls of the documented client, which no registry has: the paths and bodies that it sends, what it takes for errors."""

    def __init__(self, base_url: str, session: str) -> None:
        self._http = httpx.AsyncClient(base_url=base_url, timeout=60)
        self._wanted = session

    async def _call(self, method: str, path: str, **options: Any) -> httpx.Response:
        response = await self._http.request(method, SESSIONS + path, **options)
        if response.status_code >= 400:
            raise RuntimeError(response.json()["detail"])
        return response

    async def start(self) -> str:
        body = {"session_id": self._wanted, "language": "python", "config": {}}
        self.session_id = str((await self._call("POST", "", json=body)).json()["session_id"])
        return self.session_id

    async def execute(self, code: str, language: str = "python") -> dict[str, Any]:
        body = {"code": code, "language": language}
        return dict((await self._call("POST", f"/{self.session_id}/execute", json=body)).json())

    async def upload_file(self, name: str, content: bytes) -> dict[str, Any]:
        files = {"file": (name, content)}
        return dict((await self._call("POST", f"/{self.session_id}/files", files=files)).json())

    async def download_file(self, name: str) -> bytes:
        return (await self._call("GET", f"/{self.session_id}/files/{name}")).content

    async def history(self) -> list[dict[str, Any]]:
        return list((await self._call("GET", f"/{self.session_id}/history", params={"limit": 50})).json()["entries"])

    async def close(self) -> None:
        await self._call("DELETE", f"/{self.session_id}")
        await self._http.aclose()


@pytest.mark.anyio
async def test_the_documented_client_works(open_server: Server) -> None:
    code = DocumentedClient(open_server.url, "agent-1")
    await code.start()
    result = await code.execute("print('Hello from Jupyter!')")
    assert result["output"] == "Hello from Jupyter!"
    assert (await code.upload_file("up.txt", b"abc")) == {"filename": "up.txt", "size": 3, "session_id": "agent-1"}
    assert (await code.execute("open('up.txt').read()"))["result"] == "'abc'"
    await code.execute("open('made.bin', 'wb').write(bytes(range(256)))")
    assert await code.download_file("made.bin") == bytes(range(256))
    failed = await code.execute("1 / 0")
    assert (failed["exit_code"], failed["error"]) == (1, None)
    assert "ZeroDivisionError" in failed["stderr"]
    assert [entry["exit_code"] for entry in await code.history()] == [0, 0, 0, 0, 0, 1]
    with pytest.raises(RuntimeError, match="not found"):
        await code.download_file("nope")
    await code.close()


def test_a_session_runs_every_language_on_the_same_files(client: Client, dialect: Dialect) -> None:
    client.http.post(SESSIONS, json={"session_id": f"apg-{dialect.name}", "language": dialect.name})
    url = f"{SESSIONS}/apg-{dialect.name}"
    client.http.post(f"{url}/files", files={"file": ("data.txt", b"shared")})
    told = client.http.post(f"{url}/execute", json={"code": dialect.set("n", 41)}).json()
    assert (told["language"], told["exit_code"]) == (dialect.name, 0)
    assert client.http.post(f"{url}/execute", json={"code": "n + 1"}).json()["result"] == "42"
    told = client.http.post(f"{url}/execute", json={"code": "open('data.txt').read()", "language": "python"}).json()
    assert told["result"] == "'shared'"
    assert client.http.delete(url).status_code == 204


WRITE = {
    "python": "import os\nopen('{}', 'w').write('{}')\nNone",
    "typescript": "import * as fs from 'node:fs'\nfs.writeFileSync('{}', '{}')",
}
REMOVE = {"python": "os.remove('{}')", "typescript": "fs.unlinkSync('{}')"}


def test_a_result_lists_the_files_that_its_cell_made_changed_and_deleted(
    fresh: Repl, client: Client, dialect: Dialect
) -> None:
    write, remove = WRITE[dialect.name], REMOVE[dialect.name]
    assert fresh.run(write.format("a.txt", "one"))["files"] == [{"path": "a.txt", "change": "created", "size": 3}]
    assert fresh.run(write.format("a.txt", "longer"))["files"] == [{"path": "a.txt", "change": "changed", "size": 6}]
    assert client.http.get(f"/contexts/{fresh.id}/files/a.txt").text == "longer"
    with client.stream(remove.format("a.txt"), **fresh.fields) as events:
        done = list(events)[-1]
    assert done["files"] == [{"path": "a.txt", "change": "deleted"}]
    assert "files" not in fresh.run("1 + 1")
    assert "files" not in fresh.run(write.format("b.txt", "x"), files=False)


def test_a_branch_has_files_of_its_own_and_a_rollback_tells_none(new_repl: Callable[..., Repl], client: Client) -> None:
    original = new_repl("python")
    client.http.put(f"/contexts/{original.id}/files/a.txt?language=python", content=b"one")
    original.run("1")
    fork = client.http.post(f"/contexts/{original.id}/fork").json()["id"]
    client.http.put(f"/contexts/{fork}/files/a.txt", content=b"two")
    assert client.http.get(f"/contexts/{original.id}/files/a.txt").text == "one"
    result = original.run("open('b.txt', 'w').close(); 1 / 0", on_error="rollback")
    assert result["context_state"] == "rolled_back"
    assert "files" not in result
    assert client.http.get(f"/contexts/{original.id}/files/b.txt").status_code == 404
    client.delete(fork)
