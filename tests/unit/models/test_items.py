"""Items as programs see them: plain values, whatever form the engine keeps them in."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import msgspec
import pytest

import engine
from engine.kernels.provisioners.fake import Say
from engine.models import Item, ItemAdded

VALUES: dict[str, Any] = {"a": [1, 2.5, "é", None, True], "b": {"c": 10**15}}
BUNDLE = {"text/plain": "x", "application/json": VALUES, "application/x+json": [VALUES], "e2b/chart": VALUES}


def sent(**fields: Any) -> Item:
    """An item with JSON as it came, each with spaces that ours has not."""
    raw = {name: msgspec.Raw(json.dumps(value, indent=1).encode()) for name, value in fields.items()}
    return Item(is_primary=True, text="x", **raw)


@pytest.mark.anyio
async def test_items_of_an_execution_are_plain_values(fake_engine) -> None:
    content = {"data": BUNDLE, "metadata": {"image/png": {"width": 3}}}
    fake = await fake_engine({"show": [Say("display_data", content)]})
    execution = await fake.engine.execute("show", language="python", context_id="c")
    await execution.wait()
    plain = {"text": "x", "json": VALUES, "chart": VALUES, "extra": {"application/x+json": [VALUES]}}
    plain["metadata"] = {"image/png": {"width": 3}}
    result = execution.result()
    assert result.items == [Item(is_primary=True, **plain)]
    assert engine.to_builtins(result)["items"] == [{"is_primary": True, **plain}]
    (added,) = [event async for _, event in execution.follow() if isinstance(event, ItemAdded)]
    assert engine.to_builtins(added)["item"] == {"is_primary": False, **plain}
    assert "Raw" not in repr(result) + repr(added)


def test_items_are_equal_by_what_they_show() -> None:
    item = sent(json=VALUES, chart=VALUES)
    plain = Item(is_primary=True, text="x", json=VALUES, chart=VALUES)
    assert item == plain
    assert {item == other for other in (copy.deepcopy(item), pickle.loads(pickle.dumps(item)))} == {True}
    assert item != Item(is_primary=True, text="x", json=VALUES)
    assert item != sent(json=VALUES, chart={**VALUES, "a": []})
    assert item != VALUES
    assert repr(item) == repr(plain) == f"Item(is_primary=True, text='x', json={VALUES}, chart={VALUES})"


@pytest.mark.parametrize("text", ["1e999", "1" * 5000, "[" * 100_000 + "]" * 100_000])
def test_json_that_python_cannot_have_is_text(text: str) -> None:
    item = Item(is_primary=True, json=msgspec.Raw(text.encode()))
    assert item.json == text
    assert engine.to_builtins(item)["json"] == text
    assert text in repr(item)


def test_what_is_no_value_of_the_engine_is_refused() -> None:
    with pytest.raises(TypeError, match="object is no value"):
        engine.to_builtins(object())
