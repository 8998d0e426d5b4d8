"""Whether pip may run code of packages."""

from __future__ import annotations

import pytest

from engine.packages.configuration import Configuration
from engine.packages.installers import installer_of
from engine.packages.pip import PipInstaller
from engine.packages.variables import Variables
from engine.settings import Settings

NONE = Variables({}, {})
SECRET = Variables({}, {"PIP_INDEX_URL": "https://user:password@host/"})


@pytest.mark.parametrize(
    ("settings", "variables", "configuration", "builds"),
    [
        ({}, NONE, None, True),
        ({}, SECRET, None, False),
        ({"package_scripts": True}, SECRET, None, True),
        ({}, NONE, Configuration(), False),  # it could use the server, which has no token
        ({"token": "t"}, NONE, Configuration(), True),
        ({"token": "t"}, SECRET, Configuration(), False),
        ({"package_scripts": True}, NONE, Configuration(), True),
    ],
)
def test_code_of_packages_runs_if_it_can_use_nothing_that_it_has_not_anyway(
    settings: dict[str, object], variables: Variables, configuration: Configuration | None, builds: bool
) -> None:
    installer = installer_of("pip", Settings(**settings), variables, configuration)
    assert isinstance(installer, PipInstaller)
    assert installer._builds is builds
