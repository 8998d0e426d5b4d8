"""`python -m tests.differential [--stock-twice] [--update] [--show] [GROUP ...]`: run the comparison by hand.

Prints what differs and is not listed; `--stock-twice` compares stock ipykernel with itself, which shows what cannot be compared."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from tests.differential import differences
from tests.differential.comparison import Compared, Pair, pair
from tests.differential.corpus import Group, load_all
from tests.differential.recorder import LEAN, STOCK


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.differential", description=__doc__)
    parser.add_argument("groups", nargs="*", help="only these groups")
    parser.add_argument("--stock-twice", action="store_true", help="compare stock ipykernel with itself")
    parser.add_argument(
        "--update", action="store_true", help="write what is found into the blocks of docs/differences.md"
    )
    parser.add_argument("--show", action="store_true", help="print the transcript of every cell")
    options = parser.parse_args()
    groups = [group for group in load_all() if not options.groups or group.name in options.groups]
    lean = STOCK if options.stock_twice else LEAN
    found: dict[differences.Key, list[str]] = {}
    with tempfile.TemporaryDirectory() as directory, pair(STOCK, lean, Path(directory)) as shared:
        for group in groups:
            began = time.monotonic()
            for each in _run(group, shared, lean):
                found[group.name, each.cell.title] = each.diff
                if options.show:
                    print("\n".join([f"--- {group.name} / {each.cell.title}", *each.lean]))
            print(f"# {group.name}: {len(group.cells)} cells, {time.monotonic() - began:.1f} s")
    listed = {} if options.stock_twice else differences.accepted()
    new = {key: diff for key, diff in found.items() if diff and listed.get(key) != diff}
    print(*(differences.block(key, diff) for key, diff in new.items()), sep="\n\n")
    gone = [key for key in listed if key in found and not found[key]]
    print(f"# {len(found)} cells, {len(new)} differ and are not listed so; listed without a difference: {gone}")
    if options.update:
        document = differences.DOCUMENT
        document.write_text(differences.updated(document.read_text(encoding="utf-8"), new), encoding="utf-8")


def _run(group: Group, shared: Pair, lean: list[str]) -> list[Compared]:
    if not group.fresh:
        return shared.run(group)
    with tempfile.TemporaryDirectory() as directory, pair(STOCK, lean, Path(directory)) as kernels:
        return kernels.run(group)


if __name__ == "__main__":
    main()
