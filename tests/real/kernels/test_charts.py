"""What the Python kernel tells of tables, plots, lists and images as values, to cells that ask for it and to no others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.real.kernels.stream_kernel import StreamKernel, reply

ASKED = {"data": True}
DATA, CHART, JSON = "e2b/data", "e2b/chart", "application/json"
LABELS = {"x_label": None, "y_label": None, "x_unit": None, "y_unit": None}


class Shown:
    """What a cell displayed: bundles and their metadata."""

    def __init__(self, kernel: StreamKernel, code: str, metadata: dict[str, Any] | None) -> None:
        messages = kernel.run(code, metadata=metadata)
        assert reply(messages)["status"] == "ok", reply(messages)
        shown = [each["content"] for each in messages if each["msg_type"] in ("display_data", "execute_result")]
        self.bundles: list[dict[str, Any]] = [content["data"] for content in shown]
        self.metadata: list[dict[str, Any]] = [content["metadata"] for content in shown]


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StreamKernel]:
    kernel = StreamKernel(tmp_path_factory.mktemp("kernel"))
    kernel.run("import datetime\nimport numpy as np\nimport pandas as pd\nimport matplotlib.pyplot as plt")
    yield kernel
    kernel.close()


def ask(kernel: StreamKernel, code: str) -> Shown:
    return Shown(kernel, code, ASKED)


def chart(kernel: StreamKernel, code: str) -> dict[str, Any]:
    """The chart of the figure that a cell draws, which is shown as an image as well."""
    (bundle,) = ask(kernel, f"{code}\nplt.show()").bundles
    assert "image/png" in bundle
    found: dict[str, Any] = bundle[CHART]
    return found


def points(found: dict[str, Any]) -> dict[str, Any]:
    return {element["label"]: element["points"] for element in found["elements"]}


class TestCharts:
    def test_a_line_plot_has_its_points_labels_units_and_ticks(self, kernel: StreamKernel):
        code = "plt.plot([1, 2, 3], [3, 4, 5], label='s'); plt.plot([1, 2], [5, np.nan]); plt.axhline(4)\n"
        found = chart(kernel, code + "plt.title('T'); plt.xlabel('Time (s)'); plt.ylabel('Speed [km/h]')")
        assert points(found) == {"s": [[1.0, 3.0], [2.0, 4.0], [3.0, 5.0]], "Line 1": [[1.0, 5.0], [2.0, None]]}
        assert (found["type"], found["title"]) == ("line", "T")
        assert (found["x_label"], found["x_unit"], found["y_label"], found["y_unit"]) == (
            "Time (s)",
            "s",
            "Speed [km/h]",
            "km/h",
        )
        for axis in "xy":
            assert found[f"{axis}_scale"] == "linear"
            ticks, labels = found[f"{axis}_ticks"], found[f"{axis}_tick_labels"]
            assert len(ticks) == len(labels) > 2
            assert [float(text) for text in labels] == pytest.approx(ticks)

    @pytest.mark.parametrize(
        ("xs", "first", "scale"),
        [
            ("[datetime.date(2024, 1, 1), datetime.date(2024, 1, 3)]", "2024-01-01", "datetime"),
            ("[datetime.datetime(2024, 1, 1, 12), datetime.datetime(2024, 1, 3)]", "2024-01-01T12:00:00", "datetime"),
            ("pd.date_range('2024-01-01', periods=2)", "2024-01-01T00:00:00", "datetime"),
            ("np.array(['2024-01-01', '2024-01-03'], 'M8[D]')", "2024-01-01T00:00:00", "datetime"),
            ("['a', 'b']", "a", "categorical"),
            ("np.array([1, 2], 'uint8')", 1.0, "linear"),
            ("pd.Series([1.5, 2])", 1.5, "linear"),
        ],
    )
    def test_values_are_told_as_they_were_given(self, kernel: StreamKernel, xs: str, first: Any, scale: str):
        found = chart(kernel, f"plt.plot({xs}, [1, 2])")
        assert points(found)["Line 0"][0] == [first, 1.0]
        assert (found["x_scale"], found["y_scale"]) == (scale, "linear")

    @pytest.mark.parametrize("scale", ["log", "symlog", "logit", "asinh"])
    def test_a_scale_is_named(self, kernel: StreamKernel, scale: str):
        assert chart(kernel, f"plt.plot([0.1, 0.5], [1, 2]); plt.xscale({scale!r})")["x_scale"] == scale

    def test_the_dates_of_a_series_that_pandas_draws_are_dates(self, kernel: StreamKernel):
        found = chart(
            kernel, "pd.Series([1, 2], index=pd.date_range('2024-01-01', periods=2), name='s').plot(legend=True)"
        )
        assert points(found) == {"s": [["2024-01-01T00:00:00", 1.0], ["2024-01-02T00:00:00", 2.0]]}
        assert found["x_scale"] == "datetime"

    def test_points_that_are_masked_or_missing_are_null(self, kernel: StreamKernel):
        code = "plt.plot(np.ma.masked_greater([1, 5, 2], 3)); plt.plot(pd.array([1, None, 3], 'Int64'))"
        assert points(chart(kernel, code)) == {
            "Line 0": [[0.0, 1.0], [1.0, None], [2.0, 2.0]],
            "Line 1": [[0.0, 1.0], [1.0, None], [2.0, 3.0]],
        }
        dates = points(chart(kernel, "plt.plot(pd.to_datetime(['2024-01-01', None]), [1, 2])"))
        assert dates == {"Line 0": [["2024-01-01T00:00:00", 1.0], [None, 2.0]]}

    def test_a_scatter_plot_has_its_points_by_group(self, kernel: StreamKernel):
        found = chart(
            kernel, "plt.scatter([1, 2], [3, 4], label='a'); plt.scatter([5], [6], c=[1], label='b'); plt.colorbar()"
        )
        assert found["type"] == "scatter"
        assert points(found) == {"a": [[1.0, 3.0], [2.0, 4.0]], "b": [[5.0, 6.0]]}

    def test_a_scatter_plot_over_dates_has_dates(self, kernel: StreamKernel):
        found = chart(kernel, "plt.scatter([datetime.date(2024, 1, 1)], [1])")
        assert points(found)["_child0"] == [["2024-01-01T00:00:00+00:00", 1.0]]

    @pytest.mark.parametrize("call", ["bar", "barh"])
    def test_bars_have_labels_whichever_way_they_point(self, kernel: StreamKernel, call: str):
        names = "xlabel" if call == "bar" else "ylabel"
        found = chart(kernel, f"plt.{call}(['a', 'b'], [1, -2]); plt.{names}('name (n)')")
        elements = [("a", "Group 0", 1.0), ("b", "Group 0", -2.0)]
        assert [(each["label"], each["group"], each["value"]) for each in found["elements"]] == elements
        assert (found["type"], found["x_label"], found["x_unit"]) == ("bar", "name (n)", "n")
        assert set(found) == {"type", "title", "elements", *LABELS}

    def test_bars_of_equal_height_are_no_horizontal_bars(self, kernel: StreamKernel):
        found = chart(kernel, "plt.bar(['a', 'b'], [2, 2])")
        assert [each["value"] for each in found["elements"]] == [2.0, 2.0]

    def test_bars_stand_in_groups_and_may_have_error_bars(self, kernel: StreamKernel):
        code = "x = np.arange(2)\nplt.bar(x - .2, [1, 2], .4, label='A', yerr=.1, capsize=2); plt.bar(x + .2, [3, 4], .4, label='B')"
        found = chart(kernel, code + "\nplt.xticks(x, ['p', 'q'])")
        assert [(each["label"], each["group"]) for each in found["elements"]] == [
            ("p", "A"),
            ("q", "A"),
            ("p", "B"),
            ("q", "B"),
        ]

    def test_the_bars_of_a_histogram_are_labelled_by_their_middle(self, kernel: StreamKernel):
        found = chart(kernel, "plt.hist([0, 1, 1, 4], bins=2)")
        assert [(each["label"], each["value"]) for each in found["elements"]] == [("1", 3.0), ("3", 1.0)]

    def test_a_pie_has_angles(self, kernel: StreamKernel):
        found = chart(kernel, "plt.pie([1, 1, 2], labels=['a', 'b', 'c'], shadow=True)")
        elements = [
            {"label": label, "angle": angle, "radius": 1.0} for label, angle in (("a", 90), ("b", 90), ("c", 180))
        ]
        assert found == {"type": "pie", "title": None, "elements": elements}

    @pytest.mark.parametrize(
        "options",
        ["", "patch_artist=True", "notch=True", "showmeans=True", "showcaps=False", "orientation='horizontal'"],
    )
    def test_a_box_plot_has_its_quartiles_in_every_form(self, kernel: StreamKernel, options: str):
        code = f"box = plt.boxplot([[1, 2, 3, 4, 20], [2, 3, 4, 5, 6]], {options})\nplt.show()"
        shown = ask(kernel, code.replace("orientation='horizontal'", horizontal(kernel) if options else ""))
        found = shown.bundles[0][CHART]
        names = ("label", "min", "first_quartile", "median", "third_quartile", "max", "outliers")
        assert found["type"] == "box_and_whisker"
        assert [tuple(each[name] for name in names) for each in found["elements"]] == [
            ("1", 1.0, 2.0, 3.0, 4.0, 4.0, [20.0]),
            ("2", 2.0, 3.0, 4.0, 5.0, 6.0, []),
        ]

    def test_a_closed_line_is_no_box(self, kernel: StreamKernel):
        assert chart(kernel, "plt.plot([0, 1, 1, 0, 0], [0, 0, 1, 1, 0])")["type"] == "line"

    @pytest.mark.parametrize(
        ("code", "label"),
        [
            ("plt.errorbar([1, 2], [3, 4], yerr=.1, capsize=3, label='e')", "e"),
            ("plt.stem([1, 2], [3, 4], label='e')", "e"),
            ("plt.plot([1, 2], [3, 4]); plt.fill_between([1, 2], [2, 3], [4, 5])", "Line 0"),
        ],
    )
    def test_a_line_with_what_accompanies_it_is_a_line(self, kernel: StreamKernel, code: str, label: str):
        found = chart(kernel, code)
        assert (found["type"], points(found)) == ("line", {label: [[1.0, 3.0], [2.0, 4.0]]})

    def test_several_axes_are_one_chart_of_charts(self, kernel: StreamKernel):
        found = chart(
            kernel, "f, axes = plt.subplots(1, 3); axes[0].plot([1]); axes[1].bar(['a'], [1]); f.suptitle('S')"
        )
        assert (found["type"], found["title"]) == ("superchart", "S")
        assert [each["type"] for each in found["elements"]] == ["line", "bar"]

    @pytest.mark.parametrize(
        "code",
        [
            "plt.imshow(np.eye(3)); plt.colorbar()",
            "plt.scatter([1, 2], [1, 2]); plt.plot([1, 2], [1, 2])",
            "plt.bar([1, 2], [1, 2]); plt.plot([1, 2, 3], [1, 2, 3])",
            "plt.contourf(np.eye(3))",
            "plt.figure().add_subplot(projection='3d').plot([1, 2], [1, 2], [1, 2])",
            "plt.violinplot([1, 2, 3])",
            "plt.hist([1, 2], histtype='step')",
        ],
    )
    def test_what_is_none_of_these_is_unknown(self, kernel: StreamKernel, code: str):
        assert chart(kernel, code) == {"type": "unknown", "title": None, "elements": []}

    def test_no_ticks_and_no_data_break_nothing(self, kernel: StreamKernel):
        found = chart(kernel, "plt.plot([1, 2]); plt.xticks([]); plt.yticks([])")
        assert (found["x_ticks"], found["x_scale"], found["type"]) == ([], "linear", "line")
        for code in ("plt.subplots()", "plt.figure()", "plt.text(.5, .5, 'x')"):
            for bundle in ask(kernel, f"{code}\nplt.show()").bundles:
                assert CHART not in bundle

    def test_a_figure_with_too_many_points_says_so_and_is_shown(self, kernel: StreamKernel):
        shown = ask(kernel, "plt.plot(np.arange(50_001)); plt.show()")
        assert "image/png" in shown.bundles[0]
        assert CHART not in shown.bundles[0]
        assert shown.metadata[0][CHART] == {"omitted": "more than 50000 points"}

    def test_what_fails_while_a_figure_is_read_costs_the_chart_alone(self, kernel: StreamKernel):
        code = "ax = plt.gca(); ax.plot([1, 2]); ax.get_title = lambda: 1 / 0\nplt.show()"
        (bundle,) = ask(kernel, code).bundles
        assert "image/png" in bundle
        assert CHART not in bundle

    def test_a_figure_is_the_same_image_whether_it_is_asked_about_or_not(self, kernel: StreamKernel):
        code = "plt.plot([1, 2], [3, 4]); plt.title('T'); plt.show()"
        assert ask(kernel, code).bundles[0]["image/png"] == Shown(kernel, code, None).bundles[0]["image/png"]


def horizontal(kernel: StreamKernel) -> str:
    """The option for boxes that lie, by the version of matplotlib."""
    (bundle,) = Shown(kernel, "'orientation' in __import__('inspect').signature(plt.boxplot).parameters", None).bundles
    return "orientation='horizontal'" if bundle["text/plain"] == "True" else "vert=False"


class TestTables:
    def test_a_table_has_its_values_by_column(self, kernel: StreamKernel):
        code = """\
pd.DataFrame({
    'i': [1, 2], 'f': [0.5, np.inf], 's': ['a', None], 'b': [True, False], 'n': pd.array([1, None], dtype='Int64'),
    't': pd.to_datetime(['2024-01-01', None]), 'd': [datetime.date(2024, 1, 2), np.nan], 'c': pd.Categorical(['x', 'y']),
    'o': [object, 2**70], 'l': [[1], {'k': 2}], 'td': pd.to_timedelta(['1 days', None]), 3: [1, 2]})"""
        (bundle,) = ask(kernel, code).bundles
        assert {"text/plain", "text/html", DATA} == set(bundle)
        assert bundle[DATA] == {
            "i": [1, 2],
            "f": [0.5, None],
            "s": ["a", None],
            "b": [True, False],
            "n": [1, None],
            "t": ["2024-01-01T00:00:00", None],
            "d": ["2024-01-02", None],
            "c": ["x", "y"],
            "o": ["<class 'object'>", str(2**70)],
            "l": [[1], {"k": 2}],
            "td": ["1 days 00:00:00", None],
            "3": [1, 2],
        }

    @pytest.mark.parametrize(
        ("column", "values"),
        [
            ("[[pd.Timestamp('2024'), pd.NaT], []]", [["2024-01-01T00:00:00", None], []]),
            (
                "[{'x': np.int64(1), 2: np.array([1.5])}, (1, {'y': object})]",
                [{"x": 1, "2": [1.5]}, [1, {"y": str(object)}]],
            ),
            ("pd.Series([np.float32(1.5), np.int8(2)], dtype=object)", [1.5, 2]),
            ("pd.Series([np.datetime64('2024-01-01'), pd.NA], dtype=object)", ["2024-01-01", None]),
            ("[{1}, b'x']", ["{1}", "b'x'"]),
            ("pd.arrays.SparseArray([0, 1])", [0, 1]),
            ("pd.period_range('2024-01', periods=2, freq='M')", ["2024-01", "2024-02"]),
            ("[1 + 2j, 2]", ["(1+2j)", "(2+0j)"]),
        ],
    )
    def test_every_value_of_a_cell_is_told(self, kernel: StreamKernel, column: str, values: list[Any]):
        assert ask(kernel, f"pd.DataFrame({{'a': {column}}})").bundles[0][DATA] == {"a": values}

    def test_a_table_of_pyarrow_has_its_values(self, kernel: StreamKernel):
        pytest.importorskip("pyarrow", reason="the extra `data` need not have it")
        code = "import pyarrow\npyarrow.table({'a': [1, None], 's': [{'x': 1}, None]})"
        assert ask(kernel, code).bundles[0][DATA] == {"a": [1, None], "s": [{"x": 1}, None]}

    def test_an_empty_table_has_its_columns(self, kernel: StreamKernel):
        assert ask(kernel, "pd.DataFrame({'a': []})").bundles[0][DATA] == {"a": []}

    @pytest.mark.parametrize(
        ("code", "reason"),
        [
            ("pd.DataFrame(np.zeros((50_001, 2)))", "more than 100000 cells"),
            ("pd.DataFrame([[1, 2]], columns=['a', 'a'])", "two columns have the same name"),
            ("pd.DataFrame([[1, 2]], columns=[1, '1'])", "two columns have the same name"),
            (
                "pd.DataFrame({'a': [list(range(100_001))]})",
                "more than 100000 values in cells, or 100 levels",
            ),
            (
                "class Day(datetime.date):\n    def isoformat(self): raise KeyError\n    __str__ = __repr__ = lambda self: 'day'\n"
                "pd.DataFrame({'a': [Day(2024, 1, 1)]})",
                "the values cannot be read: KeyError",
            ),
        ],
    )
    def test_a_table_that_cannot_be_told_is_left_out_and_says_so(self, kernel: StreamKernel, code: str, reason: str):
        shown = ask(kernel, code)
        assert (DATA in shown.bundles[0], "text/html" in shown.bundles[0]) == (False, True)
        assert shown.metadata[0][DATA] == {"omitted": reason}


class TestJson:
    @pytest.mark.parametrize(
        ("code", "value"),
        [
            ("{'a': [1, 2.5, None, True, 'x', (1,)], 2: {}}", {"a": [1, 2.5, None, True, "x", [1]], "2": {}}),
            ("[]", []),
            ("[float('nan')]", [None]),
            ("import collections; collections.OrderedDict(a=1)", {"a": 1}),
        ],
    )
    def test_a_list_or_dict_that_is_json_is_told(self, kernel: StreamKernel, code: str, value: Any):
        (bundle,) = ask(kernel, code).bundles
        assert bundle[JSON] == value
        assert "text/plain" in bundle

    @pytest.mark.parametrize(
        "code",
        [
            "[object()]",
            "{(1, 2): 3}",
            "[{1, 2}]",
            "a = []; a.append(a); a",
            "list(range(100_001))",
            "(1, 2)",
            "'text'",
            "7",
            "plt.plot([1]); plt.close(); [plt]",
        ],
    )
    def test_no_other_value_is(self, kernel: StreamKernel, code: str):
        assert set(ask(kernel, code).bundles[0]) == {"text/plain"}

    def test_a_display_is_told_too_unless_its_forms_are_chosen(self, kernel: StreamKernel):
        assert JSON in ask(kernel, "display([1])").bundles[0]
        assert set(ask(kernel, "display([1], include=['text/plain'])").bundles[0]) == {"text/plain"}


class TestImages:
    @pytest.fixture(autouse=True)
    def image(self, kernel: StreamKernel) -> None:
        messages = kernel.run("from PIL import Image\nimage = Image.new('RGB', (4, 4))")
        assert reply(messages)["status"] == "ok", reply(messages)

    def test_an_image_is_shown_when_it_is_saved_to_a_file(self, kernel: StreamKernel):
        code = "image.save('a.jpg')\nimport pathlib; image.save(pathlib.Path('b.png'))"
        assert ["image/png" in bundle for bundle in ask(kernel, code).bundles] == [True, True]

    def test_an_image_is_shown_when_it_is_asked_to_show_itself(self, kernel: StreamKernel):
        assert ["image/png" in bundle for bundle in ask(kernel, "image.show('title')").bundles] == [True]

    @pytest.mark.parametrize(
        "code",
        [
            "import io; image.save(io.BytesIO(), format='PNG')",
            "f = plt.figure(); f.savefig('f.png'); plt.close()",
            "try: image.save('c.nothing')\nexcept ValueError: pass",
        ],
    )
    def test_an_image_is_not_shown_when_no_file_of_the_user_was_made(self, kernel: StreamKernel, code: str):
        assert ask(kernel, code).bundles == []

    def test_saving_still_does_what_it_does(self, kernel: StreamKernel):
        shown = ask(
            kernel, "image.save('d.png', optimize=True); print(Image.open('d.png').size, Image.Image.save.__name__)"
        )
        assert len(shown.bundles) == 1


def test_cells_that_do_not_ask_get_none_of_it(kernel: StreamKernel):
    ask(kernel, "1")  # another cell of the same kernel did
    code = "plt.plot([1, 2]); plt.show(); display(pd.DataFrame({'a': [1]})); Image.new('L', (2, 2)).save('e.png'); [1]"
    found = [set(bundle) for bundle in Shown(kernel, "from PIL import Image\n" + code, None).bundles]
    assert found == [{"text/plain", "image/png"}, {"text/plain", "text/html"}, {"text/plain"}]
