"""Checkpoints of live contexts on a real server, the return to them, and cells that are rolled back."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.branches import Branch
from tests.harness.client import Client, Repl
from tests.harness.fixtures import TOKEN
from tests.harness.server import Server
from tests.harness.waiting import wait_until

MakeRepl = Callable[..., Repl]


class TestCheckpoints:
    def test_a_context_goes_on_from_one_as_often_as_wanted(self, context: Branch):
        context.does("x = ['kept']\nopen('f', 'w').write('kept')")
        checkpoint = context.keep()
        for number in range(3):
            context.does(f"x.append({number})\nopen('f', 'w').write('changed'); open('g{number}', 'w').close()")
            context.restore(checkpoint)
            assert context.value("import os\nx, open('f').read(), os.listdir()") == (["kept"], "kept", ["f"])

    def test_one_tells_what_it_is_and_what_it_costs(self, context: Branch):
        context.does("x = 1\nopen('f', 'w').write('12345')")
        context.keep(name="before the experiment")
        (info,) = context.checkpoints()
        assert info["name"] == "before the experiment"
        assert (info["state"], info["execution_count"], info["file_bytes"], info["files"]) == ("ready", 1, 5, "copied")
        assert 0 < info["memory_bytes"] < 60_000_000

    def test_it_outlives_the_death_of_the_kernel_and_a_restart(self, context: Branch):
        context.does("x = 1")
        checkpoint = context.keep()
        assert context.run("import os; os.abort()").status == "died"
        context.restore(checkpoint)
        result = context.run("x")
        assert (result.text, result["context_state"]) == ("1", "preserved")
        assert context.post("restart").status_code == 200
        assert context.run("x").error == "NameError"
        context.restore(checkpoint)
        assert context.value("x") == 1

    def test_a_return_interrupts_what_runs_and_what_waits(self, context: Branch):
        context.does("x = 1")
        checkpoint = context.keep()
        running = context.start("print('on')\nwhile True: x += 1")
        context.client.wait_for_output(running, "on")
        waiting = context.start("x = 'waited'")
        context.restore(checkpoint)
        results = [context.client.wait(each) for each in (running, waiting)]
        assert [(each.status, each.error) for each in results] == [("interrupted", "ContextRestored")] * 2
        assert context.value("x") == 1

    def test_one_that_was_deleted_is_gone(self, context: Branch):
        context.does("x = 1")
        checkpoint = context.keep()
        place = f"/contexts/{context.id}/checkpoints/{checkpoint}"
        assert context.client.http.delete(place).status_code == 204
        assert context.client.http.delete(place).status_code == 404
        assert context.post("restore", {"checkpoint": checkpoint}).status_code == 404
        assert context.checkpoints() == []

    def test_one_whose_process_was_killed_says_so(self, server: Server, context: Branch):
        context.does("import os\nx = 1")
        checkpoint = context.keep()
        place = Path(context.value("os.getcwd()")).parent / "checkpoints-python"
        (dormant,) = [
            each for each in server.children() if Path(os.readlink(f"/proc/{each.pid}/cwd")).is_relative_to(place)
        ]
        dormant.kill()
        wait_until(lambda: context.checkpoints()[0]["state"] == "lost")
        response = context.post("restore", {"checkpoint": checkpoint})
        assert response.status_code == 409
        assert checkpoint in response.json()["message"]
        assert context.value("x") == 1

    def test_a_checkpoint_of_a_restored_context_and_a_return_to_the_first(self, context: Branch):
        context.does("x = [1]")
        first = context.keep()
        context.does("x.append(2)")
        second = context.keep()
        for checkpoint, expected in ((first, [1]), (second, [1, 2]), (first, [1])):
            context.restore(checkpoint)
            assert context.value("x") == expected
            context.does("x.append(9)")

    def test_other_languages_of_the_id_see_the_files_that_came_back(self, client: Client, context: Branch):
        context.does("open('f.txt', 'w').write('kept')")
        read = "import fs from 'node:fs'; fs.readFileSync('f.txt', 'utf8')"
        client.execute(read, context_id=context.id, language="typescript")
        checkpoint = context.keep()
        context.does("open('f.txt', 'w').write('changed')")
        context.restore(checkpoint)
        assert client.execute(read, context_id=context.id, language="typescript").text == "'kept'"


class TestExecuteWithCheckpoint:
    def test_the_result_names_it(self, context: Branch):
        context.does("x = [1]")
        result = context.run("x.append(2); x", checkpoint=True)
        assert result.text == "[1, 2]"
        assert [each["checkpoint"] for each in context.checkpoints()] == [result["checkpoint"]]
        context.restore(result["checkpoint"])
        assert context.value("x") == [1]

    @pytest.mark.parametrize(
        ("code", "status", "error"),
        [
            ("1 / 0", "error", "ZeroDivisionError"),
            ("while True: pass", "timeout", "TimeoutError"),
            ("import os; os.kill(os.getpid(), 9)", "died", "KernelDied"),
            (
                "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\ntime.sleep(60)",
                "timeout",
                "TimeoutError",
            ),
        ],
        ids=["error", "timeout", "death", "stubborn"],
    )
    def test_a_failure_rolls_back_the_state_and_the_files(self, context: Branch, code: str, status: str, error: str):
        context.does("x = [1]\nopen('f', 'w').write('kept')")
        result = context.run(
            f"x.append(2)\nopen('f', 'w').write('changed')\n{code}", on_error="rollback", timeout_ms=1500
        )
        assert (result.status, result.error, result["context_state"]) == (status, error, "rolled_back")
        assert "checkpoint" not in result
        after = context.run("x, open('f').read()")
        assert (after.text, after["context_state"]) == ("([1], 'kept')", "preserved")
        assert context.checkpoints() == []

    def test_an_interrupt_rolls_back(self, context: Branch):
        context.does("x = [1]")
        execution = context.start("x.append(2)\nprint('on')\nwhile True: pass", on_error="rollback")
        context.client.wait_for_output(execution, "on")
        context.client.interrupt(execution)
        result = context.client.wait(execution)
        assert (result.status, result["context_state"]) == ("interrupted", "rolled_back")
        assert context.value("x") == [1]

    def test_success_keeps_what_the_code_did(self, context: Branch):
        context.does("x = [1]")
        result = context.run("x.append(2)", on_error="rollback")
        assert (result.status, result["context_state"]) == ("ok", "preserved")
        assert context.value("x") == [1, 2]

    def test_a_timeout_says_that_the_state_was_rolled_back(self, context: Branch):
        result = context.run("while True: pass", on_error="rollback", timeout_ms=300)
        assert "rolled back" in result["error"]["value"]

    def test_an_explicit_checkpoint_stays_after_a_rollback(self, context: Branch):
        context.does("x = 1")
        result = context.run("x = 2; 1 / 0", checkpoint=True, on_error="rollback")
        assert [each["checkpoint"] for each in context.checkpoints()] == [result["checkpoint"]]

    def test_what_cannot_be_branched_is_named_and_the_code_is_not_run(self, context: Branch):
        context.does("import os\nends = os.pipe()\nx = 1")
        result = context.run("x = 2", on_error="rollback")
        assert (result.status, result.error) == ("error", "CannotBranch")
        assert "pipe" in result["error"]["value"]
        assert context.value("x") == 1


def private_megabytes(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Clean", "Private_Dirty"))) / 1024


def machine_can_hold(megabytes: int) -> bool:
    found = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable"))
    return int(found.split()[1]) // 1024 > megabytes


@pytest.mark.skipif(not machine_can_hold(2000), reason="needs 2 GB of free memory")
def test_branches_of_one_checkpoint_of_a_large_dataframe_are_all_different_and_share_it() -> None:
    with Server(settings={"token": TOKEN, "max_contexts": "40", "pool_max": "0"}) as server:
        client = server.client()
        root = Branch(client, "python", "root")
        root.does(
            "import os, numpy as np, pandas as pd\nframe = pd.DataFrame(np.ones((1_250_000, 10)), columns=list('abcdefghij'))"
        )
        assert root.value("int(frame.memory_usage().sum())") >= 100_000_000
        checkpoint = root.keep()
        root.does("frame.loc[:, 'a'] = -1")
        branches = []
        for number in range(20):
            branches.append(root.fork(checkpoint=checkpoint))
            assert branches[-1].value("float(frame.a.iloc[0])") == 1.0
            branches[-1].does(f"frame.iloc[{number}, 0] = {number} + 0.5; mine = np.random.rand()")
        answers = [each.value("float(frame.a.sum()), float(mine), os.getpid()") for each in branches]
        assert [total for total, _, _ in answers] == [1_250_000 - 1 + number + 0.5 for number in range(20)]
        assert len({mine for _, mine, _ in answers}) == 20
        private = sorted(
            private_megabytes(each.outside(pid)) for each, (_, _, pid) in zip(branches, answers, strict=True)
        )
        assert private[-1] < 60
        deeper = branches[0].fork().fork().fork()
        assert client.delete("root") == 204
        assert deeper.value("float(frame.a.iloc[0])") == 0.5
        client.close()


@pytest.mark.slow
def test_branches_and_returns_at_random_keep_every_state_apart(client: Client, context: Branch):
    """A model of what every context and checkpoint holds, and the same steps on the server."""
    chance = random.Random(7)
    context.does("x = []")
    live: dict[str, list[int]] = {context.id: []}
    kept: dict[tuple[str, str], list[int]] = {}
    for step in range(60):
        repl = Branch(client, "python", chance.choice(list(live)))
        match chance.choice(["append", "append", "fork", "keep", "restore", "fail"]):
            case "append":
                repl.does(f"x.append({step})")
                live[repl.id].append(step)
            case "fork" if len(live) < 6:
                live[repl.fork().id] = list(live[repl.id])
            case "keep" if len(kept) < 10:
                kept[repl.id, repl.keep()] = list(live[repl.id])
            case "fail":
                assert repl.run(f"x.append({step}); 1 / 0", on_error="rollback")["context_state"] == "rolled_back"
            case "restore" if kept:
                (owner, checkpoint), state = chance.choice(list(kept.items()))
                Branch(client, "python", owner).restore(checkpoint)
                live[owner] = list(state)
        assert repl.value("x") == live[repl.id]
    for context_id, state in live.items():
        assert Branch(client, "python", context_id).value("x") == state
