"""Charts of what is drawn in layers: box plots over each other, and seaborn's plots with points, groups and legends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.real.kernels.stream_kernel import StreamKernel
from tests.real.kernels.test_charts import chart


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StreamKernel]:
    kernel = StreamKernel(tmp_path_factory.mktemp("kernel"))
    kernel.run("import pandas as pd\nimport matplotlib.pyplot as plt\nimport seaborn as sns")
    kernel.run("frame = pd.DataFrame({'g': list('aabb'), 'x': [1, 2, 3, 4], 'y': [1, 3, 2, 4]})")
    yield kernel
    kernel.close()


@pytest.mark.parametrize("first", ["", "patch_artist=True"])
@pytest.mark.parametrize("second", ["", "patch_artist=True"])
@pytest.mark.parametrize("values", ["[[1, 2, 3, 4, 20]]", "[[30, 31, 32, 33]]"], ids=["same", "others"])
def test_of_boxes_over_each_other_the_chart_has_those_on_top(
    kernel: StreamKernel, first: str, second: str, values: str
):
    code = f"box = plt.boxplot([[1, 2, 3, 4, 20]], {first}); box = plt.boxplot({values}, {second})"
    over = chart(kernel, code)
    assert over["type"] == "box_and_whisker"
    assert over["elements"] == chart(kernel, f"box = plt.boxplot({values})")["elements"]


def test_boxes_beside_points_and_boxes_in_groups_are_boxes(kernel: StreamKernel):
    code = "sns.boxplot(frame, x='g', y='y'); sns.stripplot(frame, x='g', y='y');"
    found = chart(kernel, code)["elements"]
    assert [(each["label"], each["median"]) for each in found] == [("a", 2.0), ("b", 3.0)]
    assert len(chart(kernel, "sns.boxplot(frame, x='g', y='y', hue='x');")["elements"]) == 4


@pytest.mark.parametrize("options", ["hue='g'", "hue='y'", "hue='g', style='g', size='y'"])
def test_the_legend_of_seaborns_points_is_no_data(kernel: StreamKernel, options: str):
    found = chart(kernel, f"sns.scatterplot(frame, x='x', y='y', {options});")
    assert found["type"] == "scatter"
    assert [each["points"] for each in found["elements"]] == [[[1.0, 1.0], [2.0, 3.0], [3.0, 2.0], [4.0, 4.0]]]


def test_the_legend_of_seaborns_lines_is_no_line(kernel: StreamKernel):
    found = chart(kernel, "sns.lineplot(frame, x='x', y='y', hue='g');")["elements"]
    assert [each["points"] for each in found] == [[[1.0, 1.0], [2.0, 3.0]], [[3.0, 2.0], [4.0, 4.0]]]
