"""E2B's SDK for Python, unchanged, against a real server: what its users rely on."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from e2b import NotFoundException, SandboxException, TimeoutException
from e2b_code_interpreter import AsyncSandbox, Sandbox
from e2b_code_interpreter.charts import BoxAndWhiskerChart, ChartType, SuperChart

from tests.harness.client import Client
from tests.harness.server import Server


@pytest.fixture(scope="module")
def options(server: Server) -> dict[str, Any]:
    """How a sandbox is made on this server."""
    return {"api_url": f"{server.url}/e2b", "sandbox_url": f"{server.url}/e2b", "api_key": server.token}


@pytest.fixture(scope="module")
def sandbox(options: dict[str, Any]) -> Iterator[Sandbox]:
    sandbox = Sandbox.create(envs={"OF_THE_SANDBOX": "yes"}, **options)
    yield sandbox
    assert sandbox.kill()


def test_the_value_of_the_last_line_is_the_text(sandbox: Sandbox) -> None:
    execution = sandbox.run_code("1 + 1")
    assert (execution.text, execution.error) == ("2", None)
    assert execution.results[0].is_main_result
    assert sandbox.run_code("'a text'").text == "a text"
    assert sandbox.run_code("None").results == []


def test_every_callback_is_called_as_it_happens(sandbox: Sandbox) -> None:
    heard: list[str] = []
    execution = sandbox.run_code(
        "import sys\nprint('out')\nprint('err', file=sys.stderr)\nfrom IPython.display import display\n"
        "display({'text/html': '<b>b</b>'}, raw=True)\n1 / 0",
        on_stdout=lambda message: heard.append(f"stdout {message.line}"),
        on_stderr=lambda message: heard.append(f"stderr {message.line}"),
        on_result=lambda result: heard.append(f"result {result.html}"),
        on_error=lambda error: heard.append(f"error {error.name}"),
    )
    assert sorted(heard[:2]) == ["stderr err\n", "stdout out\n"]
    assert heard[2:] == ["result <b>b</b>", "error ZeroDivisionError"]
    assert (execution.logs.stdout, execution.logs.stderr) == (["out\n"], ["err\n"])
    assert execution.error is not None
    assert execution.error.value == "division by zero"
    assert "\x1b" not in execution.error.traceback
    assert isinstance(execution.execution_count, int)


def test_output_comes_while_the_code_runs(sandbox: Sandbox) -> None:
    go = Path(sandbox.run_code("import os; os.getcwd()").text or "") / "go"
    code = "import time\nprint('first', flush=True)\nwhile not os.path.exists('go'): time.sleep(0.01)\nprint('second')"
    execution = sandbox.run_code(code, on_stdout=lambda message: go.touch())
    assert execution.logs.stdout == ["first\n", "second\n"]


def test_state_stays_between_calls(sandbox: Sandbox) -> None:
    sandbox.run_code("kept = 20")
    assert sandbox.run_code("kept + 1").text == "21"
    first = sandbox.run_code("1").execution_count
    assert sandbox.run_code("1").execution_count == first + 1


def test_what_shows_nothing_and_what_only_prints_has_no_result(sandbox: Sandbox) -> None:
    assert sandbox.run_code("").results == []
    execution = sandbox.run_code("print('Hello, World!')")
    assert (execution.results, execution.logs.stdout) == ([], ["Hello, World!\n"])


def test_indented_code_runs(sandbox: Sandbox) -> None:
    execution = sandbox.run_code("    value = 3\n    for n in range(2):\n        print(n)\n    value")
    assert (execution.text, "".join(execution.logs.stdout)) == ("3", "0\n1\n")


def test_shell_lines_and_top_level_await_run(sandbox: Sandbox) -> None:
    assert "".join(sandbox.run_code("!echo from the shell").logs.stdout).strip() == "from the shell"
    assert sandbox.run_code("import asyncio\nawait asyncio.sleep(0, 'awaited')").text == "awaited"


def test_variables_of_a_call_are_there_in_it_alone(sandbox: Sandbox) -> None:
    value = 'it\'s "quoted"\nand long'
    code = "import os\nprint(os.environ.get('MINE'), end='')"
    assert sandbox.run_code(code, envs={"MINE": value}).logs.stdout == [value]
    assert sandbox.run_code(code).logs.stdout == ["None"]


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("python", "import os; print(os.environ['OF_THE_SANDBOX'], end='')"),
        ("js", "process.stdout.write(process.env.OF_THE_SANDBOX)"),
        ("bash", "printf $OF_THE_SANDBOX"),
    ],
)
def test_variables_of_the_sandbox_are_there_in_every_language(sandbox: Sandbox, language: str, code: str) -> None:
    assert "".join(sandbox.run_code(code, language=language).logs.stdout).strip() == "yes"
    context = sandbox.create_code_context(language=language)
    assert "".join(sandbox.run_code(code, context=context).logs.stdout).strip() == "yes"
    sandbox.remove_code_context(context)


def test_javascript_and_typescript_run_and_keep_a_state_each(sandbox: Sandbox) -> None:
    execution = sandbox.run_code("const answer = 6 * 7\nconsole.log('hello')\nanswer", language="javascript")
    assert (execution.text, execution.logs.stdout) == ("42", ["hello\n"])
    assert sandbox.run_code("await Promise.resolve(answer)", language="js").text == "42"
    sandbox.run_code("const other: number = 7", language="typescript")
    assert sandbox.run_code("const next: number = other + 1\nnext", language="ts").text == "8"
    for code, language in (("answer", "ts"), ("other", "js")):
        error = sandbox.run_code(code, language=language).error
        assert error is not None
        assert (error.name, error.value) == ("ReferenceError", f"{code} is not defined")


def test_the_default_contexts_work_in_one_directory(sandbox: Sandbox) -> None:
    sandbox.run_code("open('shared.json', 'w').write('[1, 2]')")
    code = "require('fs').readFileSync('shared.json', 'utf8')"
    for language in ("js", "ts"):
        assert sandbox.run_code(code, language=language).text == "[1, 2]"


def test_bash_runs_and_keeps_its_state(sandbox: Sandbox) -> None:
    sandbox.run_code("greeting=hello", language="bash")
    assert sandbox.run_code("echo $greeting", language="bash").logs.stdout == ["hello\n"]


def test_input_is_refused(sandbox: Sandbox) -> None:
    error = sandbox.run_code("input('name? ')").error
    assert error is not None
    assert error.name == "StdinNotImplementedError"


def test_contexts_are_made_listed_restarted_and_removed(sandbox: Sandbox, server: Server) -> None:
    project = server.base / "project"
    project.mkdir()
    project.chmod(0o777)  # the context may have a user of its own
    context = sandbox.create_code_context(cwd=str(project))
    assert (context.language, context.cwd) == ("python", str(project))
    assert sandbox.run_code("import os; os.getcwd()", context=context).text == str(project)
    assert sandbox.run_code("kept", context=context).error is not None  # it is another one than the default
    listed = sandbox.list_code_contexts()
    assert listed[-1] == context
    assert {each.language for each in listed} >= {"python", "javascript"}
    sandbox.run_code("x = 1", context=context)
    sandbox.restart_code_context(context)
    execution = sandbox.run_code("x", context=context)
    assert execution.error is not None
    assert (execution.error.name, execution.execution_count) == ("NameError", 1)
    sandbox.remove_code_context(context.id)
    with pytest.raises(NotFoundException, match=f"Context {context.id} not found"):
        sandbox.run_code("1", context=context)


def test_an_unknown_language_is_an_error_that_names_it(sandbox: Sandbox) -> None:
    with pytest.raises(SandboxException, match="cobol"):
        sandbox.run_code("1", language="cobol")


def test_after_a_timeout_of_the_client_the_next_call_works_with_the_state(sandbox: Sandbox) -> None:
    sandbox.run_code("kept = 5")
    with pytest.raises(TimeoutException):
        sandbox.run_code("while True: pass", timeout=1)
    assert sandbox.run_code("kept").text == "5"


def test_a_kernel_that_dies_is_said_to_restart_and_the_next_call_works(sandbox: Sandbox) -> None:
    context = sandbox.create_code_context()
    execution = sandbox.run_code("print('last', flush=True)\nimport os; os.kill(os.getpid(), 9)", context=context)
    assert execution.error is not None
    assert (execution.error.name, execution.error.value) == ("ContextRestarting", "Context was restarted")
    execution = sandbox.run_code("1 + 1", context=context)
    assert (execution.text, execution.execution_count) == ("2", 1)
    sandbox.remove_code_context(context)


def test_a_table_has_its_data(sandbox: Sandbox) -> None:
    code = (
        "import pandas as pd\nframe = pd.DataFrame({'n': [1, 2], 'x': [0.5, None], 's': ['a', None], "
        "'t': pd.to_datetime(['2024-01-01', None]), 'b': [True, False]})\nframe"
    )
    (result,) = sandbox.run_code(code).results
    assert list(result.formats()) == ["text", "html", "data"]
    assert result.data == {
        "n": [1, 2],
        "x": [0.5, None],
        "s": ["a", None],
        "t": ["2024-01-01T00:00:00", None],
        "b": [True, False],
    }


def test_lists_and_dicts_are_json(sandbox: Sandbox) -> None:
    assert sandbox.run_code("{'a': [1, None, 'x'], 2: {}}").results[0].json == {"a": [1, None, "x"], "2": {}}
    assert sandbox.run_code("[1, 2]").results[0].json == [1, 2]
    assert sandbox.run_code("[object()]").results[0].json is None


def test_a_form_of_its_own_is_told_alone(sandbox: Sandbox) -> None:
    code = "from IPython.display import display\ndisplay({'text/latex': r'\\alpha'}, raw=True)"
    (result,) = sandbox.run_code(code).results
    assert (list(result.formats()), result.latex) == (["latex"], "\\alpha")


def test_images_are_shown_when_they_are_saved_or_shown(sandbox: Sandbox) -> None:
    code = "from PIL import Image\nImage.new('RGB', (8, 8), 'red').save('red.png')\nImage.new('L', (8, 8)).show()"
    first, second = sandbox.run_code(code).results
    for result in (first, second):
        assert base64.b64decode(result.png or "").startswith(b"\x89PNG")
    assert sandbox.run_code("import os; os.path.exists('red.png')").text == "True"
    quiet = "import io\nImage.new('L', (8, 8)).save(io.BytesIO(), 'PNG')\nplt.figure().savefig('f.png'); plt.close()"
    assert sandbox.run_code("import matplotlib.pyplot as plt\n" + quiet).results == []


def chart_of(sandbox: Sandbox, code: str) -> Any:
    (result,) = sandbox.run_code(f"import matplotlib.pyplot as plt\n{code}\nplt.show()").results
    assert base64.b64decode(result.png or "").startswith(b"\x89PNG")
    return result.chart


def test_a_line_plot_is_a_chart(sandbox: Sandbox) -> None:
    chart = chart_of(sandbox, "plt.plot([1, 2], [3, 4], label='s'); plt.title('T'); plt.xlabel('Time (s)')")
    assert (chart.type, chart.title, chart.x_label, chart.x_unit) == (ChartType.LINE, "T", "Time (s)", "s")
    assert [(line.label, line.points) for line in chart.elements] == [("s", [(1.0, 3.0), (2.0, 4.0)])]
    assert (chart.x_scale, len(chart.x_ticks)) == ("linear", len(chart.x_tick_labels))


def test_bars_pies_and_points_are_charts(sandbox: Sandbox) -> None:
    chart = chart_of(sandbox, "plt.bar(['a', 'b'], [1, 2])")
    assert [(bar.label, bar.group, bar.value) for bar in chart.elements] == [("a", "Group 0", 1), ("b", "Group 0", 2)]
    chart = chart_of(sandbox, "plt.pie([1, 3], labels=['a', 'b'])")
    assert [(wedge.label, wedge.angle, wedge.radius) for wedge in chart.elements] == [("a", 90, 1), ("b", 270, 1)]
    chart = chart_of(sandbox, "plt.scatter([1, 2], [3, 4], label='p')")
    assert (chart.type, chart.elements[0].points) == (ChartType.SCATTER, [(1, 3), (2, 4)])


def test_box_plots_and_several_axes_are_charts(sandbox: Sandbox) -> None:
    code = "f, (a, b) = plt.subplots(1, 2); f.suptitle('S'); a.boxplot([[1, 2, 3, 4, 20]], patch_artist=True); b.plot([1, 2])"
    chart = chart_of(sandbox, code)
    assert isinstance(chart, SuperChart)
    assert chart.title == "S"
    box, line = chart.elements
    assert isinstance(box, BoxAndWhiskerChart)
    (found,) = box.elements
    assert (found.min, found.first_quartile, found.median, found.third_quartile, found.max) == (1, 2, 3, 4, 4)
    assert (found.outliers, line.type) == ([20], ChartType.LINE)


def test_an_execution_can_be_written_as_json(sandbox: Sandbox) -> None:
    execution = sandbox.run_code("print('a')\n{'b': 1}")
    written = json.loads(execution.to_json())
    assert written["results"] == [{"text": "{'b': 1}", "json": {"b": 1}}]


def test_the_sandbox_is_running_and_can_be_found_again(sandbox: Sandbox, options: dict[str, Any]) -> None:
    assert sandbox.is_running()
    sandbox.run_code("found = 'again'")
    assert Sandbox.connect(sandbox.sandbox_id, **options).run_code("found").text == "again"
    with pytest.raises(SandboxException):
        Sandbox.connect("nope", **options)


def test_two_sandboxes_share_nothing_and_end_with_all_their_contexts(
    sandbox: Sandbox, options: dict[str, Any], client: Client
) -> None:
    sandbox.run_code("mine = 1")
    with Sandbox.create(**options) as other:
        error = other.run_code("mine").error
        assert error is not None
        context = other.create_code_context()
        assert client.http.get(f"/contexts/{context.id}").status_code == 200
    assert not other.kill()
    assert not other.is_running()
    with pytest.raises(TimeoutException, match="The sandbox was not found"):
        other.run_code("1")
    assert client.http.get(f"/contexts/{context.id}").status_code == 404
    assert client.http.get(f"/contexts/{other.sandbox_id}").status_code == 404


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("python", "print('runs', flush=True)\nimport time\ntime.sleep(60)"),
        ("javascript", "console.log('runs'); await new Promise((resolve) => setTimeout(resolve, 60_000))"),
    ],
)
def test_a_run_breaks_off_when_its_sandbox_is_killed(options: dict[str, Any], language: str, code: str) -> None:
    sandbox = Sandbox.create(**options)
    heard: list[str] = []

    def kill(message: Any) -> None:
        heard.append(message.line)
        assert Sandbox.kill(sandbox.sandbox_id, **options)

    with pytest.raises(TimeoutException, match="The sandbox was killed while the request was in progress"):
        sandbox.run_code(code, language=language, on_stdout=kill)
    assert heard == ["runs\n"]


def test_what_is_not_served_is_an_exception_that_says_so(sandbox: Sandbox) -> None:
    calls: tuple[Callable[[], Any], ...] = (
        lambda: sandbox.files.read("/tmp/x"),
        lambda: sandbox.files.write("/tmp/x", "y"),
        lambda: sandbox.files.list("/tmp"),
        lambda: sandbox.commands.run("ls"),
        lambda: sandbox.set_timeout(60),
        lambda: sandbox.get_info(),
        lambda: sandbox.pause(),
    )
    for call in calls:
        with pytest.raises(SandboxException, match="not served here: of E2B there are run_code"):
            call()


def test_the_debug_mode_needs_no_key_and_no_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    with Server() as server:
        monkeypatch.setenv("E2B_DEBUG", "true")
        monkeypatch.setenv("E2B_SANDBOX_URL", server.url)  # at the root, where the header leads to it
        sandbox = Sandbox.create()
        assert sandbox.run_code("'debugged'").text == "debugged"
        assert [each.language for each in sandbox.list_code_contexts()] == ["python", "javascript"]


async def use_asynchronously(options: dict[str, Any]) -> None:
    sandbox = await AsyncSandbox.create(**options)
    heard: list[str] = []

    async def hear(message: Any) -> None:
        heard.append(message.line)

    execution = await sandbox.run_code("print('a')\n2", on_stdout=hear)
    assert (execution.text, heard) == ("2", ["a\n"])
    contexts = [await sandbox.create_code_context() for _ in range(2)]
    found = await asyncio.gather(*(sandbox.run_code(f"{n} * 2", context=each) for n, each in enumerate(contexts)))
    assert [each.text for each in found] == ["0", "2"]
    # In one context they wait for each other.
    await asyncio.gather(*(sandbox.run_code("count = globals().get('count', 0) + 1") for _ in range(5)))
    assert (await sandbox.run_code("count")).text == "5"
    with pytest.raises(TimeoutException):
        await sandbox.run_code("import time; time.sleep(60)", timeout=1)
    assert (await sandbox.run_code("count")).text == "5"
    assert await sandbox.kill()


def test_the_asynchronous_client_does_the_same(options: dict[str, Any]) -> None:
    asyncio.run(use_asynchronously(options))


def test_the_program_of_the_readme_runs(open_server: Server) -> None:
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text()
    (program,) = re.findall(r"<!-- e2b -->\n```python\n(.*?)```", readme, re.DOTALL)
    here = program.replace("localhost:8000", open_server.url.removeprefix("http://"))
    done = subprocess.run([sys.executable, "-c", here], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "21\n"
