"""Export: the executions of a context as a notebook, a script or a page."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import nbformat
import pytest

from engine.jupyter import Channel, Message
from engine.kernels.provisioners.fake import Hold, Say
from tests.conftest import Api

pytestmark = pytest.mark.anyio

HOSTILE = "<script>fetch('//leak')</script><table><tr><td>1</td></tr></table>\"</iframe><script>alert(2)</script>"
SVG = '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def show(data: dict[str, Any], display_id: str | None = None, msg_type: str = "display_data") -> Say:
    transient = {} if display_id is None else {"display_id": display_id}
    return Say(msg_type, {"data": data, "metadata": {}, "transient": transient})


def printed(text: str, name: str = "stdout") -> Say:
    return Say("stream", {"name": name, "text": text})


FAILURE = Say("error", {"ename": "ValueError", "evalue": "no", "traceback": ["line 1", "ValueError: no"]})
SCRIPT = {
    "mixed": [
        printed("a"),
        printed("b\n"),
        show({"text/plain": "one"}, "x"),
        printed("e", "stderr"),
        show(
            {"text/plain": "two", "application/json": [1, 2], "application/vnd.x+json": {"a": None}},
            "x",
            "update_display_data",
        ),
        Say("execute_result", {"data": {"text/plain": "3"}, "metadata": {"k": 1}, "execution_count": 1}),
    ],
    "cleared": [printed("gone"), show({"text/plain": "gone"}), Say("clear_output", {"wait": False}), printed("kept")],
    "fails": [printed("before"), FAILURE],
    "hostile": [
        show({"text/html": HOSTILE, "text/plain": "<safe>"}),
        show({"image/svg+xml": SVG}),
        printed("\x1b[31m<b>\x1b[0m"),
    ],
    "odd": [show({"text/plain": "t", "application/x-thing": {"not": "text"}, "image/png": "aWc="})],
    "holds": [printed("so far"), Hold()],
}


async def run(fake: Api, code: str, **body: Any) -> dict[str, Any]:
    response = await fake.client.post("/execute", json={"code": code, "context_id": "c", **body})
    assert response.status_code == 200, response.text
    return response.json()


async def notebook(fake: Api, **query: str) -> Any:
    response = await fake.client.get("/contexts/c/export", params=query)
    assert response.status_code == 200, response.text
    found = nbformat.reads(response.text, as_version=4)
    nbformat.validate(found)
    assert (found.nbformat, found.nbformat_minor) == (4, 5)
    return found


async def test_outputs_keep_their_order_and_updates_are_folded_in(api):
    fake = await api(SCRIPT)
    result = await run(fake, "mixed")
    (cell,) = (await notebook(fake)).cells
    assert (cell.source, cell.id, cell.execution_count) == ("mixed", result["execution_id"], 1)
    assert cell.metadata.polyrepl.status == "ok"
    stdout, display, stderr, value = cell.outputs
    assert (stdout.name, stdout.text, stderr.name, stderr.text) == ("stdout", "ab\n", "stderr", "e")
    assert display.data == {"text/plain": "two", "application/json": [1, 2], "application/vnd.x+json": {"a": None}}
    assert (value.output_type, value.execution_count, value.metadata) == ("execute_result", 1, {"k": 1})


async def test_cleared_outputs_are_not_in_the_notebook(api):
    fake = await api(SCRIPT)
    await run(fake, "cleared")
    (cell,) = (await notebook(fake)).cells
    assert [output.text for output in cell.outputs] == ["kept"]


async def test_failed_and_running_cells_belong_to_it(api):
    fake = await api(SCRIPT)
    await run(fake, "fails")
    headers = {"Prefer": "respond-async"}
    started = await fake.client.post("/execute", json={"code": "holds", "context_id": "c"}, headers=headers)
    await fake.printed(started.headers["location"], "so far")
    failed, holding = (await notebook(fake)).cells
    assert failed.outputs[1] == {
        "output_type": "error",
        "ename": "ValueError",
        "evalue": "no",
        "traceback": ["line 1", "ValueError: no"],
    }
    assert (holding.metadata.polyrepl.status, holding.outputs[0].text) == ("running", "so far")
    fake.kernels[-1].release()


async def test_a_value_that_notebooks_cannot_hold_becomes_text(api):
    fake = await api(SCRIPT)
    await run(fake, "odd")
    (cell,) = (await notebook(fake)).cells
    assert json.loads(cell.outputs[0].data["application/x-thing"]) == {"not": "text"}


async def test_both_languages_of_an_id_are_one_notebook(api):
    fake = await api()
    for language in ("python", "typescript", "typescript"):
        await run(fake, f"in {language}", language=language)
    found = await notebook(fake)
    assert [cell.metadata.polyrepl.language for cell in found.cells] == ["python", "typescript", "typescript"]
    assert [cell.metadata.vscode.languageId for cell in found.cells] == ["python", "typescript", "typescript"]
    assert found.metadata.kernelspec.name == "polyrepl-typescript"
    only = await notebook(fake, language="py")
    assert [cell.source for cell in only.cells] == ["in python"]
    assert only.metadata.kernelspec.name == "python3"


async def test_what_is_no_longer_kept_is_told(api):
    fake = await api(max_executions=2)
    for code in ("first", "second", "third"):
        await run(fake, code)
    found = await notebook(fake)
    assert [cell.cell_type for cell in found.cells] == ["markdown", "code", "code"]
    assert "1 cell in python is no longer kept" in found.cells[0].source
    assert found.metadata.polyrepl.not_kept == {"python": 1}
    for kind in ("py", "html"):
        text = (await fake.client.get("/contexts/c/export", params={"format": kind})).text
        assert "1 cell in python is no longer kept" in text


async def test_an_execution_with_too_many_events_is_exported_from_its_result(api):
    script = {"much": [*(printed(f"{n}\n") for n in range(200)), show({"text/plain": "x"}), FAILURE]}
    fake = await api(script, max_events=100)
    await run(fake, "much")
    (cell,) = (await notebook(fake)).cells
    assert [output.output_type for output in cell.outputs] == ["stream", "display_data", "error"]
    assert cell.outputs[0].text.splitlines() == [str(n) for n in range(200)]


async def test_late_output_is_in_it(api):
    fake = await api(SCRIPT)
    result = await run(fake, "cleared")
    late = Message(Channel.IOPUB, "stream", "", content={"name": "stdout", "text": " and late"})
    fake.engine.executions.get(result["execution_id"]).receive(late)
    (cell,) = (await notebook(fake)).cells
    assert cell.outputs[0].text.endswith("kept and late")


async def test_a_script_has_what_can_run_again(api):
    fake = await api(SCRIPT)
    for code in ("x = 1 % 2\n%time x\n!ls\nx?\n", "%%bash\nls", "fails", "a\nb"):
        await run(fake, code)
    await run(fake, "let x = 1;", language="ts")
    python = (await fake.client.get("/contexts/c/export?format=py")).text
    assert python == (
        "# Context c, exported by polyrepl\n"
        "\n# %% In 1\nx = 1 % 2\n# %time x\n# !ls\n# x?\n"
        "\n# %% In 2\n# %%bash\n# ls\n"
        "\n# %% In 3: error, as a comment\n# fails\n"
        "\n# %% In 4\na\nb\n"
        "\n# Cells in other languages that are not in this file: 1\n"
    )
    typescript = (await fake.client.get("/contexts/c/export?format=ts")).text
    assert "\n// %% In 1\nlet x = 1;\n" in typescript


async def test_no_line_of_a_comment_leaves_it(api):
    fake = await api({"fails\u2028evil()\revil()": [FAILURE]})
    await run(fake, "fails\u2028evil()\revil()", language="ts")
    text = (await fake.client.get("/contexts/c/export?format=ts")).text
    assert text.endswith("// fails\n// evil()\n// evil()\n")


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


async def test_a_page_has_active_content_only_in_frames_without_permissions(api):
    fake = await api(SCRIPT)
    await run(fake, "hostile")
    text = (await fake.client.get("/contexts/c/export?format=html")).text
    tags = _Page(text).tags
    assert not {"script", "svg", "object", "embed"} & {tag for tag, _ in tags}
    (frame,) = [attributes for tag, attributes in tags if tag == "iframe"]
    assert frame["sandbox"] == ""
    assert frame["srcdoc"] is not None
    assert frame["srcdoc"].endswith(HOSTILE)
    policies = [attributes["content"] for tag, attributes in tags if attributes.get("http-equiv")]
    assert len(policies) == 1
    assert str(policies[0]).startswith("default-src 'none'; ")
    assert "script" not in str(policies[0])
    assert str(policies[0]) in frame["srcdoc"]
    (image,) = [attributes for tag, attributes in tags if tag == "img"]
    assert str(image["src"]).startswith("data:image/svg+xml;base64,")
    assert "\x1b" not in text
    assert "&lt;b&gt;" in text


@pytest.mark.parametrize("kind", ["ipynb", "py", "ts", "html"])
async def test_head_answers_with_the_name_and_no_body(api, kind: str):
    fake = await api()
    await run(fake, "1")
    response = await fake.client.head(f"/contexts/c/export?format={kind}")
    assert (response.status_code, response.content) == (200, b"")
    assert f'attachment; filename="c.{kind}"' in response.headers["content-disposition"]
    assert response.headers["content-security-policy"] == "sandbox"
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("query", "field"), [("format=pdf", "format"), ("format=py&language=ts", "language"), ("language=x", "language")]
)
async def test_a_wrong_parameter_is_named(api, query: str, field: str):
    fake = await api()
    await run(fake, "1")
    response = await fake.client.get(f"/contexts/c/export?{query}")
    assert response.status_code == 400
    assert [error["field"] for error in response.json()["errors"]] == [field]


async def test_a_context_that_never_was_or_is_deleted_has_no_export(api):
    fake = await api()
    await run(fake, "1")
    assert (await fake.client.delete("/contexts/c")).status_code in (202, 204)
    for context_id in ("c", "never"):
        response = await fake.client.get(f"/contexts/{context_id}/export")
        assert (response.status_code, response.json()["code"]) == (404, "ContextNotFound")


async def test_a_context_without_executions_is_an_empty_notebook(api):
    fake = await api()
    await fake.client.post("/contexts", json={"context_id": "c", "language": "typescript"})
    found = await notebook(fake)
    assert (found.cells, found.metadata.kernelspec.name) == ([], "polyrepl-typescript")


async def test_code_is_weighed_with_the_outputs(api):
    codes = [f"# {number}{'x' * 1_000_000}" for number in range(4)]
    fake = await api({code: [] for code in codes}, retained_bytes=3_000_000)
    for code in codes:
        await run(fake, code)
    assert 2_000_000 < fake.engine.executions.size <= 3_000_000
    assert (await notebook(fake)).metadata.polyrepl.not_kept == {"python": 2}
