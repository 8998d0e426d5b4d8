"""R and Java through E2B's SDK: kernels of other projects, where the machine has them."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2b import TimeoutException
from e2b_code_interpreter import Sandbox

from tests.harness.server import Server


@pytest.fixture(scope="module")
def sandbox(server: Server) -> Iterator[Sandbox]:
    url = f"{server.url}/e2b"
    sandbox = Sandbox.create(envs={"OF_THE_SANDBOX": "yes"}, api_url=url, sandbox_url=url, api_key=server.token)
    yield sandbox
    assert sandbox.kill()


@pytest.mark.skipif(
    shutil.which("R") is None or not Path("/usr/share/jupyter/kernels/ir").is_dir(),
    reason="R and its kernel are not installed: apt-get install r-base-core r-cran-irkernel",
)
class TestR:
    def test_values_output_plots_and_tables_are_shown(self, sandbox: Sandbox) -> None:
        execution = sandbox.run_code("x <- 41\nprint('out')\nmessage('err')\nx + 1", language="r")
        assert (execution.results[0].text, execution.error) == ("[1] 42", None)
        assert "".join(execution.logs.stdout) == '[1] "out"\n'
        assert "err" in "".join(execution.logs.stderr)
        assert "<td>2</td>" in (sandbox.run_code("data.frame(a = 1:2)", language="r").results[0].html or "")
        (plot,) = sandbox.run_code("plot(1:3)", language="r").results
        assert base64.b64decode(plot.png or "").startswith(b"\x89PNG")

    def test_the_state_stays_also_when_the_client_gives_up(self, sandbox: Sandbox) -> None:
        sandbox.run_code("kept <- 5", language="r")
        with pytest.raises(TimeoutException):
            sandbox.run_code("Sys.sleep(60)", language="r", timeout=0.5)
        assert sandbox.run_code("kept", language="r").results[0].text == "[1] 5"

    def test_an_error_has_its_message_and_its_calls(self, sandbox: Sandbox) -> None:
        error = sandbox.run_code("f <- function() stop('deep')\nf()", language="r").error
        assert error is not None
        assert (error.name, error.value.strip()) == ("ERROR", "Error in f(): deep")
        assert "1. f()" in error.traceback

    def test_variables_are_those_of_the_sandbox_and_of_the_call(self, sandbox: Sandbox) -> None:
        code = "cat(Sys.getenv('OF_THE_SANDBOX'), Sys.getenv('MINE', 'none'))"
        assert sandbox.run_code(code, language="r", envs={"MINE": 'it\'s "x"'}).logs.stdout == ['yes it\'s "x"']
        assert sandbox.run_code(code, language="r").logs.stdout == ["yes none"]
        listed = {each.language for each in sandbox.list_code_contexts()}
        assert {
            "python",
            "javascript",
            "r",
        } <= listed  # contexts of no sandbox are listed, too, and the server is shared


@pytest.mark.skipif(shutil.which("java") is None, reason="Java is not installed: apt-get install default-jre-headless")
class TestJava:
    def test_values_output_and_images_are_shown(self, sandbox: Sandbox) -> None:
        execution = sandbox.run_code('int x = 41;\nSystem.out.println("out");\nx + 1', language="java")
        assert (execution.text, execution.logs.stdout, execution.error) == ("42", ["out\n"], None)
        code = "import java.awt.image.BufferedImage;\nnew BufferedImage(4, 4, BufferedImage.TYPE_INT_RGB)"
        (image,) = sandbox.run_code(code, language="java").results
        assert base64.b64decode(image.png or "").startswith(b"\x89PNG")
        assert sandbox.run_code('System.getenv("OF_THE_SANDBOX")', language="java").text == "yes"

    def test_variables_of_a_call_are_properties_in_it_alone(self, sandbox: Sandbox) -> None:
        value = 'it\'s "x"\n\\u0022 ä 😀'
        code = 'System.out.print(System.getProperty("MINE", "none") + System.getProperty("OTHER", "-"))'
        assert sandbox.run_code(code, language="java", envs={"MINE": value, "OTHER": ""}).logs.stdout == [value]
        assert sandbox.run_code(code, language="java").logs.stdout == ["none-"]
        sandbox.run_code('System.setProperty("MINE", "own")', language="java", envs={"MINE": "call"})
        assert sandbox.run_code(code, language="java").logs.stdout == ["own-"]

    def test_the_state_stays_also_when_the_client_gives_up(self, sandbox: Sandbox) -> None:
        sandbox.run_code("int kept = 5;", language="java")
        with pytest.raises(TimeoutException):
            sandbox.run_code("while (true) {}", language="java", timeout=0.5)
        assert sandbox.run_code("kept", language="java").text == "5"

    def test_an_error_has_its_name_and_where_it_was_thrown(self, sandbox: Sandbox) -> None:
        error = sandbox.run_code('throw new IllegalStateException("no");', language="java").error
        assert error is not None
        assert "IllegalStateException, no" in error.value
        assert "java.lang.IllegalStateException: no\n\tat " in error.traceback
        error = sandbox.run_code("int y = ;", language="java").error
        assert error is not None
        assert error.name == "CompilationException"
