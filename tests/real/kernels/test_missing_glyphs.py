"""Figures with glyphs that their font lacks: one line says so, and what to do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.real.kernels.kernel_under_test import KernelUnderTest

BOXES = "import matplotlib.pyplot as plt\nplt.plot([1]); plt.title('\U0010fffd\U0010fffc'); plt.show()"


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KernelUnderTest]:
    kernel = KernelUnderTest(tmp_path_factory.mktemp("kernel"))
    yield kernel
    kernel.close()


def test_each_cell_says_it_in_one_line_without_a_path(kernel: KernelUnderTest) -> None:
    for _ in range(2):
        (line,) = kernel.run(BOXES).text("stderr").splitlines()
        assert "No glyph for '\\U0010fffd' in the font DejaVu Sans" in line
        assert "font.family" in line
        assert "/" not in line


def test_filters_of_the_user_count(kernel: KernelUnderTest) -> None:
    ignored = "import warnings\nwith warnings.catch_warnings():\n    warnings.simplefilter('ignore')\n    plt.gcf().canvas.draw()\nplt.close()"
    assert kernel.run(f"plt.title('\U0010fffd')\n{ignored}").text("stderr") == ""


def test_other_warnings_are_shown_as_before(kernel: KernelUnderTest) -> None:
    assert "my own" in kernel.run("import warnings\nwarnings.warn('my own')").text("stderr")
    assert kernel.run("plt.title('plain'); plt.show()").text("stderr") == ""
