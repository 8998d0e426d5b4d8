"""What the tests of E2B's SDK for Python ask of a server, and `test_e2b.py` does not: its package does not bring them, so these are ours.

docs/clients.md says which of theirs have no counterpart here."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from e2b import TimeoutException
from e2b_code_interpreter import AsyncSandbox, Sandbox
from e2b_code_interpreter.charts import BoxAndWhiskerChart, ChartType, LineChart, PieChart, ScatterChart, SuperChart

from tests.harness.server import Server

PICTURE = "from PIL import Image\nimage = Image.new('RGBA', (16, 16), (200, 30, 30, 128))\n"
PLOT = "import matplotlib.pyplot as plt\nimport numpy as np\nx = np.linspace(0, 20, 100)\n"


@pytest.fixture(scope="module")
def options(server: Server) -> dict[str, Any]:
    return {"api_url": f"{server.url}/e2b", "sandbox_url": f"{server.url}/e2b", "api_key": server.token}


@pytest.fixture(scope="module")
def sandbox(options: dict[str, Any]) -> Iterator[Sandbox]:
    sandbox = Sandbox.create(envs={"OF_THE_SANDBOX": "yes"}, **options)
    yield sandbox
    assert sandbox.kill()


def chart_of(sandbox: Sandbox, code: str) -> Any:
    return sandbox.run_code(f"{PLOT}{code}\nplt.show()").results[0].chart


def test_code_that_runs_when_its_sandbox_is_killed_raises_in_the_asynchronous_client(options: dict[str, Any]) -> None:
    async def use() -> None:
        sandbox = await AsyncSandbox.create(**options)
        running = asyncio.Event()

        async def hear(message: Any) -> None:
            running.set()

        execution = asyncio.create_task(sandbox.run_code("print('on')\nwhile True: pass", on_stdout=hear))
        await running.wait()
        await sandbox.kill()
        with pytest.raises(TimeoutException, match="sandbox was killed while the request was in progress"):
            await execution

    asyncio.run(use())


def test_each_callback_is_called_once_for_one_thing(options: dict[str, Any]) -> None:
    async def use() -> None:
        sandbox = await AsyncSandbox.create(**options)
        heard: list[Any] = []

        async def hear(each: Any) -> None:
            heard.append(each)

        await sandbox.run_code("1 + 1", on_result=hear)
        await sandbox.run_code("unknown", on_error=hear)
        await sandbox.run_code("print('out')", on_stdout=hear)
        await sandbox.run_code("import sys; print('err', file=sys.stderr)", on_stderr=hear)
        result, error, out, err = heard
        assert (result.text, error.name, out.line, err.line) == ("2", "NameError", "out\n", "err\n")
        await sandbox.kill()

    asyncio.run(use())


def test_a_plot_and_the_value_after_it_are_two_results(sandbox: Sandbox) -> None:
    results: list[Any] = []
    sandbox.run_code(f"{PLOT}plt.plot(x, np.sin(x))\nplt.show()\nx", on_result=results.append)
    plot, value = results
    assert (bool(plot.png), plot.is_main_result, value.is_main_result) == (True, False, True)
    assert plot.text
    assert value.text.startswith("array(")


@pytest.mark.parametrize("shown", ["image", "image.show()", "image.save('picture.png')"])
def test_a_transparent_picture_is_one_result(sandbox: Sandbox, shown: str) -> None:
    (result,) = sandbox.run_code(PICTURE + shown).results
    assert result.png


def test_a_syntax_error_is_counted_as_an_execution(sandbox: Sandbox) -> None:
    context = sandbox.create_code_context()
    assert sandbox.run_code("echo 'this is no Python'", context=context).error is not None
    assert sandbox.run_code("!pwd", context=context).execution_count == 2
    sandbox.remove_code_context(context)
    assert context.id not in [each.id for each in sandbox.list_code_contexts()]


def test_variables_of_a_call_hide_those_of_the_code_and_the_sandbox(sandbox: Sandbox) -> None:
    sandbox.run_code("import os\nos.environ['ASSIGNED'] = 'in code'")
    code = "[os.environ.get(name) for name in ('ASSIGNED', 'OF_THE_SANDBOX')]"
    hidden = {"ASSIGNED": "in the call", "OF_THE_SANDBOX": "no"}
    assert sandbox.run_code(code, envs=hidden).results[0].json == ["in the call", "no"]
    assert sandbox.run_code(code).results[0].json == ["in code", "yes"]


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("deno", "Deno.env.get('OF_THE_SANDBOX') + Deno.env.get('MINE')"),
        ("javascript", "process.env.OF_THE_SANDBOX + process.env.MINE"),
    ],
)
def test_variables_in_javascript_and_deno(sandbox: Sandbox, language: str, code: str) -> None:
    assert sandbox.run_code(code, language=language, envs={"MINE": "!", "OF_THE_SANDBOX": "no"}).text == "no!"
    assert sandbox.run_code(code, language=language).text == "yesundefined"


@pytest.mark.parametrize("language", ["js", "deno"])
def test_a_context_of_javascript_works_where_it_was_told_to(sandbox: Sandbox, language: str) -> None:
    context = sandbox.create_code_context("/home", language=language)
    assert sandbox.run_code("process.cwd()", context=context).results[0].text == "/home"
    code = "({ [Symbol.for('Jupyter.display')]: () => ({ 'text/plain': 'plain', 'text/html': '<b>rich</b>' }) })"
    (result,) = sandbox.run_code(code, context=context).results
    assert (result.text, result.html) == ("plain", "<b>rich</b>")
    code = "async function later(of: number): Promise<string> { return `after ${of}` }\n\nawait later(1)"
    assert sandbox.run_code(code, context=context).text == "after 1"
    sandbox.remove_code_context(context)


def test_a_logarithmic_line_has_its_scale_and_its_ticks(sandbox: Sandbox) -> None:
    chart = chart_of(sandbox, "plt.plot(x, np.exp(x), label='grows')\nplt.yscale('log')\nplt.ylabel('y (log scale)')")
    assert isinstance(chart, LineChart)
    assert (chart.x_scale, chart.y_scale, chart.x_unit, chart.y_unit) == ("linear", "log", None, "log scale")
    assert {type(tick) for tick in [*chart.x_ticks, *chart.y_ticks]} == {float}
    assert {type(label) for label in [*chart.x_tick_labels, *chart.y_tick_labels]} == {str}
    (line,) = chart.elements
    assert (line.label, len(line.points)) == ("grows", 100)
    assert {type(value) for point in line.points for value in point} == {float}


def test_dates_and_names_are_scales(sandbox: Sandbox) -> None:
    days = "import datetime\ndays = [datetime.date(2024, 2, 28) + datetime.timedelta(days=n) for n in range(3)]\n"
    chart = chart_of(sandbox, days + "plt.plot(days, [1, 2, 3])")
    assert (chart.x_scale, chart.y_scale) == ("datetime", "linear")
    assert chart.elements[0].points[-1][0].startswith("2024-03-01")
    assert {type(tick) for tick in chart.x_ticks} == {str}
    chart = chart_of(sandbox, "plt.plot([1, 2, 3], ['a', 'b', 'c'])")
    assert (chart.x_scale, chart.y_scale) == ("linear", "categorical")


def test_bars_have_the_labels_of_their_axes(sandbox: Sandbox) -> None:
    chart = chart_of(
        sandbox,
        "plt.bar(['p', 'q'], [10, 20])\nplt.xlabel('Who')\nplt.ylabel('Sold')\nplt.title('T')\nplt.tight_layout()",
    )
    assert (chart.type, chart.title, chart.x_label, chart.y_label) == (ChartType.BAR, "T", "Who", "Sold")
    assert (chart.x_unit, chart.y_unit) == (None, None)
    assert [(bar.label, bar.value) for bar in chart.elements] == [("p", 10), ("q", 20)]


def test_a_box_has_its_quartiles_and_outliers(sandbox: Sandbox) -> None:
    code = "plt.boxplot([[1, 2, 3, 4, 5], [1, 2, 3, 4, 40]], tick_labels=['P', 'Q'], patch_artist=True)\nplt.legend()"
    chart = chart_of(sandbox, code)
    assert isinstance(chart, BoxAndWhiskerChart)
    found = [(box.label, box.min, box.first_quartile, box.median, box.max, box.outliers) for box in chart.elements]
    assert found == [("P", 1.0, 2.0, 3.0, 5.0, []), ("Q", 1.0, 2.0, 3.0, 4.0, [40.0])]
    assert all(isinstance(box.third_quartile, float) for box in chart.elements)


def test_a_pie_starts_anywhere(sandbox: Sandbox) -> None:
    chart = chart_of(
        sandbox, "plt.pie([3, 1], labels=['most', 'rest'], autopct='%1.1f%%', startangle=90)\nplt.axis('equal')"
    )
    assert isinstance(chart, PieChart)
    assert [(wedge.label, wedge.angle, wedge.radius) for wedge in chart.elements] == [("most", 270, 1), ("rest", 90, 1)]


def test_points_of_two_sets_and_a_figure_of_two_plots(sandbox: Sandbox) -> None:
    chart = chart_of(
        sandbox, "plt.scatter(x[:5], x[:5], label='few', c='blue')\nplt.scatter(x, x, label='many', c='red')"
    )
    assert isinstance(chart, ScatterChart)
    assert (chart.title, [(each.label, len(each.points)) for each in chart.elements]) == (
        None,
        [("few", 5), ("many", 100)],
    )
    code = (
        "figure, (left, right) = plt.subplots(1, 2)\nfigure.suptitle('Both')\nleft.plot(x, x)\nleft.set_title('Left')\n"
        "right.scatter(x[:3], x[:3])\nright.set_xlabel('X')"
    )
    chart = chart_of(sandbox, code)
    assert isinstance(chart, SuperChart)
    assert chart.title == "Both"
    left, right = chart.elements
    assert (type(left), left.title, left.x_label, len(left.elements[0].points)) == (LineChart, "Left", None, 100)
    assert (type(right), right.title, right.x_label, len(right.elements[0].points)) == (ScatterChart, None, "X", 3)


def test_circles_are_an_unknown_chart_with_a_title(sandbox: Sandbox) -> None:
    chart = chart_of(
        sandbox, "figure, axes = plt.subplots()\naxes.add_artist(plt.Circle((0, 0), 1, fill=False))\nplt.title('Round')"
    )
    assert (chart.type, chart.title, chart.elements) == (ChartType.UNKNOWN, "Round", [])
