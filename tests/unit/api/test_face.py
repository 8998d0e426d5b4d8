"""The rendering kit and the frame as browsers get them."""

from __future__ import annotations

import hashlib
import re

import pytest

from engine.api.face.frame import POLICY
from engine.resources import web_dir

pytestmark = pytest.mark.anyio

TOKEN = {"token": "a-token-that-is-long-enough"}
KIT = "/_web/output.js"
FRAME = "/_output/frame.html"


async def test_the_frame_lets_nothing_out(api):
    answer = await (await api()).client.get(FRAME)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["connection-allowlist"] == "();webrtc=block"
    rules = dict(each.strip().partition(" ")[::2] for each in answer.headers["content-security-policy"].split(";"))
    assert {rules[name] for name in ("default-src", "connect-src", "frame-src", "form-action", "base-uri")} == {
        "'none'"
    }
    assert "allow-same-origin" not in rules["sandbox"]
    assert "allow-top-navigation" not in rules["sandbox"]
    assert "http" not in answer.headers["content-security-policy"]


async def test_the_frame_has_the_same_policy_without_a_server(api):
    answer = await (await api()).client.get(FRAME)
    (inside,) = re.findall(r'Content-Security-Policy content="([^"]+)"', answer.text)
    assert inside == POLICY.partition("; sandbox")[0]


@pytest.mark.parametrize("path", [KIT, FRAME])
async def test_a_page_of_another_origin_loads_it_without_a_token(api, path: str):
    client = (await api(**TOKEN)).client
    answer = await client.get(path, headers={"Origin": "https://chat.example", "Authorization": ""})
    assert answer.status_code == 200
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"


async def test_the_kit_is_read_by_scripts_of_any_origin(api):
    answer = await (await api()).client.get(KIT, headers={"Origin": "https://chat.example"})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["content-type"].startswith("text/javascript")


async def test_other_paths_still_refuse_another_origin(api):
    client = (await api()).client
    answer = await client.get("/contexts", headers={"Origin": "https://chat.example"})
    assert answer.status_code == 403
    answer = await client.post(KIT, headers={"Origin": "https://chat.example"})
    assert answer.status_code == 403


async def test_only_a_named_version_is_kept_for_ever(api):
    client = (await api()).client
    version = hashlib.sha256((web_dir() / "output.js").read_bytes()).hexdigest()[:16]
    assert "immutable" in (await client.get(f"{KIT}?v={version}")).headers["cache-control"]
    for other in (KIT, f"{KIT}?v=0123456789abcdef"):
        assert (await client.get(other)).headers["cache-control"] == "no-cache"


async def test_what_has_not_changed_is_not_sent_again(api):
    client = (await api()).client
    tag = (await client.get(KIT)).headers["etag"]
    answer = await client.get(KIT, headers={"If-None-Match": f'"other", W/{tag}'})
    assert (answer.status_code, answer.content) == (304, b"")


@pytest.mark.parametrize(
    "path", ["../package.json", "..%2fpackage.json", "parts", "", "nothing.js", "%00", "/etc/passwd"]
)
async def test_nothing_else_is_served(api, path: str):
    assert (await (await api()).client.get(f"/_web/{path}")).status_code == 404


async def test_the_kit_asks_for_its_parts_by_the_version_that_they_have(api):
    client = (await api()).client
    kit = (await client.get(KIT)).text
    for name, version in re.findall(r'"([\w/.-]+\.(?:js|html))":"([0-9a-f]{16})"', kit):
        answer = await client.get(f"/_web/{name}?v={version}")
        assert "immutable" in answer.headers["cache-control"], name
