"""A spawner for each kind of user that a server can be: root, and an ordinary one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.real.isolation import boxes
from tests.real.isolation.boxes import Box, Parent, User


@pytest.fixture(scope="module", params=["root", "ordinary"])
def user(request: pytest.FixtureRequest) -> User:
    found: User = getattr(boxes, request.param)()
    parent = Parent(found)
    try:
        _, box = parent.ask(parent.plan())
        assert box is not None
        said = box.said
        box.close()
    finally:
        parent.close()
    if "error" in said:
        pytest.skip(f"no boxes on this machine: {said['error']}")
    return found


@pytest.fixture(scope="module")
def spawner(user: User) -> Iterator[Parent]:
    made = Parent(user)
    yield made
    made.close()


@pytest.fixture
def box(spawner: Parent) -> Iterator[Box]:
    made = spawner.box()
    yield made
    made.close()
