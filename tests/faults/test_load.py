"""Many calls at once, and far more output than anybody reads."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.harness.client import Client, Repl
from tests.harness.dialects import DIALECTS, PYTHON, TYPESCRIPT, Dialect
from tests.harness.server import Server

MIB = 1024 * 1024
FLOOD = {"python": PYTHON.flood_200_mb, "typescript": TYPESCRIPT.flood_200_mb}


def test_100_concurrent_calls_on_20_contexts_do_not_mix(client: Client, new_repl: Callable[..., Repl]) -> None:
    repls = [(new_repl(dialect.name), dialect) for dialect in DIALECTS for _ in range(10)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda pair: pair[0].run(pair[1].set("calls", 0)), repls))
    calls = [
        (repl, dialect, f"call-{index}-{number}") for index, (repl, dialect) in enumerate(repls) for number in range(5)
    ]
    random.Random(1).shuffle(calls)

    def call(repl: Repl, dialect: Dialect, token: str) -> tuple[str, str, list[str], list[str], str | None]:
        code = "\n".join(
            [dialect.print(f"'{token}'"), dialect.print_error(token), "calls += 1", dialect.env("TOKEN"), f"'{token}'"]
        )
        result = repl.run(code, env_vars={"TOKEN": token})
        return token, result.status, result.stdout, result.stderr, result.text

    with ThreadPoolExecutor(len(calls)) as pool:
        answers = list(pool.map(lambda arguments: call(*arguments), calls))
    for token, *answer in answers:
        assert answer == ["ok", [token, token], [token], f"'{token}'"]
    with ThreadPoolExecutor(4) as pool:
        assert [result.text for result in pool.map(lambda pair: pair[0].run("calls"), repls)] == ["5"] * len(repls)


@pytest.mark.parametrize("language", FLOOD)
def test_200_mb_of_output_leave_head_tail_and_the_servers_memory_bounded(
    server: Server, client: Client, new_repl: Callable[..., Repl], language: str
) -> None:
    repl = new_repl(language)
    repl.run("1")
    server.reset_peak_memory()
    before = server.memory()
    result = repl.run(FLOOD[language], timeout_ms=120_000)
    growth = server.peak_memory() - before
    assert growth < 150 * MIB, f"the server grew by {growth / MIB:.0f} MiB"
    assert (result.status, result["context_state"]) == ("ok", "preserved")
    truncated = result["truncated"]["stdout"]
    assert truncated["total_bytes"] == 200_000_000
    assert truncated["kept_bytes"] <= 12 * MIB
    assert truncated["kept_bytes"] > 11 * MIB
    assert sum(len(line) + 1 for line in result.stdout) < 13 * MIB
    assert [line[:5] for line in (result.stdout[0], result.stdout[1], result.stdout[-1])] == ["00000", "00001", "01999"]
    assert any("bytes omitted" in line for line in result.stdout)
    assert repl.run("1 + 1").text == "2"


def test_100_000_lines_arrive_whole_and_in_order(repl: Repl, dialect: Dialect) -> None:
    code = {
        "python": "for i in range(100_000): print(i)",
        "typescript": "for (let i = 0; i < 100_000; i++) console.log(i)",
    }[dialect.name]
    result = repl.run(code, timeout_ms=60_000)
    assert result.stdout == [str(number) for number in range(100_000)]


@pytest.mark.parametrize("language", ["python", "typescript"])
def test_output_of_child_processes_is_bounded_as_well(
    server: Server, new_repl: Callable[..., Repl], language: str
) -> None:
    repl = new_repl(language)
    code = {
        "python": "import subprocess; subprocess.run('yes 0123456789 | head -c 55000000', shell=True).returncode",
        "typescript": "import { spawnSync } from 'node:child_process'\n"
        "spawnSync('sh', ['-c', 'yes 0123456789 | head -c 55000000'], { stdio: 'inherit' }).status",
    }[language]
    server.reset_peak_memory()
    before = server.memory()
    result = repl.run(code, timeout_ms=60_000)
    assert server.peak_memory() - before < 150 * MIB
    assert (result.text, result["truncated"]["stdout"]["total_bytes"]) == ("0", 55_000_000)


def test_thousands_of_displays_keep_the_first_and_the_last(python: Repl) -> None:
    result = python.run("for i in range(5000): display(i)", timeout_ms=60_000)
    items = result["items"]
    assert (len(items), items[0]["text"], items[-1]["text"]) == (2000, "0", "4999")
    assert (result["truncated"]["items"]["total"], result["truncated"]["items"]["kept"]) == (5000, 2000)


@pytest.mark.parametrize("update", [False, True], ids=["displays", "updates"])
def test_a_flood_of_large_displays_leaves_the_servers_memory_bounded(
    server: Server, client: Client, repl: Repl, dialect: Dialect, update: bool
) -> None:
    code = {
        "python": "for i in range(400):\n"
        f"    display({{'text/html': str(i) + 'x' * 1_000_000}}, raw=True, display_id='d', update={update} and i > 0)",
        "typescript": "for (let i = 0; i < 400; i++)\n"
        f"  display.html(i + 'x'.repeat(1_000_000), {{ display_id: 'd', update: {str(update).lower()} && i > 0 }})",
    }[dialect.name]
    server.reset_peak_memory()
    before = server.memory()
    result = repl.run(code, timeout_ms=60_000)
    growth = server.peak_memory() - before
    assert result.status == "ok"
    assert growth < 200 * MIB, f"the server grew by {growth / MIB:.0f} MiB"
    assert result["items"][-1]["html"].startswith("399x")


def test_a_value_that_is_too_large_is_named_with_its_size(repl: Repl, dialect: Dialect) -> None:
    code = {"python": "'x' * 30_000_000", "typescript": "'x'.repeat(30_000_000)"}[dialect.name]
    result = repl.run(code)
    (item,) = result["items"]
    assert item["is_primary"] is True
    assert sum(item["omitted"].values()) > 15_000_000
    assert result["truncated"]["items"]["total_bytes"] >= 30_000_000
    assert len(str(item)) < 13 * MIB


def test_a_queue_that_is_full_refuses_and_says_when_to_come_back(client: Client, repl: Repl, dialect: Dialect) -> None:
    running = repl.start(dialect.print("'begun'") + "\n" + dialect.loop)
    client.wait_for_output(running, "begun")
    waiting = [repl.start("1") for _ in range(32)]
    refused = client.http.post("/execute", json={"code": "1", **repl.fields})
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) >= 1
    client.interrupt(running)
    assert [client.wait(execution).status for execution in waiting] == ["ok"] * 32
