"""What cells show to a client that reads items: a figure and an image once, words and specifications, and no widgets."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.real.kernels.stream_kernel import DEADLINE, StreamKernel, reply

READS_ITEMS: dict[str, Any] = {"items": True, "output_limits": {"stream_bytes": 100_000, "item_bytes": 100_000}}
PNG, JPEG, TEXT = "image/png", "image/jpeg", "text/plain"
PLOT = "fig, ax = plt.subplots(); ax.plot([1, 3, 2])\n"


class Shown:
    """What a cell displayed and printed."""

    def __init__(self, kernel: StreamKernel, code: str, metadata: dict[str, Any] | None = READS_ITEMS) -> None:
        messages = kernel.run(code, metadata=metadata)
        assert reply(messages)["status"] == "ok", reply(messages)
        found = [each for each in messages if each["msg_type"] in ("display_data", "execute_result")]
        self.bundles: list[dict[str, Any]] = [each["content"]["data"] for each in found]
        self.metadata: list[dict[str, Any]] = [each["content"]["metadata"] for each in found]
        self.marks = [each["metadata"].get("of_figure", False) for each in found]
        self.printed = "".join(each["content"]["text"] for each in messages if each["msg_type"] == "stream")

    @property
    def pictures(self) -> int:
        return sum(PNG in bundle or JPEG in bundle for bundle in self.bundles)

    @property
    def only(self) -> dict[str, Any]:
        (bundle,) = self.bundles
        return bundle


def new_kernel(tmp_path_factory: pytest.TempPathFactory) -> StreamKernel:
    return StreamKernel(tmp_path_factory.mktemp("kernel"))


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StreamKernel]:
    kernel = new_kernel(tmp_path_factory)
    kernel.run("import numpy as np\nimport pandas as pd\nimport matplotlib.pyplot as plt\nfrom PIL import Image")
    kernel.run("frame = pd.DataFrame({'a': [1, 2, 3], 'b': [3, 1, 2], 'c': list('xyx')})")
    yield kernel
    kernel.close()


class TestFigures:
    @pytest.mark.parametrize(
        "code",
        [
            PLOT + "fig",
            PLOT + "display(fig)",
            PLOT + "plt.gcf()",
            PLOT + "fig.show()",
            "frame.plot().get_figure()",
            "plt.ioff()\n" + PLOT + "display(fig); plt.close(fig); plt.ion();",
            PLOT + "for n in range(3):\n    ax.plot([n]); display(fig, display_id=True) if n == 2 else None",
        ],
    )
    def test_a_figure_is_shown_once(self, kernel: StreamKernel, code: str):
        shown = Shown(kernel, code)
        assert shown.pictures == 1
        assert Shown(kernel, "1").bundles == [{TEXT: "1"}]

    def test_a_figure_that_changed_after_it_was_shown_is_shown_again(self, kernel: StreamKernel):
        first, second = (bundle[PNG] for bundle in Shown(kernel, PLOT + "display(fig)\n_ = ax.set_title('x')").bundles)
        assert first != second

    def test_other_figures_of_the_cell_are_shown_besides(self, kernel: StreamKernel):
        assert Shown(kernel, "other = plt.figure(); plt.plot([1])\n" + PLOT + "fig").pictures == 2

    def test_figures_that_stay_open_are_shown_once_too(self, kernel: StreamKernel):
        kernel.run("from matplotlib_inline.config import InlineBackend\nInlineBackend.instance().close_figures = False")
        assert Shown(kernel, PLOT + "fig").pictures == 1
        assert Shown(kernel, "len(plt.get_fignums())").bundles == [{TEXT: "1"}]
        kernel.run("InlineBackend.instance().close_figures = True\nplt.close('all')")

    def test_a_notebook_gets_them_as_ever(self, kernel: StreamKernel):
        assert Shown(kernel, PLOT + "fig", {}).pictures == 2
        assert Shown(kernel, "plt.plot([1])", {}).marks == [False, False]

    @pytest.mark.parametrize(
        "code",
        [
            "plt.plot([1])",
            "plt.hist([1, 2])",
            "plt.pie([1, 2])",
            "plt.subplots(2, 2)",
            "plt.imshow(np.eye(3))",
            "plt.title('x')",
            "plt.xticks(rotation=45)",
            "plt.bar([1], [2])",
            "plt.errorbar([1], [2], [3])",
            "fig, axs = plt.subplots(1, 2)\n[ax.imshow(np.eye(2)) for ax in axs]",
            "ax = plt.gca(); ax.plot([1]); ax.twinx().plot([2])",
            "plt.polar([0, 1], [1, 2])",
            "pd.plotting.scatter_matrix(frame[['a', 'b']])",
            "frame.boxplot(column='a', by='c')",
            "frame['c'].value_counts().plot.bar()",
            "frame.hist()",
            "frame.plot(subplots=True)",
            "frame.groupby('c')['a'].plot()",
            "frame.boxplot(return_type='dict')",
            "from matplotlib.animation import FuncAnimation\nFuncAnimation(plt.figure(), lambda n: (), frames=2)",
        ],
    )
    def test_a_value_that_stands_for_what_was_drawn_is_marked(self, kernel: StreamKernel, code: str):
        assert Shown(kernel, code).marks == [True, False]

    @pytest.mark.parametrize("code", ["sympy.plot(x ** 2)", "sympy.plot_parametric(x, x ** 2)"])
    def test_a_plot_of_sympys_stands_for_what_it_has_shown(self, kernel: StreamKernel, code: str):
        shown = Shown(kernel, f"import sympy\nx = sympy.Symbol('x')\n{code}")
        assert (shown.pictures, shown.marks) == (1, [False, True])

    @pytest.mark.parametrize(
        ("code", "count"),
        [
            ("plt.plot([1]); plt.savefig('a.png'); plt.show()", 1),
            ("plt.plot([1]); plt.savefig('b.png'); plt.close()", 0),
            ("plt.plot([1]); plt.show(block=False)", 1),
            ("plt.figure(); plt.plot([1]); plt.figure(); plt.plot([2]);", 2),
            ("plt.plot([1]); plt.show(); plt.plot([2]); plt.show()", 2),
            ("def made():\n    fig, ax = plt.subplots(); ax.bar([1], [2]); plt.close(fig); return fig\nmade()", 1),
            ("from matplotlib.figure import Figure\nalone = Figure(); _ = alone.subplots().plot([1, 2]); alone", 1),
            ("for n in range(3):\n    plt.plot([n, 1]); plt.show()\nprint('after')", 3),
        ],
        ids=["saved", "closed", "not-blocking", "two", "two-shown", "returned", "without-pyplot", "loop"],
    )
    def test_each_figure_is_a_picture(self, kernel: StreamKernel, code: str, count: int):
        assert Shown(kernel, code).pictures == count

    @pytest.mark.parametrize(
        "code", ["42", "'text'", "[1, 2]", "(0.0, 1.0)", "frame", "frame['c']", "np.eye(3)", "np.array(['a', None])"]
    )
    def test_other_values_are_not(self, kernel: StreamKernel, code: str):
        assert Shown(kernel, code).marks == [False]

    def test_a_class_of_the_users_is_not_asked(self, kernel: StreamKernel):
        code = "class Own(tuple):\n    __iter__ = lambda self: 1 / 0\n    def __repr__(self): return 'Own'\nOwn((1, 2))"
        shown = Shown(kernel, code)
        assert (shown.bundles, shown.marks) == ([{TEXT: "Own"}], [False])


@pytest.mark.parametrize(
    "code",
    [
        "import matplotlib\nmatplotlib.use('Agg')\nimport matplotlib.pyplot as plt\n",
        "import matplotlib.pyplot as plt\nimport matplotlib\nmatplotlib.use('agg')\n",
        "import os\nos.environ['MPLBACKEND'] = 'Agg'\nimport matplotlib.pyplot as plt\n",
        "%matplotlib agg\nimport matplotlib.pyplot as plt\n",
        "%matplotlib notebook\nimport matplotlib.pyplot as plt\n",
        "%matplotlib widget\nimport matplotlib.pyplot as plt\n",
        "import matplotlib\nmatplotlib.use('nbagg')\nimport matplotlib.pyplot as plt\n",
        "import matplotlib\nmatplotlib.use('svg')\nimport matplotlib.pyplot as plt\nplt.switch_backend('pdf')\n",
    ],
    ids=["before", "after", "environment", "magic", "notebook", "widget", "nbagg", "files"],
)
def test_a_backend_that_shows_nothing_silences_no_figure(tmp_path_factory: pytest.TempPathFactory, code: str):
    kernel = new_kernel(tmp_path_factory)
    try:
        assert Shown(kernel, f"{code}plt.plot([1]); plt.savefig('a.svg'); plt.show(); plt.plot([2]);").pictures == 2
        assert Shown(kernel, PLOT + "fig").pictures == 1
        assert Shown(kernel, "plt.get_fignums()").bundles[0][TEXT] == "[]"
    finally:
        kernel.close()


def opened(bundle: dict[str, Any]) -> Any:
    from PIL import Image

    return Image.open(io.BytesIO(base64.b64decode(bundle.get(PNG) or bundle[JPEG])))


class TestImages:
    @pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "1", "P", "I;16"])
    def test_an_image_is_one_png(self, kernel: StreamKernel, mode: str):
        bundle = Shown(kernel, f"Image.new({mode!r}, (4, 3))").only
        assert bundle.keys() == {TEXT, PNG}
        assert opened(bundle).size == (4, 3)

    @pytest.mark.parametrize("mode", ["CMYK", "YCbCr"])
    def test_an_image_that_png_has_not_is_one_jpeg(self, kernel: StreamKernel, mode: str):
        assert Shown(kernel, f"Image.new({mode!r}, (4, 3))").only.keys() == {TEXT, JPEG}

    def test_who_asks_for_both_forms_gets_them(self, kernel: StreamKernel):
        both = "display(Image.new('L', (4, 3)), include=['image/png', 'image/jpeg'])"
        assert Shown(kernel, both).only.keys() == {PNG, JPEG}
        assert Shown(kernel, "Image.new('L', (4, 3))", {}).only.keys() == {TEXT, PNG, JPEG}

    def test_an_image_that_is_too_large_as_png_is_a_jpeg(self, kernel: StreamKernel):
        bundle = Shown(kernel, "Image.effect_noise((320, 320), 60)").only
        assert bundle.keys() == {TEXT, JPEG}
        assert opened(bundle).size == (320, 320)

    def test_an_image_that_is_too_large_as_jpeg_is_shown_smaller(self, kernel: StreamKernel):
        shown = Shown(kernel, "Image.effect_noise((900, 600), 60)")
        assert shown.only.keys() == {TEXT, JPEG}
        width, height = opened(shown.only).size
        assert 100 < width < 900
        assert abs(width / height - 1.5) < 0.02
        assert shown.metadata == [{JPEG: {"width": 900, "height": 600}}]

    @pytest.mark.parametrize("mode", ["RGB", "1", "F", "HSV", "CMYK"])
    def test_an_image_is_shown_and_no_program_started(self, kernel: StreamKernel, mode: str):
        assert opened(Shown(kernel, f"Image.new({mode!r}, (4, 3)).show()").only).size == (4, 3)


class TestCharts:
    CHART = "alt.Chart(pd.DataFrame({'x': [1], 'y': [2]})).mark_line().encode(x='x', y='y')"

    @pytest.mark.parametrize(
        ("code", "member"),
        [
            (CHART, "mark"),
            (f"{CHART} + {CHART}", "layer"),
            (f"{CHART} | {CHART}", "hconcat"),
            (f"({CHART} & {CHART}).display()", "vconcat"),
            (f"{CHART}.facet('x:N').show()", "facet"),
        ],
    )
    def test_a_chart_of_altairs_carries_its_specification(self, kernel: StreamKernel, code: str, member: str):
        bundle = Shown(kernel, f"import altair as alt\n{code}").only
        (name,) = [each for each in bundle if each.startswith("application/vnd.vegalite.v")]
        assert name.endswith("+json")
        assert bundle[name]["$schema"].startswith("https://vega.github.io/schema/vega-lite/v")
        assert member in bundle[name]
        assert {"text/html", TEXT} < bundle.keys()

    @pytest.mark.parametrize(
        ("code", "words"),
        [
            ("px.line(y=[1, 2])", "Plotly figure: scatter (2 points); x: x, y: y"),
            ("px.bar(x=['a'], y=[1], title='Sales').show()", 'Plotly figure "Sales": bar (1 point); x: x, y: y'),
            ("go.Figure()", "Plotly figure, empty"),
            ("go.Figure(go.Surface(z=np.eye(4)))", "Plotly figure: surface (16 points)"),
            ("go.Figure([go.Scatter(x=np.arange(9), y=np.arange(9), name='a')] * 7)", "and 2 more"),
        ],
    )
    def test_a_figure_of_plotlys_has_words(self, kernel: StreamKernel, code: str, words: str):
        bundle = Shown(kernel, f"import plotly.express as px, plotly.graph_objects as go\n{code}").only
        assert words in bundle[TEXT]
        assert "application/vnd.plotly.v1+json" in bundle

    def test_words_about_what_is_no_figure_cost_nothing(self, kernel: StreamKernel):
        code = "display({'application/vnd.plotly.v1+json': {'data': 5}}, raw=True)"
        assert Shown(kernel, code).only[TEXT] == "Plotly figure"


class TestProgress:
    @pytest.mark.parametrize(
        "code",
        [
            "from tqdm.auto import tqdm\nfor n in tqdm(range(20)): pass",
            "from tqdm.notebook import tqdm\nfor n in tqdm(range(20), display=True): pass",
            "from tqdm.autonotebook import trange\nfor n in trange(20): pass",
            "from tqdm import tqdm_notebook\nimport warnings; warnings.simplefilter('ignore')\nfor n in tqdm_notebook(range(20)): pass",
            "from tqdm.auto import tqdm\nbar = tqdm(total=20)\nbar.update(20); bar.close()",
            "from tqdm.auto import tqdm\nasync def numbers():\n    for n in range(20): yield n\n"
            "async for n in tqdm(numbers(), total=20): pass",
        ],
    )
    def test_tqdm_writes_text_that_ends_at_100_percent(self, kernel: StreamKernel, code: str):
        shown = Shown(kernel, code)
        assert shown.bundles == []
        assert shown.printed.rstrip("\n").rpartition("\r")[2].startswith("100%|")

    def test_a_notebook_gets_a_widget(self, kernel: StreamKernel):
        shown = Shown(kernel, "from tqdm.auto import tqdm\nfor n in tqdm(range(20)): pass", {})
        assert "application/vnd.jupyter.widget-view+json" in shown.only

    def test_a_class_of_the_users_stays_what_it_is(self, kernel: StreamKernel):
        code = (
            "from tqdm.notebook import tqdm_notebook\nclass Mine(tqdm_notebook):\n    mine = 7\n"
            "bar = Mine(total=2, display=False); bar.close(); bar.mine"
        )
        assert Shown(kernel, code).only[TEXT] == "7"

    def test_rich_writes_one_line_and_no_item(self, kernel: StreamKernel):
        shown = Shown(kernel, "from rich.progress import track\nfor n in track(range(20)): pass")
        assert shown.bundles == []
        (line,) = shown.printed.splitlines()
        assert line.startswith("Working...")
        assert "100%" in line
        assert "\x1b" not in line

    def test_rich_clears_nothing_that_was_shown_before(self, kernel: StreamKernel):
        code = "from rich.progress import Progress\nfrom rich import print as rprint\ndisplay('first'); rprint('[bold]x[/bold]')\n"
        shown = Shown(kernel, code + "with Progress() as p:\n    task = p.add_task('y', total=2); p.advance(task, 2)")
        assert shown.bundles == [{TEXT: "'first'"}]
        assert shown.printed.startswith("x\n")


class TestFormatting:
    def test_an_interrupt_stops_what_a_library_does_to_show_a_value(self, kernel: StreamKernel):
        code = (
            "import time, pandas as pd\nfrom IPython.core.interactiveshell import InteractiveShell\n"
            "class Slow: pass\nnamespace = {'print': print, 'time': time}\n"
            "exec(compile('def show(value):\\n    print(\"begun\", flush=True)\\n    while True: time.sleep(0.01)', 'library', 'exec'), namespace)\n"
            "get_ipython().display_formatter.formatters['text/html'].for_type(Slow, namespace['show'])"
        )
        assert reply(kernel.run(code, metadata=READS_ITEMS))["status"] == "ok"
        for statement in ("Slow()", "display(Slow())"):
            request = kernel.request(statement, metadata=READS_ITEMS)
            kernel.until(request, "stream")
            kernel.interrupt()
            kernel.socket.settimeout(DEADLINE)
            messages = kernel.until(request, "status", execution_state="idle")
            answer = reply(messages)
            assert answer["ename"] == "KeyboardInterrupt"
            assert "polyrepl_kernel" not in "\n".join(answer["traceback"])
        assert Shown(kernel, "1").bundles == [{TEXT: "1"}]

    def test_a_long_list_is_text_also_where_sympy_prints(self, tmp_path_factory: pytest.TempPathFactory):
        kernel = new_kernel(tmp_path_factory)
        try:
            kernel.run("import sympy\nsympy.init_printing(use_latex='mathjax')")
            assert Shown(kernel, "[1, sympy.Symbol('x')]").only.keys() == {TEXT, "text/latex"}
            for code in ("list(range(20_000))", "{n: n for n in range(20_000)}", "set(range(20_000))"):
                bundle = Shown(kernel, code).only
                assert bundle.keys() == {TEXT}
                assert bundle[TEXT].endswith(("...]", "...}"))
        finally:
            kernel.close()


class TestJson:
    @pytest.mark.parametrize("limits", [READS_ITEMS, {}])
    def test_an_iterator_and_an_array_are_lists(self, kernel: StreamKernel, limits: dict[str, Any]):
        code = "from IPython.display import JSON\nJSON({'g': (n for n in [1, 2]), 'a': np.array([1.5]), 'z': np.array(1.7)})"
        found = Shown(kernel, code, limits).only["application/json"]
        assert json.loads(json.dumps(found)) == {"g": [1, 2], "a": [1.5], "z": 1.7}
