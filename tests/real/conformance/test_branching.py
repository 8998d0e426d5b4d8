"""Branches of live contexts on a real server: what goes along, what does not, and who outlives whom."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.harness.branches import Branch
from tests.harness.client import Client
from tests.harness.fixtures import TOKEN
from tests.harness.processes import is_running
from tests.harness.server import Server
from tests.harness.waiting import wait_until


class TestWhatGoesAlong:
    def test_variables_and_both_go_on_independently(self, context: Branch):
        context.does("rows = [1, 2, 3]\nbase = 10\nadd = lambda n: n + base")
        branch = context.fork()
        context.does("rows.append('parent')")
        branch.does("rows.append('branch'); base = 20")
        assert context.value("rows, add(1)") == ([1, 2, 3, "parent"], 11)
        assert branch.value("rows, add(1)") == ([1, 2, 3, "branch"], 21)

    def test_a_generator_in_the_middle_of_its_run(self, context: Branch):
        context.does("def count():\n    yield from range(10)\nnumbers = count()\nnext(numbers), next(numbers)")
        branch = context.fork()
        assert [context.value("next(numbers)") for _ in range(3)] == [2, 3, 4]
        assert [branch.value("next(numbers)") for _ in range(2)] == [2, 3]

    def test_the_history_of_values_and_the_execution_count(self, context: Branch):
        context.does("6 * 7")
        branch = context.fork()
        result = branch.run("Out[1], _, In[1]")
        assert result.text == "(42, 42, '6 * 7')"
        assert result["execution_count"] == 2

    def test_a_dataframe_and_the_display_of_it(self, context: Branch):
        context.does("import pandas as pd\nframe = pd.DataFrame({'n': range(3)})")
        branch = context.fork()
        branch.does("frame['m'] = frame.n * 2")
        assert context.value("list(frame.columns)") == ["n"]
        (item,) = branch.run("frame")["items"]
        assert "<table" in item["html"]

    def test_classes_decorated_functions_and_exceptions_in_flight(self, context: Branch):
        context.does(
            "import functools\n@functools.cache\ndef f(n):\n    return [n]\nf(1).append(2)\nclass A: ...\na = A(); a.self = a"
        )
        branch = context.fork()
        assert branch.value("f(1), isinstance(a.self, A), type(a) is A") == ([1, 2], True, True)
        assert branch.run("1 / 0").error == "ZeroDivisionError"

    def test_queues_and_locks_of_the_loop(self, context: Branch):
        context.does(
            "import asyncio\nqueue = asyncio.Queue()\nasync def put():\n    await asyncio.sleep(0.01)\n    queue.put_nowait(1)\n"
            "task = asyncio.create_task(put())\nprint(await queue.get())"
        )
        branch = context.fork()
        branch.does("queue.put_nowait('branch')")
        context.does("queue.put_nowait('parent')")
        assert branch.value("await queue.get()") == "branch"
        assert context.value("await queue.get()") == "parent"

    def test_a_cached_module_and_its_state(self, context: Branch):
        context.does("import decimal\ndecimal.getcontext().prec = 5")
        assert context.fork().run("decimal.Decimal(1) / 3").text == "Decimal('0.33333')"


class TestTheBranchIsAWholeKernel:
    @pytest.fixture
    def branch(self, context: Branch) -> Branch:
        context.does("x = 1")
        return context.fork()

    def test_it_plots(self, branch: Branch):
        result = branch.run("import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()")
        assert result.status == "ok", result
        assert any("png" in item for item in result["items"])

    def test_it_plots_on_when_its_parent_has_plotted(self, context: Branch):
        context.does("import matplotlib.pyplot as plt\nfigure, axes = plt.subplots()\nplt.show()")
        result = context.fork().run("axes.plot([1, 2])\nfigure")
        assert any("png" in item for item in result["items"])

    def test_it_awaits(self, branch: Branch):
        assert branch.value("import asyncio\nawait asyncio.sleep(0.01, 'slept')") == "slept"
        assert branch.value("await asyncio.gather(*(asyncio.sleep(0, n) for n in range(3)))") == [0, 1, 2]
        assert branch.value("await asyncio.to_thread(max, 1, 2)") == 2

    @pytest.mark.parametrize(
        "code", ["while True: pass", "import asyncio; await asyncio.sleep(60)", "import time; time.sleep(60)"]
    )
    def test_it_can_be_interrupted(self, branch: Branch, code: str):
        execution = branch.start(f"print('on')\n{code}")
        branch.client.wait_for_output(execution, "on")
        branch.client.interrupt(execution)
        assert branch.client.wait(execution).status == "interrupted"
        assert branch.value("x") == 1

    def test_an_interrupt_of_one_does_not_reach_the_other(self, context: Branch, branch: Branch):
        executions = [each.start("print('on')\nimport time; time.sleep(0.5); 'done'") for each in (context, branch)]
        for each, execution in zip((context, branch), executions, strict=True):
            each.client.wait_for_output(execution, "on")
        branch.client.interrupt(executions[1])
        assert [branch.client.wait(each).status for each in executions] == ["ok", "interrupted"]

    def test_a_timeout_keeps_its_state(self, branch: Branch):
        result = branch.run("while True: pass", timeout_ms=300)
        assert (result.status, result["context_state"]) == ("timeout", "preserved")

    def test_output_of_all_kinds_is_its_own_and_in_order(self, context: Branch, branch: Branch):
        code = "import os, subprocess\nprint('a')\nos.write(1, b'b\\n')\nsubprocess.run(['echo', 'c'])\nos.system('echo d')\nprint('e')"
        for each in (branch, context):
            assert each.run(code).stdout == ["a", "b", "c", "d", "e"]

    def test_it_asks_for_input(self, branch: Branch):
        assert branch.value("input('? ')", stdin=["yes"]) == "yes"

    def test_it_runs_threads_processes_and_pools(self, branch: Branch):
        assert (
            branch.value(
                "from concurrent.futures import ThreadPoolExecutor as P\nwith P(2) as p:\n    s = sum(p.map(abs, [1, -2]))\ns"
            )
            == 3
        )
        assert branch.value(
            "import multiprocessing as m\nwith m.get_context('fork').Pool(2) as p:\n    s = p.map(abs, [1, -2])\ns"
        ) == [1, 2]

    def test_linear_algebra_of_several_threads_works_on_both_sides(self, context: Branch):
        context.does("import numpy as np\na = np.random.rand(400, 400)\nb = a @ a")
        branch = context.fork()
        for each in (branch, context):
            assert each.value("bool(np.allclose(a @ a, b))") is True

    def test_it_has_its_own_environment_of_a_call(self, context: Branch, branch: Branch):
        assert branch.value("import os; os.environ.get('K')", env_vars={"K": "v"}) == "v"
        assert branch.run("import os; os.environ.get('K')").text is None

    def test_its_variables_are_listed_as_its_parents_are(self, branch: Branch):
        items = branch.client.http.get(f"/contexts/{branch.id}/variables").json()["items"]
        assert [item["name"] for item in items] == ["x"]


class TestGenerationsAndDeaths:
    def test_a_branch_of_a_branch_of_a_branch(self, context: Branch):
        context.does("path = ['root']")
        chain = [context]
        for depth in range(3):
            chain.append(chain[-1].fork())
            chain[-1].does(f"path.append({depth})")
        assert [each.value("path") for each in chain] == [["root", *range(n)] for n in range(4)]

    def test_many_generations_leave_the_stack_as_it_was(self, context: Branch):
        depth = "import inspect; len(inspect.stack())"
        before = context.value(depth)
        last = context
        for _ in range(5):
            last = last.fork()
        assert last.value(depth) == before

    def test_the_parent_may_be_killed(self, context: Branch):
        context.does("x = [1]")
        branch = context.fork()
        assert context.run("import os, signal; os.kill(os.getpid(), signal.SIGKILL)").status == "died"
        assert branch.value("x") == [1]
        assert context.client.delete(context.id) == 204
        assert branch.value("x") == [1]
        assert branch.fork().value("x") == [1]

    def test_the_death_of_a_branch_is_noticed_and_named(self, context: Branch):
        context.does("x = 1")
        branch = context.fork()
        result = branch.run("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
        assert (result.status, result["context_state"]) == ("died", "lost")
        assert result["error"]["name"] == "KernelDied"
        assert context.value("x") == 1
        assert branch.run("1")["context_state"] == "restarted"

    def test_the_report_of_a_branch_that_aborts_is_not_lost(self, context: Branch):
        context.does("import os")
        branch = context.fork()
        result = branch.run("os.abort()")
        assert result.status == "died"
        assert any("Fatal Python error" in line for line in result.stderr)
        assert "SIGABRT" in result["error"]["value"]

    def test_processes_that_a_branch_started_end_with_it(self, context: Branch):
        context.does("import subprocess")
        branch = context.fork()
        near = branch.outside(branch.value("subprocess.Popen(['sleep', '300']).pid"))
        far = branch.outside(branch.value("subprocess.Popen(['sleep', '300'], start_new_session=True).pid"))
        assert branch.client.delete(branch.id) == 204
        wait_until(lambda: not is_running(near) and not is_running(far))

    def test_the_end_of_a_parent_leaves_the_processes_of_its_branch(self, context: Branch):
        context.does("import subprocess")
        branch = context.fork()
        pid = branch.outside(branch.value("sleeper = subprocess.Popen(['sleep', '300'])\nsleeper.pid"))
        context.client.delete(context.id)
        assert is_running(pid)
        branch.does("sleeper.kill(); sleeper.wait()")

    def test_nothing_is_left_of_branches_that_were_deleted(self):
        with Server(settings={"token": TOKEN, "pool_max": "0"}) as server:
            client = server.client()
            context = Branch(client, "python", "root")
            context.does("x = 1")
            context.fork().delete()  # what is made once is there
            fds, processes, files = server.fds(), len(server.children()), server.files()
            for _ in range(3):
                branch = context.fork()
                branch.keep()
                branch.does("1")
                branch.delete()
            wait_until(lambda: len(server.children()) <= processes, what="processes to end")
            wait_until(lambda: len(server.fds()) <= len(fds), what="descriptors to be closed")
            wait_until(
                lambda: not [each for each in server.files() - files if "cache" not in each.parts], what="files to go"
            )
            client.close()


class TestRandomNumbers:
    def test_they_differ_between_branches(self, context: Branch):
        context.does("import random, numpy as np, uuid, secrets, tempfile, os\nrandom.seed(1); np.random.seed(1)")
        draw = "(random.random(), float(np.random.rand()), str(uuid.uuid4()), secrets.token_hex(), os.path.basename(tempfile.mktemp()))"
        draws = [context.value(draw), *(context.fork().value(draw) for _ in range(4))]
        for column in zip(*draws, strict=True):
            assert len(set(column)) == len(draws)

    def test_a_return_to_a_checkpoint_returns_to_its_numbers(self, context: Branch):
        context.does("import random, numpy as np\nrandom.seed(1); np.random.seed(1)")
        checkpoint = context.keep()
        draw = "[random.random(), float(np.random.rand())]"
        first = context.value(draw)
        context.restore(checkpoint)
        assert context.value(draw) == first


class TestFiles:
    def test_the_working_directory_is_copied_and_separate(self, context: Branch):
        context.does(
            "import os, pathlib\nos.makedirs('d/e')\nfor n in ('a.txt', 'd/e/b.txt'): pathlib.Path(n).write_text('old')\nos.symlink('a.txt', 'link')\nos.chdir('d')"
        )
        answer = context.forked()
        assert answer["files"] == "copied"
        branch = Branch(context.client, "python", answer["id"])
        branch.does("pathlib.Path('../a.txt').write_text('new'); os.remove('e/b.txt')")
        here, there = Path(context.value("os.getcwd()")), Path(branch.value("os.getcwd()"))
        assert here.name == there.name == "d"
        assert there.parent == Path(answer["cwd"])
        assert (here.parent / "a.txt").read_text() == "old"
        assert (here / "e/b.txt").exists()
        assert (there.parent / "link").read_text() == "new"
        assert os.readlink(there.parent / "link") == "a.txt"

    def test_temporary_files_are_made_in_a_directory_of_the_branchs_own(self, context: Branch):
        context.does("import tempfile, os\ntempfile.gettempdir()")
        branch = context.fork()
        places = [
            each.value("tempfile.gettempdir(), os.environ['TMPDIR'], tempfile.mkdtemp()") for each in (context, branch)
        ]
        for mine, other in (places, places[::-1]):
            assert mine[0] == mine[1] == os.path.dirname(mine[2])
            assert mine[0] != other[0]

    def test_open_files_keep_their_positions_and_do_not_share_them(self, context: Branch):
        context.does(
            "open('data', 'w').write('0123456789')\nsource = open('data', 'rb', buffering=0)\nsource.read(3)\nlog = open('log', 'a', buffering=1)\nlog.write('both\\n')"
        )
        branch = context.fork()
        assert context.value("source.read(2)") == b"34"
        assert branch.value("source.read(4)") == b"3456"
        assert context.value("source.read(2)") == b"56"
        branch.does("log.write('branch\\n')")
        context.does("log.write('parent\\n')")
        assert branch.value("open('log').read()") == "both\nbranch\n"
        assert context.value("open('log').read()") == "both\nparent\n"

    def test_a_file_that_its_library_closes_in_every_fork_is_no_matter(self, context: Branch):
        # The branch's own stream gets the number of the first descriptor that is free.
        context.does(
            "import os\nlog = open('log', 'a')\nlog.write('x'); log.flush()\nos.register_at_fork(after_in_child=log.close)"
        )
        answer = context.forked()
        assert answer["not_carried"] == []
        branch = Branch(context.client, "python", answer["id"])
        assert branch.value("log.closed, open('log').read()") == (True, "x")

    def test_the_fonts_that_matplotlib_has_open_are_not_mentioned(self, context: Branch):
        context.does("import matplotlib.pyplot as plt\nplt.plot([1, 2]);")
        assert [each for each in context.forked()["not_carried"] if each["kind"] == "file"] == []

    def test_a_temporary_file_without_a_name_is_copied(self, context: Branch):
        context.does("import tempfile\nf = tempfile.TemporaryFile()\nf.write(b'abc'); f.flush()")
        branch = context.fork()
        branch.does("f.write(b'branch'); f.flush()")
        context.does("f.write(b'!'); f.flush()")
        assert branch.value("f.seek(0); f.read()") == b"abcbranch"
        assert context.value("f.seek(0); f.read()") == b"abc!"

    def test_a_directory_that_the_user_named_is_shared_and_the_answer_says_so(
        self, client: Client, context: Branch, tmp_path: Path
    ):
        tmp_path.chmod(0o777)
        client.create("python", context.id, cwd=str(tmp_path))
        answer = context.forked()
        assert (answer["files"], answer["cwd"]) == ("shared", str(tmp_path))
        Branch(client, "python", answer["id"]).does("open('shared', 'w').write('x')")
        assert (tmp_path / "shared").exists()

    def test_what_cannot_be_copied_of_a_directory_is_named(self, context: Branch):
        context.does("import os\nos.mkfifo('pipe')")
        assert [each for each in context.forked()["not_carried"] if each["name"].startswith("pipe")]

    def test_a_working_directory_that_was_removed_does_not_hinder(self, context: Branch):
        context.does("import os, shutil\nx = 1\nshutil.rmtree(os.getcwd())")
        assert context.fork().value("x, os.path.isdir(os.getcwd())") == (1, True)
