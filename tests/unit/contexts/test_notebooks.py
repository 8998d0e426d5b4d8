"""Notebooks that are read to be run: which cells, in which languages, and what is no notebook."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.contexts.notebooks import BadNotebook, Document, read_notebook


def document(*cells: dict[str, Any], **metadata: Any) -> Document:
    return read_notebook(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells}))


def code(source: Any = "x", **metadata: Any) -> dict[str, Any]:
    return {"cell_type": "code", "source": source, "metadata": metadata, "outputs": ["old"], "execution_count": 9}


@pytest.mark.parametrize(
    ("metadata", "language"),
    [
        ({"polyrepl": {"language": "typescript"}}, "typescript"),
        ({"vscode": {"languageId": "typescript"}}, "typescript"),
        ({"polyglot_notebook": {"kernelName": "javascript"}}, "javascript"),
        ({"dotnet_interactive": {"language": "python"}}, "python"),
        ({"kernel": "polyrepl-typescript"}, "typescript"),
        ({"kernel": "python3"}, "python"),
        ({"vscode": "odd", "polyrepl": {"language": 3}, "kernel": []}, "default"),
        ({}, "default"),
    ],
)
def test_a_cell_names_its_language_as_other_tools_do(metadata: dict[str, Any], language: str) -> None:
    (cell,) = document(code(**metadata)).code_cells("default")
    assert cell.language == language


@pytest.mark.parametrize(
    ("metadata", "languages"),
    [
        ({"kernelspec": {"name": "python3", "language": "python"}}, ["python", "python"]),
        ({"kernelspec": {"name": "conda-x", "language": "python"}}, ["conda-x", "python"]),
        ({"kernelspec": {"name": "polyrepl-deno"}, "language_info": {"name": "typescript"}}, ["deno", "typescript"]),
        ({"kernelspec": "odd", "language_info": {"name": 1}}, []),
    ],
)
def test_a_notebook_names_its_language(metadata: dict[str, Any], languages: list[str]) -> None:
    assert document(**metadata).languages == languages


def test_code_cells_are_counted_with_the_others_and_tags_are_read() -> None:
    found = document(
        {"cell_type": "markdown", "source": "# x"},
        code(["a\n", "b"]),
        code(tags=["raises-exception"]),
        code(tags=["skip-execution"]),
        code(" \n"),
    )
    cells = list(found.code_cells())
    assert [cell.number for cell in cells] == [2, 3, 4, 5]
    assert cells[0].code == "a\nb"
    assert [cell.may_fail for cell in cells] == [False, True, False, False]
    assert [cell.is_skipped for cell in cells] == [False, False, True, True]


def test_outputs_are_replaced_and_all_else_stays() -> None:
    found = document(code(), {"cell_type": "raw", "source": "r", "own": 1}, kept=True)
    before = json.loads(found.encode())
    found.clear()
    next(found.code_cells()).fill([{"output_type": "stream", "name": "stdout", "text": "\u00e9"}], 3)
    after = json.loads(found.encode())
    assert (after["cells"][0].pop("outputs"), after["cells"][0].pop("execution_count")) == (
        [{"output_type": "stream", "name": "stdout", "text": "\u00e9"}],
        3,
    )
    del before["cells"][0]["outputs"], before["cells"][0]["execution_count"]
    assert after == before


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "no nbformat"),
        ('{"nbformat": 3}', "nbconvert"),
        ('{"nbformat": 4}', "no list of cells"),
        ('{"nbformat": 4, "cells": [{}]}', "cell 1 has no cell_type"),
        ('{"nbformat": 4, "cells": [{"cell_type": "code", "source": [1]}]}', "the source of cell 1"),
    ],
)
def test_what_is_no_notebook_is_refused(text: str, reason: str) -> None:
    with pytest.raises(BadNotebook, match=reason):
        read_notebook(text)
