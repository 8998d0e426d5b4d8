"""MIME bundles as items: every MIME type has its field or is in `extra`, in the form that an item promises."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from engine.jupyter.mime import FIELDS, to_item, utf8_size
from engine.models import Item

# The fields of an item, and what they are made of (README.md, "A result")
CONTRACT = {
    "text/plain": "text",
    "text/html": "html",
    "text/markdown": "markdown",
    "image/svg+xml": "svg",
    "image/png": "png",
    "image/jpeg": "jpeg",
    "application/pdf": "pdf",
    "text/latex": "latex",
    "application/json": "json",
    "application/javascript": "javascript",
}


def item_of(data: dict[str, Any], **options: Any) -> Item:
    return to_item(data, is_primary=False, **options)[0]


OBJECTS = {"e2b/data": "data", "e2b/chart": "chart"}


def test_the_fields_are_those_of_the_contract():
    assert FIELDS == CONTRACT | OBJECTS


@pytest.mark.parametrize(("mime_type", "field"), OBJECTS.items())
def test_values_of_tables_and_plots_are_objects_and_anything_else_is_extra(mime_type: str, field: str):
    value = {"a": [1, None]}
    assert msgspec.to_builtins(item_of({mime_type: value})) == {"is_primary": False, field: value}
    assert msgspec.to_builtins(item_of({mime_type: "text"})) == {"is_primary": False, "extra": {mime_type: "text"}}


@pytest.mark.parametrize(("mime_type", "field"), CONTRACT.items())
def test_a_mime_type_of_the_contract_fills_its_field_and_no_other(mime_type: str, field: str):
    encoded = msgspec.to_builtins(item_of({mime_type: "value"}))
    assert encoded == {"is_primary": False, field: "value"}


def test_every_other_mime_type_is_kept_in_extra():
    data = {"application/vnd.plotly.v1+json": {"data": [1]}, "text/x-custom": "x", "audio/wav": b"\x00"}
    extra = item_of(data).extra
    assert extra == {"application/vnd.plotly.v1+json": {"data": [1]}, "text/x-custom": "x", "audio/wav": "AA=="}


def test_absent_fields_are_omitted_from_the_json():
    assert msgspec.json.encode(item_of({})) == b'{"is_primary":false}'


def test_bytes_become_base64():
    for value in (b"\x89PNG", bytearray(b"\x89PNG"), memoryview(b"\x89PNG")):
        assert item_of({"image/png": value}).png == base64.b64encode(b"\x89PNG").decode()


def test_base64_in_lines_becomes_one_string():
    assert item_of({"image/png": "AAAA\nBBBB\n"}).png == "AAAABBBB"
    assert item_of({"image/jpeg": ["AAAA\n", "BBBB\n"]}).jpeg == "AAAABBBB"


def test_text_keeps_its_line_breaks():
    assert item_of({"text/plain": "a\nb\n"}).text == "a\nb\n"


def test_a_multi_line_string_list_is_joined():
    item = item_of({"text/plain": ["a\n", "b"], "image/svg+xml": ["<svg>", "</svg>"]})
    assert (item.text, item.svg) == ("a\nb", "<svg></svg>")


@pytest.mark.parametrize("value", [{"a": [1, None]}, [1, 2], ["a", "b"], "text", 3, 1.5, True, 10**30])
def test_json_stays_json(value: Any):
    assert item_of({"application/json": value}).json == value


def test_json_text_in_a_field_that_is_no_json_becomes_text():
    assert item_of({"text/plain": {"a": 1}}).text == '{"a":1}'
    assert item_of({"text/html": [1, 2]}).html == "[1,2]"


def test_metadata_of_the_bundle_is_kept_where_there_is_any():
    assert item_of({}, metadata={}).metadata is UNSET
    assert item_of({}, metadata={"image/png": {"width": 3}}).metadata == {"image/png": {"width": 3}}


def test_a_value_above_the_limit_is_left_out_and_listed_with_its_size():
    item, size = to_item({"text/plain": "12345", "text/html": "é" * 3}, is_primary=True, max_value_bytes=5)
    assert item.text == "12345"
    assert item.html is UNSET
    assert item.omitted == {"text/html": 6}
    assert size == 5


def test_the_largest_values_are_left_out_until_the_rest_fits():
    data = {"text/plain": "12345", "x/y": "1" * 30, "text/html": "2" * 20, "image/png": "3333"}
    item, size = to_item(data, is_primary=True, max_value_bytes=40, max_bytes=10)
    assert (item.text, item.html, item.png, item.extra) == ("12345", UNSET, "3333", UNSET)
    assert item.omitted == {"x/y": 30, "text/html": 20}
    assert size == 9


def test_a_bundle_of_very_many_values_is_cut_in_one_pass():
    data = {
        f"x/{number}": "y" * (number % 7) for number in range(200_000)
    }  # looked through again for each, it would take hours
    item, size = to_item(data, is_primary=True, max_bytes=100)
    kept = item.extra if item.extra is not UNSET else {}
    assert size == sum(map(len, kept.values())) <= 100
    assert item.omitted is not UNSET
    assert len(item.omitted) + len(kept) == len(data)


def test_metadata_gives_way_to_the_data():
    item, size = to_item({"text/plain": "12345"}, is_primary=True, metadata={"a": "b" * 10}, max_bytes=10)
    assert (item.text, item.metadata, size) == ("12345", UNSET, 5)
    assert item.omitted == {"metadata": 18}


def test_what_the_kernel_left_out_is_listed_and_is_no_metadata():
    item = item_of({}, metadata={"omitted": {"image/png": 7}, "other": 1})
    assert item.omitted == {"image/png": 7}
    assert item.metadata == {"other": 1}


@given(st.text())
def test_the_size_of_text_is_its_size_in_utf8(text: str):
    assert utf8_size(text) == len(text.encode())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)
bundles = st.dictionaries(st.sampled_from([*CONTRACT, "x/y", "x/y+json", "text/x"]), json_values | st.binary())


@given(bundles, st.integers(0, 200))
def test_any_bundle_fits_into_what_it_may_have(data: dict[str, Any], most: int):
    item, size = to_item(data, is_primary=True, metadata={"a": 1}, max_bytes=most)
    assert size <= most
    omitted = item.omitted if item.omitted is not UNSET else {}
    whole, all_of_it = to_item(data, is_primary=True, metadata={"a": 1})
    assert size + sum(omitted.values()) == all_of_it
    assert omitted or item == whole


@given(bundles, st.none() | st.integers(0, 50))
def test_any_bundle_is_an_item_of_valid_types_within_its_limit(data: dict[str, Any], limit: int | None):
    item, size = to_item(data, is_primary=True, max_value_bytes=limit)
    decoded = msgspec.json.decode(msgspec.json.encode(item), type=Item)
    assert decoded.is_primary
    omitted = item.omitted if item.omitted is not UNSET else {}
    values = [getattr(item, field) for field in CONTRACT.values()]
    extra = item.extra if item.extra is not UNSET else {}
    assert len(omitted) + sum(value is not UNSET for value in values) + len(extra) == len(data)
    if limit is None:
        assert not omitted
    else:
        assert all(left_out > limit for left_out in omitted.values())
        assert size <= limit * len(data)
