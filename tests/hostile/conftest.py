"""The suite's assertions say what they compare."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.hostile.suite")
