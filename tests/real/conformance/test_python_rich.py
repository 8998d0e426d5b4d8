"""What Python's libraries show comes as items with the right fields."""

from __future__ import annotations

import base64
import io

import pytest

from tests.harness.client import Client, Json, Repl

MATPLOTLIB = "import matplotlib.pyplot as plt\n"


def image_size(data: str) -> tuple[int, int]:
    from PIL import Image

    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        image.load()
        size: tuple[int, int] = image.size
        return size


def only(items: list[Json]) -> Json:
    (item,) = items
    return item


def test_a_data_frame_is_html_and_text(python: Repl) -> None:
    item = only(python.run("import pandas as pd\npd.DataFrame({'city': ['Köln'], 'n': [3]})")["items"])
    assert set(item) == {"is_primary", "text", "html"}
    assert "<table" in item["html"]
    assert "Köln" in item["html"]
    assert "Köln" in item["text"]


def test_a_plot_is_a_png_that_decodes(python: Repl) -> None:
    item = only(python.run(MATPLOTLIB + "plt.plot([1, 2, 3])\nplt.show()")["items"])
    assert item["text"].startswith("<Figure size")
    width, height = image_size(item["png"])
    assert width > 100
    assert height > 100


def test_a_plot_without_show_appears_at_the_end_of_the_cell(python: Repl) -> None:
    items = python.run(MATPLOTLIB + "plt.plot([1]);\n_ = plt.title('x')")["items"]
    assert "png" in only(items)
    assert python.run("1")["items"] == [{"is_primary": True, "text": "1"}]


def test_the_value_is_primary_beside_a_plot(python: Repl) -> None:
    items = python.run(MATPLOTLIB + "plt.plot([1]); plt.show()\n'the value'")["items"]
    assert [item["is_primary"] for item in items] == [False, True]
    assert items[1]["text"] == "'the value'"


@pytest.mark.parametrize(
    "drawing",
    [
        "plt.plot([1, 4, 9])",
        "plt.pie([1, 2])",
        "plt.xlim(0, 1)",
        "pd.DataFrame({'a': [1, 2]}).plot()",
        "plt.subplots(2)",
    ],
)
def test_the_figure_is_the_answer_of_a_cell_that_draws(python: Repl, drawing: str) -> None:
    value, figure = python.run(f"{MATPLOTLIB}import pandas as pd\n{drawing}")["items"]
    assert (value["is_primary"], figure["is_primary"]) == (False, True)
    assert value.keys() == {"is_primary", "text"}
    assert image_size(figure["png"])[0] > 100


def test_the_figure_is_the_answer_also_where_its_axes_are_named_last(client: Client, python: Repl) -> None:
    result = python.run(MATPLOTLIB + "ax = plt.subplot(); plt.show()\nax")
    assert [item["is_primary"] for item in result["items"]] == [True, False]
    assert list(client.follow(result["execution_id"]))[-1]["primary_index"] == 0


def test_a_figure_as_the_value_is_one_picture(python: Repl) -> None:
    item = only(python.run(MATPLOTLIB + "fig, ax = plt.subplots(); ax.plot([1, 2])\nfig")["items"])
    assert item["is_primary"]
    assert "png" in item


def test_figures_are_shown_after_agg_was_chosen(python: Repl) -> None:
    python.run("import matplotlib\nmatplotlib.use('Agg')")
    assert "png" in only(python.run(MATPLOTLIB + "plt.plot([1, 2]); plt.show()")["items"])


def test_progress_is_one_line_and_no_item(python: Repl) -> None:
    result = python.run("from tqdm.auto import tqdm\nfor n in tqdm(range(20)): pass")
    assert result["items"] == []
    (line,) = result.stderr
    assert line.startswith("100%|")
    result = python.run("from rich.progress import track\nfor n in track(range(20)): pass")
    assert result["items"] == []
    (line,) = result.stdout
    assert "100%" in line


def test_an_exception_group_is_whole_in_the_traceback(python: Repl) -> None:
    result = python.run("raise ExceptionGroup('several', [ValueError('inner'), KeyError('other')])")
    assert (result.error, result.stderr) == ("ExceptionGroup", [])
    assert "ValueError: inner" in result.traceback
    assert "KeyError: 'other'" in result.traceback


def test_the_line_of_a_comprehension_is_the_one_that_failed(python: Repl) -> None:
    assert "----> 3     1 / x" in python.run("found = [\n    # each\n    1 / x\n    for x in (1, 0)\n]").traceback


def test_of_an_image_that_is_too_large_in_one_form_the_other_is_kept(python: Repl) -> None:
    python.run("from PIL import Image\nimage = Image.effect_noise((3000, 3000), 50)")
    both = only(python.run("display(image, include=['image/png', 'image/jpeg'])")["items"])
    assert image_size(both["jpeg"]) == (3000, 3000)
    assert both["omitted"].keys() == {"image/png"}
    assert image_size(only(python.run("image")["items"])["png"]) == (3000, 3000)


def test_a_pil_image_is_a_png_of_its_size(python: Repl) -> None:
    item = only(python.run("from PIL import Image\nImage.new('RGB', (31, 17), 'red')")["items"])
    assert image_size(item["png"]) == (31, 17)


@pytest.mark.parametrize(
    ("shown", "field", "value"),
    [
        ("SVG('<svg xmlns=\"http://www.w3.org/2000/svg\"><g/></svg>')", "svg", None),
        ("Latex('$x^2$')", "latex", "$x^2$"),
        ("Math('x^2')", "latex", r"$\displaystyle x^2$"),
        ("Markdown('# Title')", "markdown", "# Title"),
        ("HTML('<b>bold</b>')", "html", "<b>bold</b>"),
        ("Javascript('1 + 1')", "javascript", "1 + 1"),
        ("JSON({'a': [1, None, 'ü']})", "json", {"a": [1, None, "ü"]}),
    ],
)
def test_ipythons_display_objects_fill_their_field(python: Repl, shown: str, field: str, value: object) -> None:
    for code in (f"from IPython.display import *\n{shown}", f"from IPython.display import *\ndisplay({shown})"):
        item = only(python.run(code)["items"])
        assert item["is_primary"] is True
        assert item[field] == value if value is not None else item[field].startswith("<svg")


def test_a_jpeg_and_a_pdf_are_base64(python: Repl) -> None:
    code = (
        "import io\nfrom PIL import Image\nfrom IPython.display import display\n"
        "jpeg, pdf = io.BytesIO(), io.BytesIO()\n"
        "Image.new('RGB', (8, 8)).save(jpeg, 'JPEG'); Image.new('RGB', (8, 8)).save(pdf, 'PDF')\n"
        "display({'image/jpeg': jpeg.getvalue(), 'application/pdf': pdf.getvalue()}, raw=True)"
    )
    item = only(python.run(code)["items"])
    assert image_size(item["jpeg"]) == (8, 8)
    assert base64.b64decode(item["pdf"]).startswith(b"%PDF")


def test_a_sympy_expression_is_latex(python: Repl) -> None:
    item = only(python.run("import sympy\nsympy.sqrt(sympy.Symbol('x') / 2)")["items"])
    assert r"\sqrt" in item["latex"]


def test_a_plotly_figure_is_in_extra(python: Repl) -> None:
    code = "import plotly.graph_objects as go\ngo.Figure(go.Bar(x=['a'], y=[2])).show(renderer='plotly_mimetype')"
    item = only(python.run(code)["items"])
    figure = item["extra"]["application/vnd.plotly.v1+json"]
    assert figure["data"][0]["type"] == "bar"


def test_an_altair_chart_is_in_extra(python: Repl) -> None:
    code = (
        "import altair as alt, pandas as pd\nalt.renderers.enable('mimetype')\n"
        "alt.Chart(pd.DataFrame({'a': [1], 'b': [2]})).mark_bar().encode(x='a', y='b')"
    )
    item = only(python.run(code)["items"])
    (chart,) = [value for name, value in item["extra"].items() if name.startswith("application/vnd.vegalite")]
    assert chart["mark"]["type"] == "bar"


def test_an_unknown_mime_type_and_its_metadata_are_kept(python: Repl) -> None:
    code = (
        "from IPython.display import display\n"
        "display({'application/x-own+json': {'a': 1}, 'text/x-own': 'text'}, metadata={'k': 'v'}, raw=True)"
    )
    item = only(python.run(code)["items"])
    assert item == {
        "is_primary": True,
        "extra": {"application/x-own+json": {"a": 1}, "text/x-own": "text"},
        "metadata": {"k": "v"},
    }


def test_an_update_replaces_what_was_displayed(client: Client, python: Repl) -> None:
    result = python.run("h = display('first', display_id='one')\ndisplay('other')\nh.update('second')")
    assert [item["text"] for item in result["items"]] == ["'second'", "'other'"]
    events = list(client.follow(result["execution_id"]))
    assert [event["type"] for event in events] == ["started", "item", "item", "item_update", "done"]
    assert (events[3]["index"], events[3]["item"]["text"]) == (0, "'second'")


def test_an_update_of_an_earlier_cells_display_is_an_item_of_its_own(python: Repl) -> None:
    python.run("handle = display('first', display_id=True)")
    assert [item["text"] for item in python.run("handle.update('later')")["items"]] == ["'later'"]


@pytest.mark.parametrize(("wait", "left"), [("False", ["'new'"]), ("True", ["'new'"])])
def test_cleared_output_is_gone(python: Repl, wait: str, left: list[str]) -> None:
    code = f"from IPython.display import clear_output\ndisplay('old'); clear_output(wait={wait}); display('new')"
    assert [item["text"] for item in python.run(code)["items"]] == left


def test_a_clear_that_waits_for_nothing_leaves_the_output(python: Repl) -> None:
    code = "from IPython.display import clear_output\ndisplay('old'); clear_output(wait=True)"
    assert [item["text"] for item in python.run(code)["items"]] == ["'old'"]


def test_a_progress_bar_leaves_its_last_state(python: Repl) -> None:
    code = (
        "import sys\nfor i in range(101):\n    sys.stderr.write(f'\\rprogress {i}%'); sys.stderr.flush()\n"
        "print(file=sys.stderr)"
    )
    assert python.run(code).stderr == ["progress 100%"]


def test_the_reference_of_a_function_is_shown(python: Repl) -> None:
    result = python.run("len?")
    assert "Return the number of items" in only(result["items"])["text"]
    assert "\x1b" not in only(result["items"])["text"]


def test_top_level_await_works_and_tasks_go_on_between_cells(python: Repl) -> None:
    python.run("import asyncio\nready = asyncio.Event()\ntask = asyncio.create_task(ready.wait())")
    assert python.run("ready.set()\nawait asyncio.wait_for(task, 20)").text == "True"


def test_output_of_child_processes_and_of_c_code_is_captured(python: Repl) -> None:
    result = python.run(
        "import os\nprint('a'); _ = os.system('echo b; echo c >&2'); print('d'); _ = os.write(1, b'e\\n')"
    )
    assert (result.stdout, result.stderr) == (["a", "b", "d", "e"], ["c"])


def test_an_error_of_a_library_shows_the_users_line(python: Repl) -> None:
    result = python.run("import json\n\njson.loads('{')")
    assert result.error == "JSONDecodeError"
    assert "line 3" in result.traceback
    assert "\x1b" not in result.traceback


def test_chained_errors_are_all_in_the_traceback(python: Repl) -> None:
    result = python.run("try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise LookupError('outer') from e")
    assert result.error == "LookupError"
    assert "ZeroDivisionError: division by zero" in result.traceback
    assert "line 4" in result.traceback


def test_a_repr_that_fails_is_said_and_costs_no_state(python: Repl) -> None:
    result = python.run("class Bad:\n    def __repr__(self): raise RuntimeError('no repr')\nBad()")
    assert "no repr" in str(result.get("error")) + "".join(result.stderr)
    assert python.run("2").text == "2"


def test_a_lone_surrogate_does_not_break_the_answer(python: Repl) -> None:
    assert python.run("print('a\\ud800b')").status in ("ok", "error")
    assert python.run("'\\ud800'").status in ("ok", "error")
    assert python.run("3").text == "3"


def test_a_float_that_json_has_not_is_answered(python: Repl) -> None:
    result = python.run("from IPython.display import JSON\nJSON({'a': float('nan'), 'b': float('inf')})")
    assert result.status == "ok"
