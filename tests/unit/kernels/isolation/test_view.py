"""What code sees of the machine, at each tier."""

from __future__ import annotations

from engine.kernels.isolation import view
from tests.unit.runtimes.confine import root

OF_A_BOX = {"passwd", "group", "hostname", "hosts", "resolv.conf"}  # it has files of its own in their places
OF_INTERPRETERS = {"java"}  # a box shows all directories of this name; for Landlock those are in `readable`


def test_landlock_and_boxes_show_the_same_of_etc() -> None:
    assert {*view._ETC} - OF_A_BOX - OF_INTERPRETERS == {*root._ETC.split()}
    assert {*view._ETC} >= OF_A_BOX
