"""Real-world cells show the same on our Python kernel as on stock ipykernel, but for the differences that docs/differences.md lists."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.differential import differences
from tests.differential.comparison import Compared, Pair, pair
from tests.differential.corpus import Group, load_all
from tests.differential.recorder import LEAN, STOCK

GROUPS = load_all()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with pair(STOCK, LEAN, tmp_path_factory.mktemp("d")) as kernels:
        yield kernels


@pytest.fixture
def compared(group: Group, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Compared]:
    if not group.fresh:
        kernels: Pair = request.getfixturevalue("shared")
        return kernels.run(group)
    with pair(STOCK, LEAN, tmp_path_factory.mktemp("d")) as kernels:
        return kernels.run(group)


@pytest.mark.parametrize("group", GROUPS, ids=[group.name for group in GROUPS])
def test_the_cells_of_a_group_differ_only_as_the_document_says(group: Group, compared: list[Compared]) -> None:
    found = {(group.name, each.cell.title): each.diff for each in compared if each.diff}
    listed = {key: diff for key, diff in differences.accepted().items() if key[0] == group.name}
    unlisted = [differences.block(key, diff) for key, diff in found.items() if listed.get(key) != diff]
    assert not unlisted, "\n\n".join(["not as docs/differences.md says:", *unlisted])
    assert listed.keys() == found.keys(), "listed, but there is no difference"


def test_the_corpus_is_large_and_the_document_names_only_its_cells() -> None:
    cells = {(group.name, cell.title) for group in GROUPS for cell in group.cells}
    assert len(cells) >= 220
    assert differences.named() <= cells
    text = differences.DOCUMENT.read_text(encoding="utf-8")
    titles = {(group, title) for group, title in re.findall(r"^`([\w-]+) / ([^`\n]+)`", text, re.MULTILINE)}
    assert titles == differences.named(), "a block without its end takes in the one after it"


def test_what_is_compared_loosely_says_why_in_the_document() -> None:
    document = differences.DOCUMENT.read_text(encoding="utf-8")
    reasons = {cell.options.loose for group in GROUPS for cell in group.cells if cell.options.loose}
    assert all(reason in document for reason in reasons)
