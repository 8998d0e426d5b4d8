"""Downloads of files: ranges, conditions and headers."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from urllib.parse import quote

import pytest

from tests.unit.api.files.conftest import URL, is_problem, put

pytestmark = pytest.mark.anyio


class TestDownload:
    @pytest.fixture(autouse=True)
    async def file(self, client):
        assert (await put(client, "d/data.csv")).status_code == 201

    async def test_a_file_comes_with_what_describes_it(self, client):
        response = await client.get(f"{URL}/d/data.csv")
        assert (response.status_code, response.content) == (200, b"0123456789")
        headers = response.headers
        assert headers["content-type"] == "text/csv"
        assert headers["content-length"] == "10"
        assert headers["accept-ranges"] == "bytes"
        assert headers["content-disposition"] == "attachment; filename=\"data.csv\"; filename*=UTF-8''data.csv"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"] == "sandbox"
        assert headers["etag"].strip('"')
        assert parsedate_to_datetime(headers["last-modified"])

    @pytest.mark.parametrize(
        ("name", "kind"),
        [
            ("a.png", "image/png"),
            ("a.json", "application/json"),
            ("a.html", "text/html"),
            ("a", "application/octet-stream"),
            ("a.tar.gz", "application/octet-stream"),
            ("a.unheard-of", "application/octet-stream"),
        ],
    )
    async def test_the_type_is_that_of_the_name(self, client, name: str, kind: str):
        await put(client, name)
        assert (await client.get(f"{URL}/{name}")).headers["content-type"] == kind

    async def test_any_name_is_told(self, client):
        name = 'é "q" %;  .txt'
        await put(client, quote(name))
        response = await client.get(f"{URL}/{quote(name)}")
        assert response.status_code == 200
        disposition = response.headers["content-disposition"]
        assert disposition.endswith("filename*=UTF-8''%C3%A9%20%22q%22%20%25%3B%20%20.txt")
        assert 'filename="_ _q_ _;  .txt"' in disposition

    @pytest.mark.parametrize(
        ("wanted", "content", "told"),
        [
            ("bytes=0-3", b"0123", "bytes 0-3/10"),
            ("bytes=4-", b"456789", "bytes 4-9/10"),
            ("bytes=-3", b"789", "bytes 7-9/10"),
            ("bytes=-30", b"0123456789", "bytes 0-9/10"),
            ("bytes=8-99", b"89", "bytes 8-9/10"),
            ("bytes= 9 - 9", b"9", "bytes 9-9/10"),
        ],
    )
    async def test_a_part_is_sent(self, client, wanted: str, content: bytes, told: str):
        response = await client.get(f"{URL}/d/data.csv", headers={"Range": wanted})
        assert (response.status_code, response.content) == (206, content)
        assert response.headers["content-range"] == told
        assert response.headers["content-length"] == str(len(content))

    @pytest.mark.parametrize("wanted", ["bytes=10-", "bytes=10-20", "bytes=-0"])
    async def test_a_part_that_is_not_there_is_refused(self, client, wanted: str):
        response = await client.get(f"{URL}/d/data.csv", headers={"Range": wanted})
        is_problem(response, 416, "10 bytes")
        assert response.headers["content-range"] == "bytes */10"

    @pytest.mark.parametrize(
        "wanted", ["bytes=a-b", "bytes=-", "bytes=5-2", "lines=0-1", "bytes=0-1,3-4", "bytes=" + "9" * 30]
    )
    async def test_what_is_no_range_of_ours_gets_the_whole_file(self, client, wanted: str):
        response = await client.get(f"{URL}/d/data.csv", headers={"Range": wanted})
        assert (response.status_code, len(response.content)) == (200, 10)

    async def test_a_range_holds_only_for_the_file_it_was_meant_for(self, client):
        etag = (await client.head(f"{URL}/d/data.csv")).headers["etag"]
        headers = {"Range": "bytes=0-1", "If-Range": etag}
        assert (await client.get(f"{URL}/d/data.csv", headers=headers)).status_code == 206
        await put(client, "d/data.csv", b"abcdefghij")
        response = await client.get(f"{URL}/d/data.csv", headers=headers)
        assert (response.status_code, response.content) == (200, b"abcdefghij")

    async def test_what_a_client_has_already_is_not_sent_again(self, client):
        etag = (await client.get(f"{URL}/d/data.csv")).headers["etag"]
        for tags in (etag, f'"x", W/{etag}', "*"):
            response = await client.get(f"{URL}/d/data.csv", headers={"If-None-Match": tags})
            assert (response.status_code, response.content) == (304, b"")
            assert response.headers["etag"] == etag
        assert (await client.get(f"{URL}/d/data.csv", headers={"If-None-Match": '"x"'})).status_code == 200
        await put(client, "d/data.csv", b"other")
        assert (await client.get(f"{URL}/d/data.csv", headers={"If-None-Match": etag})).status_code == 200

    async def test_what_a_client_has_already_needs_no_range(self, client):
        etag = (await client.head(f"{URL}/d/data.csv")).headers["etag"]
        response = await client.get(f"{URL}/d/data.csv", headers={"If-None-Match": etag, "Range": "bytes=10-"})
        assert response.status_code == 304

    async def test_head_answers_as_get_without_the_file(self, client):
        whole = await client.get(f"{URL}/d/data.csv")
        response = await client.head(f"{URL}/d/data.csv")
        assert (response.status_code, response.content) == (200, b"")
        assert dict(response.headers) == dict(whole.headers)

    async def test_what_cannot_be_downloaded_says_why(self, client):
        is_problem(await client.get(f"{URL}/nope"), 404, "'nope'")
        is_problem(await client.get(f"{URL}/d"), 409, "is a directory")
        is_problem(await client.get(f"{URL}/d/data.csv/x"), 409)
        is_problem(await client.get("/contexts/nope/files/a"), 404, "'nope'")
        for path in ("%2e%2e/x", "d/%2e%2e/%2e%2e/x", "%2Fetc/passwd", "a%00b"):
            is_problem(await client.get(f"{URL}/{path}"), 400, '"field":"path"')
