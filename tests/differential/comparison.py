"""Runs a group of cells on two kernels at the same time and compares what they show."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.differential.corpus import Cell, Group
from tests.differential.differences import difference
from tests.differential.recorder import Recorder
from tests.differential.transcript import Masks, transcript


@dataclass
class Compared:
    """A cell with its transcripts on both kernels."""

    cell: Cell
    stock: list[str]
    lean: list[str]
    seconds: float
    diff: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.diff = difference(self.stock, self.lean)


class Pair:
    """Two kernels that get the same requests."""

    def __init__(self, stock: list[str], lean: list[str], directory: Path) -> None:
        self._recorders = [Recorder("stock", stock, directory)]
        self._recorders.append(Recorder("lean", lean, directory))

    def run(self, group: Group) -> list[Compared]:
        for recorder in self._recorders:
            recorder.reset(group.name)
        masks = [Masks(recorder.home) for recorder in self._recorders]
        return [self._compare(cell, masks) for cell in group.cells]

    def _compare(self, cell: Cell, masks: list[Masks]) -> Compared:
        began = time.monotonic()
        requests = [recorder.begin(cell) for recorder in self._recorders]
        records = [recorder.finish(request, cell) for recorder, request in zip(self._recorders, requests, strict=True)]
        stock, lean = (transcript(record, cell, mask) for record, mask in zip(records, masks, strict=True))
        return Compared(cell, stock, lean, time.monotonic() - began)

    def close(self) -> None:
        for recorder in self._recorders:
            recorder.close()


@contextmanager
def pair(stock: list[str], lean: list[str], directory: Path) -> Iterator[Pair]:
    kernels = Pair(stock, lean, directory)
    try:
        yield kernels
    finally:
        kernels.close()
