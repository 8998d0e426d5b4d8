"""The command line, as somebody at a terminal uses it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from PIL import Image

from engine.settings import Settings
from tests.harness.server import POLYREPL, Server

DEADLINE = 60.0
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def polyrepl(tmp_path: Path) -> Run:
    """Runs the command in an empty directory; keywords in capitals are variables of its environment."""

    def run(*arguments: str, input: str | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        env = {name: value for name, value in os.environ.items() if not name.startswith("POLYREPL_")}
        return subprocess.run(
            [str(POLYREPL), *arguments],
            cwd=tmp_path,
            env={**env, "COLUMNS": "200", "POLYREPL_RUN_DIR": str(tmp_path / "run"), **variables},
            input=input or "",
            capture_output=True,
            text=True,
            timeout=DEADLINE,
        )

    return run


def test_help_names_the_commands(polyrepl: Run) -> None:
    shown = polyrepl("--help")
    assert shown.returncode == 0
    assert all(command in shown.stdout for command in ("serve", "run", "doctor"))


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom engine.cli.main import main\n"
        "try: main(['--help'])\nfinally: print(sorted({'zmq', 'pydantic', 'starlette', 'rich', 'uvicorn', 'jupyter_client'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=DEADLINE)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_version_is_shown(polyrepl: Run) -> None:
    from engine import __version__

    assert __version__ in polyrepl("--version").stdout


def test_help_of_serve_lists_every_setting_with_its_description(polyrepl: Run) -> None:
    shown = polyrepl("serve", "--help")
    assert shown.returncode == 0
    words = " ".join(shown.stdout.split())
    letters = "".join(words.split())  # a line may end behind a hyphen
    for name, field in Settings.model_fields.items():
        assert f"--{name.replace('_', '-')} " in words
        assert "".join(str(field.description).split()) in letters


def test_run_shows_output_and_value(polyrepl: Run) -> None:
    done = polyrepl("run", "import sys; print('out'); print('err', file=sys.stderr); 6 * 7")
    assert (done.returncode, done.stdout.splitlines(), done.stderr.splitlines()) == (0, ["out", "42"], ["err"])


def test_run_takes_another_language_and_variables(polyrepl: Run) -> None:
    code = "const x: number = 6; console.log(process.env.NAME); x * 7"
    done = polyrepl("run", "-l", "ts", "-e", "NAME=it's = here", code)
    assert (done.returncode, done.stdout.splitlines()) == (0, ["it's = here", "42"])


def test_run_with_check_shows_what_is_wrong_with_the_types(polyrepl: Run) -> None:
    done = polyrepl("run", "--check", "-l", "ts", "const n: number = 'x'; n", POLYREPL_CHECK_TIMEOUT="60")
    assert (done.returncode, done.stdout.splitlines()) == (0, ["'x'"])
    assert done.stderr == "1:7 - error TS2322: Type 'string' is not assignable to type 'number'.\n"


def test_run_reads_the_code_from_standard_input(polyrepl: Run) -> None:
    done = polyrepl("run", input="for i in range(2):\n    print(i)\n")
    assert (done.returncode, done.stdout.split()) == (0, ["0", "1"])


def test_run_takes_a_file_with_its_input_and_its_exit_status(polyrepl: Run, tmp_path: Path) -> None:
    lines = ("age = int(input())", "print(__file__, __name__, age + 1)", "exit(3)", "print('not reached')")
    (tmp_path / "my script.py").write_text("\n".join(lines))
    done = polyrepl("run", "my script.py", input="41\n")
    assert (done.returncode, done.stdout, done.stderr) == (3, f"{tmp_path}/my script.py __main__ 42\n", "")


def test_run_takes_the_language_from_the_name_of_the_file(polyrepl: Run, tmp_path: Path) -> None:
    (tmp_path / "sum.ts").write_text("const x: number = 6\nx * 7")
    done = polyrepl("run", "sum.ts")
    assert (done.returncode, done.stdout) == (0, "42\n")


def test_run_of_a_file_that_is_not_there_says_so(polyrepl: Run) -> None:
    done = polyrepl("run", "missing.py")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "Cannot run missing.py: No such file or directory\n"


def test_run_says_what_helps_with_an_error(polyrepl: Run) -> None:
    done = polyrepl("run", "import no_such_module_anywhere")
    assert done.returncode == 1
    assert "Hint: " in done.stderr
    assert "polyrepl run --package 'no_such_module_anywhere'" in done.stderr


def test_run_installs_packages_first_and_says_why_it_cannot(polyrepl: Run) -> None:
    done = polyrepl("run", "--package", "numpy", "1")
    assert (done.returncode, done.stdout) == (0, "1\n")
    done = polyrepl("run", "--package", "--pre", "1")
    assert done.returncode == 2
    assert "option of pip" in done.stderr


def test_run_of_code_that_fails_exits_with_1_and_shows_the_traceback(polyrepl: Run) -> None:
    done = polyrepl("run", "print('before')\n1 / 0")
    assert (done.returncode, done.stdout.splitlines()) == (1, ["before"])
    assert "ZeroDivisionError: division by zero" in done.stderr
    assert "line 2" in done.stderr


def test_run_does_not_break_long_lines(polyrepl: Run) -> None:
    done = polyrepl("run", "'y' * 500", COLUMNS="80")
    assert done.stdout == repr("y" * 500) + "\n"
    done = polyrepl("run", "raise ValueError('z' * 500)", COLUMNS="80")
    assert "ValueError: " + "z" * 500 in done.stderr


def test_run_shows_square_brackets_as_they_are(polyrepl: Run) -> None:
    done = polyrepl("run", "print('[red]a[/]'); '[bold]b[/bold] :smile:'")
    assert done.stdout.splitlines() == ["[red]a[/]", "'[bold]b[/bold] :smile:'"]


def test_run_that_takes_too_long_exits_with_124(polyrepl: Run) -> None:
    done = polyrepl("run", "-t", "1", "print('begun')\nwhile True: pass")
    assert (done.returncode, done.stdout.splitlines()) == (124, ["begun"])
    assert "1000 ms" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-l", "cobol", "1"], "cobol"),
        (["-e", "1A=x", "1"], "env_vars"),
        (["-t", "-1", "1"], "timeout"),
    ],
)
def test_run_that_cannot_be_exits_with_2_and_says_why(polyrepl: Run, arguments: list[str], said: str) -> None:
    done = polyrepl("run", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_run_saves_images(polyrepl: Run, tmp_path: Path) -> None:
    code = "from PIL import Image\ndisplay(Image.new('RGB', (9, 5)))\nImage.new('RGB', (7, 3))"
    done = polyrepl("run", "--save", "pictures", code)
    assert done.returncode == 0
    files = sorted((tmp_path / "pictures").glob("*.png"))
    sizes = []
    for file in files:
        assert file.name in done.stdout
        with Image.open(file) as image:
            sizes.append(image.size)
    assert sizes == [(9, 5), (7, 3)]


def test_run_names_images_that_it_does_not_save(polyrepl: Run, tmp_path: Path) -> None:
    done = polyrepl("run", "from PIL import Image\nImage.new('RGB', (9, 5))")
    assert "png" in done.stdout
    assert "--save" in done.stdout


def test_run_leaves_nothing_but_the_cache_behind(polyrepl: Run, tmp_path: Path) -> None:
    polyrepl("run", "1")
    assert list((tmp_path / "run").iterdir()) == []


def test_doctor_says_what_works(polyrepl: Run) -> None:
    done = polyrepl("doctor")
    assert done.returncode == 0
    for said in ("language python", "language typescript", "bun", "deno", "run directory", "data packages", "pidfd"):
        assert said in done.stdout
    assert "127.0.0.1:8000" in done.stdout


def test_doctor_says_how_to_get_missing_data_packages(polyrepl: Run) -> None:
    without_packages = "/usr/bin/python3"
    if not Path(without_packages).exists():
        pytest.skip(f"{without_packages} is not there")
    done = polyrepl("doctor", POLYREPL_PYTHON=without_packages)
    assert done.returncode == 1
    assert "polyrepl[data]" in done.stdout


def test_doctor_fails_where_a_language_does_not_work_and_says_why(polyrepl: Run) -> None:
    done = polyrepl("doctor", POLYREPL_NODE="/bin/false")
    assert done.returncode == 1
    assert "/bin/false does not run" in " ".join(done.stdout.split())
    done = polyrepl("doctor", POLYREPL_PYTHON="/nowhere/python")
    assert done.returncode == 1
    assert "/nowhere/python" in done.stdout


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"POLYREPL_POOL_LANGUAGES": "pyhton"}, "pool_languages: 'pyhton' is not a known language"),
        ({"POLYREPL_RUN_DIR": "/dev/null"}, "run_dir: cannot use /dev/null: it is not a directory"),
    ],
)
def test_serve_and_doctor_refuse_a_setting_and_name_it(polyrepl: Run, variables: dict[str, str], said: str) -> None:
    for command in ("serve", "doctor"):
        done = polyrepl(command, **variables)
        assert done.returncode == 1
        assert said in " ".join((done.stdout + done.stderr).split())
        assert "Traceback" not in done.stderr


def test_serve_refuses_a_public_address_without_a_token(polyrepl: Run) -> None:
    done = polyrepl("serve", "--host", "0.0.0.0", "--port", "0")
    assert done.returncode == 1
    assert "refusing to listen on 0.0.0.0 without a token" in done.stderr
    assert "POLYREPL_TOKEN" in done.stderr
    assert "Traceback" not in done.stderr


def test_serve_takes_a_public_address_with_a_token() -> None:
    with Server(flags=("--host", "0.0.0.0"), settings={"token": "t"}) as server:
        port = int(server.url.rpartition(":")[2])
        url = f"http://127.0.0.1:{port}"
        assert httpx.get(f"{url}/healthz", trust_env=False, timeout=60).status_code == 200
        assert httpx.get(f"{url}/contexts", trust_env=False, timeout=60).status_code == 401
        assert httpx.get(f"{url}/contexts", headers={"X-API-Key": "t"}, trust_env=False, timeout=60).status_code == 200


def test_serve_says_that_its_port_is_taken(polyrepl: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = polyrepl("serve", "--port", str(port))
    assert done.returncode != 0
    assert f"Port {port} of 127.0.0.1 is in use by another program. Choose another one with --port" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        (["--port", "many"], {}, "port"),
        ([], {"POLYREPL_QUEUE_SIZE": "none"}, "queue_size"),
        (["--kernel-env", "not json"], {}, "kernel_env: must be a JSON object"),
        ([], {"POLYREPL_KERNEL_RLIMITS": "[1]"}, "kernel_rlimits: must be a JSON object"),
        (["--config", "missing.toml"], {}, "missing.toml"),
        (["--default-timeout", "50", "--max-timeout", "10"], {}, "default_timeout"),
    ],
)
def test_a_wrong_setting_is_named(polyrepl: Run, arguments: list[str], variables: dict[str, str], said: str) -> None:
    done = polyrepl("serve", *arguments, **variables)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_setting_in_the_file_is_named(polyrepl: Run, tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text("max_contextz = 3\n")
    done = polyrepl("serve", "--config", "settings.toml")
    assert done.returncode == 1
    assert "max_contextz: there is no such setting" in done.stderr


@pytest.mark.parametrize("content", [b"port = \n", b"\xff\xfe", b"[port"])
def test_a_file_that_is_no_toml_is_named_in_one_sentence(polyrepl: Run, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "settings.toml").write_bytes(content)
    for command in ("serve", "run"):
        done = polyrepl(command, "--config", "settings.toml")
        assert done.returncode == 1
        assert done.stderr.startswith("Error: settings.toml is not a TOML file: ")
        assert len(done.stderr.splitlines()) == 1


def test_flags_win_over_variables_and_variables_over_the_file(tmp_path: Path) -> None:
    config = tmp_path / "settings.toml"
    config.write_text(
        'max_timeout = 100.0\ndefault_timeout = 50.0\ntoken = "of the file"\n\n[kernel_env]\nGREETING = "from the file"\n'
    )
    settings = {"max_timeout": "200", "token": "of the environment"}
    with Server(flags=("--config", str(config), "--max-timeout", "300"), settings=settings) as server:
        client = server.client()
        schema = client.http.get("/openapi.json").json()["components"]["schemas"]["ExecuteBody"]
        maxima = [choice.get("maximum") for choice in schema["properties"]["timeout_ms"]["anyOf"]]
        assert 300_000 in maxima
        assert client.execute("import os; os.environ['GREETING']").text == "'from the file'"
        refused = httpx.get(f"{server.url}/contexts", headers={"X-API-Key": "of the file"}, trust_env=False, timeout=60)
        assert refused.status_code == 401
        client.close()
