"""Runs a group of cells on two kernels at the same time and compares what they show."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
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
    diff: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.diff = difference(self.stock, self.lean)


class Pair:
    """Two kernels that get the same requests; neither waits for the other within a group."""

    def __init__(self, stock: Recorder, lean: Recorder) -> None:
        self._recorders = (stock, lean)
        self._threads = ThreadPoolExecutor(len(self._recorders))

    def run(self, group: Group) -> list[Compared]:
        """Compare the cells of a group, in a new namespace and directory."""
        stock, lean = self._threads.map(lambda recorder: _transcripts(recorder, group), self._recorders)
        return [Compared(*each) for each in zip(group.cells, stock, lean, strict=True)]

    def close(self) -> None:
        """End both kernels."""
        self._threads.shutdown()
        for recorder in self._recorders:
            recorder.close()


def _transcripts(recorder: Recorder, group: Group) -> list[list[str]]:
    records = recorder.run(group)
    masks = Masks(recorder.home)
    return [transcript(record, cell, masks) for record, cell in zip(records, group.cells, strict=True)]


@contextmanager
def pair(stock: list[str], lean: list[str], directory: Path) -> Iterator[Pair]:
    """Start two kernels by their commands; their files are in the directory."""
    first = Recorder("stock", stock, directory / "stock")
    try:
        second = Recorder("stock" if lean == stock else "lean", lean, directory / "lean")
    except BaseException:
        first.close()
        raise
    kernels = Pair(first, second)
    try:
        yield kernels
    finally:
        kernels.close()
