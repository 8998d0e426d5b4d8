"""The routes of files: every status, header and body, over scripted kernels."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.kernels.provisioners.fake import Say
from tests.unit.api.files.conftest import URL, is_problem, put

pytestmark = pytest.mark.anyio


class TestUpload:
    @pytest.mark.parametrize("method", ["PUT", "POST"])
    async def test_the_body_is_the_file(self, client, method: str):
        response = await client.request(method, f"{URL}/a/b.txt", content=b"one")
        assert response.status_code == 201
        assert set(response.json()) == {"path", "type", "size", "modified"}
        assert (response.json()["path"], response.json()["size"]) == ("a/b.txt", 3)
        response = await client.request(method, f"{URL}/a/b.txt", content=b"other")
        assert (response.status_code, response.json()["size"]) == (200, 5)
        assert (await client.get(f"{URL}/a/b.txt")).content == b"other"

    async def test_a_form_holds_any_number_of_files(self, client):
        files = [
            ("file", ("a.txt", b"one")),
            ("file", ("dir/b.bin", b"\r\n--x\0\xff" * 50, "image/png")),
            ("file", ("e", b"")),
        ]
        response = await client.post(URL, files=files, data={"comment": "passed over"})
        assert response.status_code == 201
        assert [each["path"] for each in response.json()["items"]] == ["a.txt", "dir/b.bin", "e"]
        for _, (name, content, *_) in files:
            assert (await client.get(f"{URL}/{name}")).content == content

    async def test_a_form_can_go_into_a_directory(self, client):
        response = await client.post(URL, params={"path": "in/here"}, files={"file": ("a", b"x")})
        assert response.json()["items"][0]["path"] == "in/here/a"

    @pytest.mark.parametrize("size", [1, 7, 64, 5000])
    async def test_a_form_may_come_in_pieces_of_any_size(self, client, size: int):
        request = client.build_request("POST", URL, files={"file": ("a", b"x\r\n-" * 1000)})
        body = request.read()

        async def pieces() -> AsyncIterator[bytes]:
            for start in range(0, len(body), size):
                yield body[start : start + size]

        headers = {"content-type": request.headers["content-type"]}
        assert (await client.post(URL, content=pieces(), headers=headers)).status_code == 201
        assert (await client.get(f"{URL}/a")).content == b"x\r\n-" * 1000

    @pytest.mark.parametrize(
        ("content_type", "body", "word"),
        [
            ("application/json", b"{}", "multipart/form-data"),
            ("multipart/form-data", b"", "boundary"),
            ("multipart/form-data; boundary=x", b"", "last boundary"),
            ("multipart/form-data; boundary=x", b"nonsense", "boundary"),
            ("multipart/form-data; boundary=x", b"--x--\r\n", "filename"),
            (
                "multipart/form-data; boundary=x",
                b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nno file\r\n--x--',
                "filename",
            ),
            (
                "multipart/form-data; boundary=x",
                b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nhalf a file',
                "last boundary",
            ),
            (
                "multipart/form-data; boundary=x",
                b'--x\r\nContent-Disposition: form-data; name="other"; filename="a"\r\n\r\nx\r\n--x--\r\n',
                "`file`",
            ),
            ("multipart/form-data; boundary=" + "x" * 2000, b"", "oundary"),
        ],
    )
    async def test_what_is_no_form_with_files_is_refused_and_leaves_nothing(
        self, client, content_type: str, body: bytes, word: str
    ):
        response = await client.post(URL, content=body, headers={"content-type": content_type})
        is_problem(response, 400, '"errors"', word)
        assert (await client.get(URL)).json()["items"] == []

    async def test_a_form_with_too_much_besides_its_files_is_refused(self, client):
        response = await client.post(URL, data={"a": "x" * 1_100_000}, files={"file": ("a", b"x")})
        is_problem(response, 413)

    async def test_files_have_a_limit_of_their_own(self, client):
        assert (await put(client, "a", b"x" * 10_000)).status_code == 201  # beyond max_request_bytes
        is_problem(await put(client, "b", b"x" * 10_001), 413, "10000 bytes")
        is_problem(await client.post(URL, files={"file": ("c", b"x" * 10_001)}), 413)
        assert [each["path"] for each in (await client.get(URL)).json()["items"]] == ["a"]

    async def test_a_context_has_quotas(self, client):
        for name in ("a", "b"):
            await put(client, name, b"x" * 9_500)
        is_problem(await put(client, "c", b"x" * 1_001), 507, "20000 bytes")
        for name in ("c", "d", "e", "f"):
            assert (await put(client, name, b"")).status_code == 201
        is_problem(await put(client, "g", b""), 507, "6 files")
        await client.delete(f"{URL}/f")
        assert (await put(client, "g", b"")).status_code == 201

    async def test_a_language_makes_a_context_that_is_not_there(self, client):
        is_problem(await client.put("/contexts/new/files/a", content=b"x"), 404, "'new'")
        is_problem(await client.post("/contexts/new/files", files={"file": ("a", b"x")}), 404)
        is_problem(await client.put("/contexts/new/files/a?language=cobol", content=b"x"), 400, "cobol")
        is_problem(await client.put("/contexts/n%20w/files/a?language=python", content=b"x"), 400, "context_id")
        assert (await client.put("/contexts/new/files/a?language=ts", content=b"x")).status_code == 201
        assert (await client.get("/contexts/new")).json()["language"] == "typescript"
        assert (await client.get("/contexts/new/files/a")).content == b"x"

    async def test_an_upload_holds_no_place_beyond_the_limit_of_contexts(self, api):
        fake = await api(max_contexts=1)
        assert (await fake.client.put("/contexts/a/files/x?language=py", content=b"1")).status_code == 201
        assert (await fake.client.put("/contexts/b/files/x?language=py", content=b"1")).status_code == 201  # a was idle
        is_problem(await fake.client.get("/contexts/a/files"), 404, "evicted")

    async def test_languages_of_one_id_share_their_files(self, client):
        await put(client, "a")
        await client.post("/contexts", json={"context_id": "demo", "language": "typescript"})
        for language in ("python", "ts"):
            assert (await client.get(f"{URL}/a", params={"language": language})).status_code == 200
        is_problem(await client.get(f"{URL}/a", params={"language": "bun"}), 404)

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("PUT", f"{URL}/a"),
            ("POST", "/execute"),
            ("POST", "/e2b/execute"),
            ("POST", "/api/kernels"),
            ("POST", "/mcp"),
        ],
    )
    async def test_a_client_that_goes_away_while_it_sends_leaves_nothing(self, api, method: str, path: str):
        fake = await api()
        await fake.client.post("/contexts", json={"context_id": "demo"})
        app = fake.client._transport.app  # type: ignore[attr-defined]
        messages = [{"type": "http.request", "body": b"half", "more_body": True}, {"type": "http.disconnect"}]
        sent: list[dict] = []

        async def receive() -> dict:
            return messages.pop(0)

        async def send(message: dict) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": method, "path": path, "raw_path": b"", "query_string": b"", "root_path": "",
            "headers": [(b"host", b"localhost")], "scheme": "http", "server": ("localhost", 8000), "http_version": "1.1",
        }  # fmt: skip
        await app(scope, receive, send)
        assert 400 <= sent[0]["status"] < 500
        assert (await fake.client.get(URL)).json()["items"] == []
        assert len((await fake.client.get("/contexts")).json()) == 1


class TestListing:
    async def test_files_are_listed(self, client):
        for path in ("b", "a/x", "a/y/z"):
            await put(client, path)

        async def listed(**query: object) -> list[str]:
            response = await client.get(URL, params=query)
            assert response.status_code == 200
            assert set(response.json()) == {"items", "truncated"}
            return [each["path"] for each in response.json()["items"]]

        assert await listed() == ["a", "b"]
        assert await listed(path="a") == ["a/x", "a/y"]
        assert await listed(recursive="true") == ["a", "a/x", "a/y", "a/y/z", "b"]
        assert await listed(recursive="1", path="a", after="a/x", limit=1) == ["a/y"]
        assert (await client.get(URL, params={"limit": 1})).json()["truncated"] is True

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ({"limit": "0"}, "limit"),
            ({"limit": "10001"}, "limit"),
            ({"limit": "x"}, "limit"),
            ({"recursive": "perhaps"}, "recursive"),
            ({"path": "../"}, "path"),
            ({"after": "/etc"}, "path"),
            ({"language": "cobol"}, "language"),
        ],
    )
    async def test_a_wrong_parameter_is_named(self, client, query: dict[str, str], field: str):
        is_problem(await client.get(URL, params=query), 400, f'"field":"{field}"')

    async def test_what_is_no_directory_cannot_be_listed(self, client):
        await put(client, "a")
        is_problem(await client.get(URL, params={"path": "a"}), 409)
        is_problem(await client.get(URL, params={"path": "b"}), 404)
        is_problem(await client.get("/contexts/nope/files"), 404)


class TestDelete:
    async def test_files_and_directories_are_deleted(self, client):
        await put(client, "d/a")
        is_problem(await client.delete(f"{URL}/d"), 409, "not empty")
        assert (await client.delete(f"{URL}/d/a")).status_code == 204
        is_problem(await client.delete(f"{URL}/d/a"), 404)
        await put(client, "d/a")
        assert (await client.delete(f"{URL}/d?recursive=true")).status_code == 204
        assert (await client.get(URL)).json()["items"] == []
        is_problem(await client.delete(f"{URL}/%2e?recursive=true"), 400)
        is_problem(await client.delete("/contexts/nope/files/a"), 404)


class TestAuthentication:
    async def test_files_need_the_token(self, api):
        client = (await api(token="t0ken")).client
        for method, url in (
            ("GET", URL),
            ("POST", URL),
            ("GET", f"{URL}/a"),
            ("PUT", f"{URL}/a"),
            ("DELETE", f"{URL}/a"),
        ):
            is_problem(await client.request(method, url), 401)
        response = await client.put(f"{URL}/a?language=python", content=b"x", headers={"Authorization": "Bearer t0ken"})
        assert response.status_code == 201


class TestResults:
    """What a cell did to its files, in its result. The scripted kernel writes none: the test does, while the cell runs."""

    @pytest.fixture
    async def running(self, api):
        fake = await api({"wait": [Say("stream", {"name": "stdout", "text": "ready\n"})]})
        await fake.client.post("/contexts", json={"context_id": "demo"})
        (context,) = fake.engine.contexts.get("demo")

        async def run(change, **fields: object) -> dict:
            kernel = context.kernel
            execute = kernel.execute

            async def changed(*args: object, **options: object) -> object:
                change(context.workspace.cwd)
                return await execute(*args, **options)

            kernel.execute = changed
            try:
                response = await fake.client.post("/execute", json={"code": "wait", "context_id": "demo", **fields})
            finally:
                kernel.execute = execute
            assert response.status_code == 200, response.text
            return response.json()

        return run

    async def test_changes_are_told_and_absent_where_there_are_none(self, running):
        result = await running(lambda cwd: (cwd / "a").write_text("x"))
        assert result["files"] == [{"path": "a", "change": "created", "size": 1}]
        assert "files" not in await running(lambda cwd: None)
        result = await running(lambda cwd: (cwd / "a").unlink())
        assert result["files"] == [{"path": "a", "change": "deleted"}]

    async def test_they_can_be_asked_for_and_declined(self, running):
        def fill(cwd: Path) -> None:
            for number in range(100):
                (cwd / f"{number:03}").touch()

        assert len((await running(fill))["files"]) == 100
        assert "files" not in await running(lambda cwd: (cwd / "b").touch())
        result = await running(lambda cwd: (cwd / "c").touch(), files=True)
        assert [each["path"] for each in result["files"]] == ["c"]
        assert "files" not in await running(lambda cwd: (cwd / "d").touch(), files=False)

    async def test_an_upload_is_no_change_of_a_cell(self, api):
        client = (await api()).client
        await client.put(f"{URL}/a?language=python", content=b"x")
        response = await client.post("/execute", json={"code": "x", "context_id": "demo"})
        assert "files" not in response.json()

    async def test_an_interrupt_while_a_large_directory_is_looked_at_keeps_the_code_from_running(
        self, api, monkeypatch
    ):
        fake = await api({"never": [Say("stream", {"name": "stdout", "text": "ran\n"})]})
        await fake.client.post("/contexts", json={"context_id": "demo"})
        looking = asyncio.Event()

        async def look(*_: object, **__: object) -> None:
            execution = fake.engine.contexts.get("demo")[0].current
            await fake.engine.interrupt(execution.id)
            looking.set()

        monkeypatch.setattr("engine.contexts.cell_run.watch", look)
        response = await fake.client.post("/execute", json={"code": "never", "context_id": "demo", "files": True})
        assert looking.is_set()
        assert response.json()["status"] == "interrupted"
        assert response.json()["logs"]["stdout"] == []
