"""Which item is the answer: the value, and of a cell that draws the figure."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import UNSET

from engine.jupyter.messages import Channel, Message
from engine.output.buffers import OutputLimits
from engine.output.normalizer import Normalizer

LIMITS = OutputLimits(stream_bytes=1000, item_bytes=1000, items=100, output_bytes=100_000)
FIGURE = {"text/plain": "<Figure size 640x480 with 1 Axes>", "image/png": "AAAA"}
LINES = {"text/plain": "[<matplotlib.lines.Line2D at 0x7f0000000000>]"}
TABLE = {"text/plain": "   a\n0  1", "text/html": "<table></table>"}


def shown(data: dict[str, Any], **metadata: Any) -> Message:
    content = {"data": data, "metadata": {}}
    return Message(Channel.IOPUB, "display_data", "parent", content=content, metadata=metadata)


def value(data: dict[str, Any], **metadata: Any) -> Message:
    content = {"data": data, "metadata": {}, "execution_count": 1}
    return Message(Channel.IOPUB, "execute_result", "parent", content=content, metadata=metadata)


def primary(*messages: Message) -> Any:
    """The index of the primary item, which the events and the result agree about."""
    normalizer = Normalizer(LIMITS)
    for each in messages:
        normalizer.feed(each)
    normalizer.finish()
    marked = [index for index, item in enumerate(normalizer.items()) if item.is_primary]
    index = normalizer.primary_index()
    assert marked == ([] if index is UNSET else [index])
    return index


def test_a_figure_that_is_shown_after_a_text_is_primary():
    assert primary(value(LINES), shown(FIGURE)) == 1


@pytest.mark.parametrize("picture", ["image/png", "image/jpeg", "image/svg+xml", "application/pdf"])
def test_every_kind_of_picture_counts(picture: str):
    assert primary(value(LINES), shown({"text/plain": "<Figure>", picture: "AAAA"})) == 1


def test_of_several_figures_the_last_is_primary():
    assert primary(value(LINES), shown(FIGURE), shown(FIGURE)) == 2


def test_a_value_after_its_figure_is_primary_unless_it_is_a_part_of_it():
    assert primary(shown(FIGURE), value({"text/plain": "42"})) == 1
    assert primary(shown(FIGURE), value({"text/plain": "<Axes: >"}, of_figure=True)) == 0
    assert primary(value({"text/plain": "<Axes: >"}, of_figure=True)) == 0


def test_a_value_with_a_form_of_its_own_stays_primary():
    assert primary(value(TABLE), shown(FIGURE)) == 0
    assert primary(value(FIGURE), shown(FIGURE)) == 0
    assert primary(value({"text/plain": "alt.Chart(...)", "application/vnd.vegalite.v6+json": {}}), shown(FIGURE)) == 0
    assert primary(shown(FIGURE), value(TABLE, of_figure=True)) == 1


def test_the_json_of_a_list_makes_no_difference():
    assert primary(value({"text/plain": "[1]", "application/json": [1]}), shown(FIGURE)) == 1


def test_a_text_or_a_table_after_the_value_changes_nothing():
    assert primary(value(LINES), shown({"text/plain": "late"})) == 0
    assert primary(value({"text/plain": "42"}), shown(TABLE)) == 0


def test_a_figure_that_was_too_large_is_still_the_answer():
    assert primary(value(LINES), shown({"text/plain": "<Figure>", "image/png": "A" * 2000})) == 1
    assert primary(value(LINES), shown({"text/plain": "<Figure>"}, omitted={"image/png": 2000})) == 1


def test_a_text_that_was_cut_is_still_a_text():
    assert primary(value({"text/plain": "[" * 10}, omitted={"text/plain": 5000}), shown(FIGURE)) == 1


def test_what_a_display_says_of_figures_is_not_believed():
    assert primary(shown(FIGURE), shown(LINES, of_figure=True)) == 1


def test_dialects_that_ask_for_it_get_the_items_as_they_came():
    normalizer = Normalizer(LIMITS)
    for each in (value(LINES), shown(FIGURE)):
        normalizer.feed(each)
    assert [item.is_primary for item in normalizer.raw_items()] == [True, False]
