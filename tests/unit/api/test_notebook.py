"""Which cells of a notebook answer which requests, and what is said of a notebook that cannot be served."""

from __future__ import annotations

from typing import Any

import pytest

from engine.api.notebook.notebook import Notebook, parse_notebook
from engine.errors import BadNotebook
from tests.harness.notebooks import raw


def parse(*cells: str | list[str], **metadata: Any) -> Notebook:
    return parse_notebook("api.ipynb", raw(*cells, **metadata))


def found(notebook: Notebook, path: str) -> tuple[str, dict[str, str]] | None:
    match = notebook.find(path)
    return None if match is None else (match[0].path, match[1])


def test_annotated_cells_are_endpoints_and_the_others_are_set_up_in_order() -> None:
    notebook = parse("a = 1", "# GET /a\nprint(a)", "", "b = 2", "# a comment about GET /a")
    assert [cell.source for cell in notebook.setup] == ["a = 1", "b = 2", "# a comment about GET /a"]
    assert [(each.path, each.methods) for each in notebook.endpoints] == [("/a", ["GET"])]


def test_cells_of_the_same_annotation_are_one_in_their_order() -> None:
    notebook = parse("# GET /a\nx = 1", "# POST /a\n3", ["# GET /a\n", "x"])
    operations = notebook.endpoints[0].operations
    assert operations["GET"].source == "# GET /a\nx = 1\n# GET /a\nx\n"
    assert operations["POST"].source == "# POST /a\n3\n"


def test_a_response_info_cell_belongs_to_its_endpoint_wherever_it_stands() -> None:
    notebook = parse("# ResponseInfo GET /a\nprint('{}')", "# GET /a\n1")
    operation = notebook.endpoints[0].operations["GET"]
    assert (operation.source, operation.response) == ("# GET /a\n1\n", "# ResponseInfo GET /a\nprint('{}')\n")
    assert notebook.setup == []


@pytest.mark.parametrize("sign", ["#", "//", "--", ";", ";;", "%"])
def test_the_comment_signs_of_all_languages_are_known(sign: str) -> None:
    assert parse(f"{sign} DELETE /a/:b  \ncode").endpoints[0].path == "/a/:b"


def test_parameters_take_one_segment_decoded_and_never_none() -> None:
    notebook = parse("# GET /a/:x\n1", "# GET /files/v:y\n1")
    assert found(notebook, "/a/b%2Fc%20d") == ("/a/:x", {"x": "b/c d"})
    assert found(notebook, "/files/v2") == ("/files/v:y", {"y": "2"})
    for path in ("/a/", "/a", "/a/b/c", "/files/v", "/files/x2", "/A/b", "", "/a/b/"):
        assert found(notebook, path) is None


def test_a_path_without_parameters_comes_first_then_the_one_whose_parameter_comes_last() -> None:
    notebook = parse("# GET /:x/b\n1", "# GET /a/:y\n1", "# GET /a/b\n1")
    assert found(notebook, "/a/b") == ("/a/b", {})
    assert found(notebook, "/a/c") == ("/a/:y", {"y": "c"})
    assert found(notebook, "/c/b") == ("/:x/b", {"x": "c"})


def test_a_path_means_what_it_says_and_is_no_pattern() -> None:
    notebook = parse("# GET /a.b/(c)*\n1", "# GET /caf%C3%A9\n1", "# GET /né\n1")
    assert found(notebook, "/a.b/(c)*") is not None
    assert found(notebook, "/axb/ccc") is None
    assert found(notebook, "/caf%C3%A9") is not None
    assert found(notebook, "/n%c3%a9") is not None


def test_a_path_may_have_spaces() -> None:
    notebook = parse("# GET /hello world\n1", "# GET /a b/:who \n2", "# GET /c\td\n3")
    assert found(notebook, "/hello%20world") == ("/hello world", {})
    assert found(notebook, "/a%20b/x%20y") == ("/a b/:who", {"who": "x y"})
    assert found(notebook, "/c%09d") == ("/c\td", {})
    assert found(notebook, "/hello") is None


def test_kernelspec_and_language_are_those_of_the_metadata() -> None:
    notebook = parse("# GET /a", kernelspec={"name": "ir"}, language_info={"name": "R"})
    assert (notebook.kernel_name, notebook.language) == ("ir", "R")
    notebook = parse("# GET /a", kernelspec=[], language_info={"name": 3})
    assert (notebook.kernel_name, notebook.language) == ("", "")


def test_the_swagger_document_has_every_path_and_method() -> None:
    success = {"responses": {"200": {"description": "Success"}}}
    assert parse("# GET /a/:b", "# PUT /a/:b", "# ResponseInfo PUT /a/:b", "# GET /c").swagger() == {
        "swagger": "2.0",
        "info": {"version": "0.0.0", "title": "api"},
        "paths": {"/c": {"get": success}, "/a/:b": {"get": success, "put": success}},
    }


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (["x = 1"], "no cell is an endpoint"),
        ([], "no cell is an endpoint"),
        (["# GET /a\n1", "x", "# HEAD /b\n1"], r"cell 3 \('# HEAD /b'\): HEAD is none of the methods GET, PUT"),
        (["# get /a\n1"], r"cell 1 .*: get is none of the methods"),
        (["# GET /a/:b-c\n1"], "':b-c' is no parameter"),
        (["# GET /a/:\n1"], "':' is no parameter"),
        (["# GET /:a/:a\n1"], "'/:a/:a' has the same parameter twice"),
        (["# GET /a?b\n1"], r"'/a\?b' is no path"),
        (["# GET /a?b=c\n1"], "is no path"),
        (["# GET /a/:b\n1", "# POST /a/:c\n1"], "'/a/:c' takes the same requests as '/a/:b'"),
        (["# GET /a\n1", "# ResponseInfo POST /a\n1"], "ResponseInfo POST /a has no cell POST /a"),
    ],
)
def test_a_notebook_that_cannot_be_served_is_refused_with_its_cell(cells: list[str], said: str) -> None:
    with pytest.raises(BadNotebook, match=said):
        parse(*cells)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is not JSON"),
        (b"\xff\xfe", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"[]", "no list `cells`"),
        (b'{"worksheets": []}', "no list `cells`"),
        (b'{"cells": [{"cell_type": "code"}]}', "cell 1 has no source"),
        (b'{"cells": [3]}', "cell 1 has no source"),
        (b'{"cells": [{"cell_type": "code", "source": [1]}]}', "cell 1 has no source"),
    ],
)
def test_what_is_no_notebook_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(BadNotebook, match=said):
        parse_notebook("api.ipynb", content)
