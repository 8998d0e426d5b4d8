"""What of a context cannot go along with its branch, and what the request may ask for."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import pytest

from tests.harness.branches import Branch
from tests.harness.client import Client, Json, Repl
from tests.harness.server import Server

MakeRepl = Callable[..., Repl]


class TestWhatCannotBeBranched:
    def test_a_running_thread_is_named(self, context: Branch):
        context.does(
            "import threading\nstop = threading.Event()\nthreading.Thread(target=stop.wait, name='poller').start()"
        )
        assert context.obstacles() == [("thread", "poller")]
        context.does("stop.set()\nfor t in threading.enumerate():\n    if t.name == 'poller': t.join()")
        context.fork()

    def test_a_pending_task_is_named(self, context: Branch):
        context.does(
            "import asyncio\nasync def tick():\n    await asyncio.sleep(600)\ntask = asyncio.create_task(tick(), name='ticker')"
        )
        ((kind, name),) = context.obstacles()
        assert kind == "task"
        assert "ticker" in name
        assert "tick" in name

    def test_a_socket_is_named_with_its_peer(self, context: Branch, server: Server):
        port = context.value(
            "import socket\nlistener = socket.create_server(('127.0.0.1', 0))\nc = socket.create_connection(listener.getsockname())\nlistener.getsockname()[1]"
        )
        obstacles = context.obstacles()
        assert {kind for kind, _ in obstacles} == {"socket"}
        assert any(name.endswith(f"-> 127.0.0.1:{port}") for _, name in obstacles)

    def test_a_pipe_is_named(self, context: Branch):
        context.does("import os\nends = os.pipe()")
        assert [kind for kind, _ in context.obstacles()] == ["pipe", "pipe"]

    def test_a_child_process_is_named_with_its_command(self, context: Branch):
        pid = context.value("import subprocess\nchild = subprocess.Popen(['sleep', '300'])\nchild.pid")
        assert context.obstacles() == [("process", f"{pid} sleep 300")]

    def test_an_open_database_is_named(self, context: Branch):
        context.does("import sqlite3\nd = sqlite3.connect('my.db')\nd.execute('create table t (a)'); d.commit()")
        ((kind, name),) = context.obstacles()
        assert kind == "database"
        assert name.endswith("/my.db")
        context.does("d.close()")
        context.fork()

    def test_a_database_in_memory_goes_along(self, context: Branch):
        context.does(
            "import sqlite3\nd = sqlite3.connect(':memory:')\nd.execute('create table t (a)'); d.execute('insert into t values (1)')"
        )
        branch = context.fork()
        branch.does("d.execute('insert into t values (2)')")
        assert branch.value("d.execute('select count(*) from t').fetchone()") == (2,)
        assert context.value("d.execute('select count(*) from t').fetchone()") == (1,)

    def test_a_checkpoint_is_refused_for_the_same_reasons(self, context: Branch):
        context.does("import os\nends = os.pipe()")
        assert [kind for kind, _ in context.obstacles("checkpoints")] == ["pipe", "pipe"]

    def test_with_force_it_goes_on_and_lists_what_is_missing(self, context: Branch):
        context.does(
            "import threading, asyncio, socket\nstop = threading.Event()\nthread = threading.Thread(target=stop.wait, name='poller')\nthread.start()\n"
            "ticks = []\nasync def tick():\n    while True:\n        ticks.append(1)\n        await asyncio.sleep(0.01)\n"
            "task = asyncio.create_task(tick(), name='ticker')\na, b = socket.socketpair()\nx = 5"
        )
        answer = context.forked(force=True)
        assert {"thread", "task", "socket"} <= {each["kind"] for each in answer["not_carried"]}
        branch = Branch(context.client, "python", answer["id"])
        assert branch.value("x, thread.is_alive()") == (5, False)
        assert branch.value("n = len(ticks)\nawait asyncio.sleep(0.1)\nlen(ticks) - n") == 0
        assert branch.run("a.send(b'x')").status == "error"
        assert context.value("a.send(b'y'), b.recv(5), thread.is_alive()") == (1, b"y", True)
        assert context.value("n = len(ticks)\nawait asyncio.sleep(0.3)\nlen(ticks) > n") is True
        context.does("stop.set(); task.cancel()")
        assert branch.fork().value("x") == 5

    def test_idle_workers_of_the_loop_and_the_monitor_of_progress_bars_are_no_hindrance(self, context: Branch):
        context.does("import asyncio\nawait asyncio.to_thread(abs, -1)")
        assert context.fork().value("await asyncio.to_thread(abs, -2)") == 2

    def test_threads_of_libraries_are_mentioned(self, context: Branch):
        if len(os.sched_getaffinity(0)) < 2:
            pytest.skip("a library starts no threads on one core")
        context.does("import numpy as np\na = np.random.rand(600, 600)\na @ a")
        tasks = context.value("import os; len(os.listdir('/proc/self/task'))")
        mentioned = [each["kind"] for each in context.forked()["not_carried"]]
        assert ("native_thread" in mentioned) == (tasks > 2)

    def test_other_languages_say_that_they_cannot(self, client: Client, new_repl: MakeRepl):
        repl = new_repl("typescript")
        repl.run("let x = 1")
        for action, body in (("fork", {}), ("checkpoints", {})):
            response = client.http.post(f"/contexts/{repl.id}/{action}", json=body)
            assert response.status_code == 501
            assert "typescript" in response.json()["message"]
        response = client.http.post("/execute", json={"code": "1", **repl.fields, "checkpoint": True})
        assert response.status_code == 501

    def test_stock_ipykernel_says_that_it_cannot(self, client: Client, new_repl: MakeRepl):
        repl = new_repl("stock")
        repl.run("x = 1")
        assert client.http.post(f"/contexts/{repl.id}/fork").status_code == 501


class TestForkRequests:
    def test_it_waits_for_the_cells_that_are_queued(self, context: Branch):
        slow = context.start("import time\nprint('on'); time.sleep(0.5); x = 'slow'")
        context.client.wait_for_output(slow, "on")
        quick = context.start("y = x + ' quick'")
        assert context.fork().value("y") == "slow quick"
        assert context.client.wait(quick).status == "ok"

    def test_the_new_id_can_be_chosen_once(self, context: Branch):
        context.does("x = 1")
        name = f"{context.id}-copy"
        assert context.forked(context_id=name)["branched_from"] == context.id
        response = context.post("fork", {"context_id": name})
        assert response.status_code == 409
        assert name in response.json()["message"]

    def test_an_unknown_context_is_404(self, client: Client):
        assert client.http.post("/contexts/nobody/fork").status_code == 404
        assert client.http.post("/contexts/nobody/checkpoints").status_code == 404
        assert client.http.post("/contexts/nobody/restore", json={"checkpoint": "x"}).status_code == 404

    def test_a_fork_of_a_checkpoint(self, context: Branch):
        context.does("x = ['kept']")
        checkpoint = context.keep()
        context.does("x.append('later')")
        answer = context.forked(checkpoint=checkpoint)
        assert answer["checkpoint"] == checkpoint
        assert Branch(context.client, "python", answer["id"]).value("x") == ["kept"]
        assert context.value("x") == ["kept", "later"]

    def test_many_at_once(self, context: Branch):
        context.does("x = list(range(10))")
        answers: list[Json] = []
        threads = [threading.Thread(target=lambda: answers.append(context.forked())) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len({answer["id"] for answer in answers}) == 6
        for number, answer in enumerate(answers):
            assert Branch(context.client, "python", answer["id"]).value(f"x.append({number}); x[10:]") == [number]
