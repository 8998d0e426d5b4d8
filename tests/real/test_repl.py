"""`polyrepl repl` as somebody at a terminal uses it: the real program on a pseudo-terminal."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from tests.harness.server import POLYREPL, Server
from tests.harness.waiting import wait_until

DEADLINE = 60
PROMPT = "python>"  # what follows is a movement of the cursor
CTRL_C, CTRL_D, TAB = "\x03", "\x04", "\t"
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[()][A-Z0-9]|\x1b[=>]|\r")


class Terminal:
    """A pseudo-terminal with the REPL on it."""

    def __init__(self, place: Path, *arguments: str) -> None:
        env = {name: value for name, value in os.environ.items() if not name.startswith("POLYREPL_")}
        env |= {
            "TERM": "xterm",
            "PROMPT_TOOLKIT_NO_CPR": "1",
            "XDG_STATE_HOME": str(place / "state"),
            "POLYREPL_RUN_DIR": str(place / "run"),
        }
        command = [str(POLYREPL), "repl", *arguments]
        self._rest = ""
        self._process = pexpect.spawn(
            command[0], command[1:], cwd=place, env=env, encoding="utf-8", timeout=DEADLINE, dimensions=(40, 200)
        )

    def wait_for(self, text: str) -> str:
        """Read on until the text has been shown; what came before it. What follows it is for the next call."""
        seen = self._rest
        while text not in seen:
            try:
                self._process.expect(r"[\s\S]+")
            except (pexpect.TIMEOUT, pexpect.EOF):
                raise AssertionError(f"{text!r} was not shown but {seen!r}") from None
            seen = _ESCAPES.sub("", seen + self._process.match[0])
        before, _, self._rest = seen.partition(text)
        return before

    def type(self, keys: str) -> None:
        self._process.send(keys)

    def enter(self, line: str) -> None:
        self.type(line + "\r")

    def leave(self) -> int:
        self.type(CTRL_D)
        return self.ends()

    def ends(self) -> int:
        """Its exit status, when it has ended by itself."""
        self._process.expect(pexpect.EOF)
        self._process.close()
        return int(self._process.exitstatus)

    def close(self) -> None:
        self._process.close(force=True)


@contextlib.contextmanager
def terminal(place: Path, *arguments: str) -> Iterator[Terminal]:
    made = Terminal(place, *arguments)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("repl")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(settings={"token": "secret", "pool_languages": "typescript"}) as server:
        assert server.url
        yield server


@pytest.fixture(scope="module")
def repl(place: Path) -> Iterator[Terminal]:
    """A Python REPL, for all tests that leave it at its prompt."""
    with terminal(place, "--save", str(place / "pictures")) as made:
        made.wait_for(PROMPT)
        yield made


def test_values_and_variables_stay(repl: Terminal) -> None:
    repl.enter("answer = 6 * 7")
    repl.wait_for(PROMPT)
    repl.enter("answer + 58")
    repl.wait_for("100")


def test_an_error_has_its_hint_and_packages_can_be_installed(repl: Terminal) -> None:
    repl.enter("import no_such_module_anywhere")
    repl.wait_for("Hint: ")
    repl.wait_for("To install it: install no_such_module_anywhere")
    repl.wait_for(PROMPT)
    repl.enter("%pip install numpy")
    repl.wait_for("Nothing new was installed.")
    repl.enter("install = 20; install + 1")
    repl.wait_for("21")


def test_sys_exit_keeps_the_repl_and_says_what_leaves_it(repl: Terminal) -> None:
    repl.enter("import sys; sys.exit(3)")
    repl.wait_for("Leave the REPL with exit() or Ctrl-D")
    repl.enter("exit_code = 4; exit_code + 1")
    repl.wait_for("5")


@pytest.mark.parametrize("word", ["exit()", " quit "])
def test_exit_leaves(tmp_path: Path, word: str) -> None:
    with terminal(tmp_path) as repl:
        repl.wait_for(PROMPT)
        repl.enter(word)
        assert repl.ends() == 0


def test_a_block_goes_on_until_an_empty_line_and_is_indented(repl: Terminal) -> None:
    repl.enter("for n in range(3):")
    repl.wait_for("...")
    repl.enter("print('row', n * 111)")
    repl.enter("")
    repl.wait_for("row 222")


def test_output_comes_while_the_cell_runs_and_ctrl_c_stops_it_and_keeps_the_state(repl: Terminal) -> None:
    repl.enter("kept = 5; print('begun', 40 + 2, flush=True); import time; time.sleep(600)")
    repl.wait_for("begun 42")
    repl.type(CTRL_C)
    repl.wait_for("KeyboardInterrupt")
    repl.wait_for(PROMPT)
    repl.enter("kept * 1111")
    repl.wait_for("5555")


def test_ctrl_c_at_the_prompt_drops_the_line(repl: Terminal) -> None:
    repl.type("this is no code")
    repl.wait_for("no code")
    repl.type(CTRL_C)
    repl.wait_for(PROMPT)
    repl.enter("'still ' + 'here'")
    repl.wait_for("'still here'")


def test_input_asks_at_the_terminal(repl: Terminal) -> None:
    repl.enter("name = input('your name? '); print('hello', name.upper())")
    repl.wait_for("your name?")
    repl.enter("ada")
    repl.wait_for("hello ADA")


def test_tab_completes_what_the_kernel_knows(repl: Terminal) -> None:
    repl.enter("unmistakable_name = 123 * 1000; 'it is ' + 'there'")
    repl.wait_for("'it is there'")
    repl.wait_for(PROMPT)
    repl.type("unmistak" + TAB)
    repl.wait_for("unmistakable_name")
    repl.enter(" + 4")
    repl.wait_for("123004")


def test_tab_shows_names_that_agree_no_further(repl: Terminal) -> None:
    repl.enter("ambiguous_1 = ambiguous_22 = 'two ' + 'names'; ambiguous_1")
    repl.wait_for("'two names'")
    repl.type("ambig" + TAB + TAB)
    repl.wait_for("ambiguous_1   ambiguous_22")
    repl.wait_for(PROMPT)
    repl.enter("22 + '!'")
    repl.wait_for("'two names!'")


def waiting(name: str) -> str:
    """A cell in one line that makes a file of this name, and runs until it is gone."""
    wait = f"[time.sleep(0.01) for _ in iter(lambda: os.path.exists({name!r}), False)]"
    return f"import os, time; open({name!r}, 'w').close(); {wait}; None"


def begun(place: Path, name: str) -> Path:
    """The file that a cell makes in its working directory, once it is there."""
    found: list[Path] = []
    wait_until(lambda: bool(found.extend(place.glob(f"run/s-*/contexts/*/*/*/{name}")) or found), what="it runs")
    return found[0]


def test_lines_that_are_typed_while_a_cell_runs_are_run_in_order_and_remembered_and_then_ctrl_d_leaves(
    place: Path,
) -> None:
    with terminal(place) as repl:
        repl.wait_for(PROMPT)
        repl.enter(waiting("typing"))
        held = begun(place, "typing")
        filling = "x" * 1000  # terminals that edit lines keep 4095 characters
        lines = [
            "seen = ['first']",
            *(f"seen.append(len('{filling}'))" for _ in range(5)),
            "for n in range(2):",
            "seen.append(n)",  # the indentation comes from the kernel
            "",
            "seen.append(input('who? '))",
            "ada",
            f"import unicodeda{TAB}; seen.append(unicodedata.name('ü')[-9:])",
            "print('all:', seen)",
        ]
        repl.type("".join(line + "\r" for line in lines) + CTRL_D)
        held.unlink()
        repl.wait_for("all: ['first', 1000, 1000, 1000, 1000, 1000, 0, 1, 'ada', 'DIAERESIS']")
        assert repl.ends() == 0
    history = place / "state" / "polyrepl" / "history-python"
    assert "+seen = ['first']" in history.read_text()
    assert history.stat().st_mode & 0o077 == 0


def test_what_is_pasted_while_a_cell_runs_is_one_cell(repl: Terminal, place: Path) -> None:
    repl.enter(waiting("pasting"))
    held = begun(place, "pasting")
    repl.enter("\x1b[200~if True:\n    pasted = 1\n\n    pasted += 4\nelse:\n    1 / 0\npasted * 1001\x1b[201~")
    held.unlink()
    repl.wait_for("5005")


def test_ctrl_c_drops_what_was_typed_ahead(repl: Terminal, place: Path) -> None:
    repl.enter("import time; open('sleeping', 'w').close(); time.sleep(600)")
    begun(place, "sleeping")
    repl.enter("print('drop' + 'ped')")
    repl.type(CTRL_C)
    assert "dropped" not in repl.wait_for("KeyboardInterrupt")
    repl.enter("print('af' + 'ter')")
    assert "dropped" not in repl.wait_for("after")


def test_a_question_ends_with_its_cell(place: Path) -> None:
    with terminal(place, "--timeout", "0.5") as repl:
        repl.wait_for(PROMPT)
        repl.enter("input('for ever? ')")
        repl.wait_for("TimeoutError")
        repl.wait_for(PROMPT)
        repl.enter("'still ' + 'here'")
        repl.wait_for("'still here'")


def test_an_error_is_shown_and_the_repl_goes_on(repl: Terminal) -> None:
    repl.enter("1 / 0")
    repl.wait_for("ZeroDivisionError")
    repl.enter("'went ' + 'on'")
    repl.wait_for("'went on'")


def test_a_picture_is_saved_and_its_place_is_said(repl: Terminal, place: Path) -> None:
    repl.enter("from PIL import Image; Image.new('RGB', (3, 2))")
    repl.wait_for(str(place / "pictures" / "output-1."))
    assert (place / "pictures" / "output-1.png").read_bytes().startswith(b"\x89PNG")


def test_typescript_runs_in_a_context_of_a_server_that_stays(server: Server, place: Path) -> None:
    arguments = ("-l", "ts", "--url", server.url, "--token", "secret", "-c", "shared")
    with terminal(place, *arguments) as repl:
        repl.wait_for("typescript>")
        repl.enter("const rows: number[] = [1, 2, 3].map((n) => {")
        repl.wait_for("...")
        repl.enter("return n * 11 })")
        repl.wait_for("typescript>")
        repl.enter("rows")
        repl.wait_for("[ 11, 22, 33 ]")
        repl.enter("console.log('loop', 1 + 1); while (true) {}")
        repl.wait_for("loop 2")
        repl.type(CTRL_C)
        repl.wait_for("typescript>")
        assert repl.leave() == 0
    with contextlib.closing(server.client()) as client:
        assert client.execute("rows.length", language="ts", context_id="shared").text == "3"


def test_a_server_that_dies_under_a_cell_is_named_and_the_repl_goes_on(server: Server, place: Path) -> None:
    with terminal(place, "--url", server.url, "--token", "secret", "-c", "lost") as repl:
        repl.wait_for(PROMPT)
        repl.enter("print('be' + 'gun', flush=True); import time; time.sleep(600)")
        repl.wait_for("begun")
        server.kill()
        repl.wait_for("No connection")
        repl.wait_for(PROMPT)
        assert repl.leave() == 0


def test_a_server_that_is_not_there_is_named_with_what_to_do(place: Path) -> None:
    with terminal(place, "--url", "http://127.0.0.1:1") as repl:
        repl.wait_for("No connection")
        repl.wait_for("Look whether the server runs")


def test_what_is_no_terminal_is_refused_with_the_command_for_it() -> None:
    done = subprocess.run([str(POLYREPL), "repl"], input="1 + 1\n", capture_output=True, text=True, timeout=DEADLINE)
    assert (done.returncode, done.stdout) == (2, "")
    assert "`polyrepl run`" in done.stderr
