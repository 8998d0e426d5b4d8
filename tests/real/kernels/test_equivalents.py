"""What JSON gets for the values of Python's libraries, whichever of the two ways makes it."""

from __future__ import annotations

import array
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import itertools
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

_RUNTIME = Path(__file__).resolve().parents[3] / "runtimes/python"
LARGE = 2**70  # which only the slow way can write


@pytest.fixture(scope="module")
def protocol() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(_RUNTIME)
        from polyrepl_kernel import protocol

        yield protocol


@dataclasses.dataclass
class Point:
    x: int
    y: list[Any]


class Color(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 2


class Model:
    """As pydantic's are."""

    def model_dump(self) -> dict[str, Any]:
        return {"day": datetime.date(2024, 1, 2)}


Pair = collections.namedtuple("Pair", "a b")

CASES: list[tuple[Any, Any]] = [
    (np.array(1.7), 1.7),
    (np.array([1.5, 2.5]), [1.5, 2.5]),
    (np.arange(6).reshape(2, 3), [[0, 1, 2], [3, 4, 5]]),
    (np.float32(1.5), 1.5),
    (np.int64(3), 3),
    (np.bool_(True), True),
    (np.str_("s"), "s"),
    (np.longdouble(1.5), 1.5),
    (np.array([np.nan, np.inf, 1.0]), [None, None, 1.0]),
    (np.ma.masked_greater([1, 5], 3), [1, None]),
    (np.array([1, None, "x"], dtype=object), [1, None, "x"]),
    (np.array([(1, 2.5)], dtype=[("a", int), ("b", float)]), [[1, 2.5]]),
    (np.datetime64("2024-01-01"), "2024-01-01"),
    (np.datetime64("NaT"), None),
    (np.array(["2024-01-01T01", "NaT"], dtype="M8[h]"), ["2024-01-01T01", None]),
    (np.array("2024-01-01", dtype="M8[ns]"), "2024-01-01T00:00:00.000000000"),
    (pd.Series([1, 2]), [1, 2]),
    (pd.Series(pd.to_datetime(["2024-01-01", None])), ["2024-01-01T00:00:00", None]),
    (pd.Index(["a"]), ["a"]),
    (pd.Timestamp("2024-01-01", tz="UTC"), "2024-01-01T00:00:00+00:00"),
    (pd.NaT, None),
    (pd.NA, None),
    (array.array("d", [1.5]), [1.5]),
    (decimal.Decimal("1.5"), 1.5),
    (fractions.Fraction(1, 4), 0.25),
    (datetime.datetime(2024, 1, 1, 2), "2024-01-01T02:00:00"),
    (datetime.date(2024, 1, 1), "2024-01-01"),
    (datetime.time(1, 2), "01:02:00"),
    (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (Point(1, [np.int8(2)]), {"x": 1, "y": [2]}),
    (Color.RED, "red"),
    (Level.HIGH, 2),
    (Model(), {"day": "2024-01-02"}),
    (Pair(1, 2), [1, 2]),
    ({1}, [1]),
    ({"a": 1}.keys(), ["a"]),
    ({"a": 1}.items(), [["a", 1]]),
    (range(3), [0, 1, 2]),
    (collections.deque([1]), [1]),
    (collections.ChainMap({"a": 1}), {"a": 1}),
    (b"bytes", "Ynl0ZXM="),
    (memoryview(b"bytes"), "Ynl0ZXM="),
    (1 + 2j, "(1+2j)"),
    ({None: 1, True: 2, 1.5: 3, datetime.date(2024, 1, 1): 4}, {"null": 1, "true": 2, "1.5": 3, "2024-01-01": 4}),
]


@pytest.mark.parametrize(("value", "expected"), CASES, ids=[type(value).__name__ for value, _ in CASES])
def test_a_value_is_the_same_json_in_both_ways(protocol: ModuleType, value: Any, expected: Any) -> None:
    assert json.loads(protocol.encode({"v": value})) == {"v": expected}
    assert json.loads(protocol.encode({"v": value, "large": LARGE})) == {"v": expected, "large": LARGE}


@pytest.mark.parametrize("more", [{}, {"large": LARGE}])
def test_an_iterator_is_read_once(protocol: ModuleType, more: dict[str, int]) -> None:
    size, kept = protocol.measure({"v": (number for number in [1, np.int64(2)]), **more})
    encoded = protocol.encode(kept)
    assert json.loads(encoded) == {"v": [1, 2], **more}
    assert size == len(encoded)


def test_an_endless_iterator_is_refused(protocol: ModuleType) -> None:
    with pytest.raises(ValueError, match="more than 1000000 values"):
        protocol.encode({"v": itertools.count()})
