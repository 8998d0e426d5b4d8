"""What must still work in an isolated context: cells, each with the text of its value."""

from __future__ import annotations

PYTHON = {
    "numpy": ("import numpy; a = numpy.random.rand(400, 400); float(numpy.linalg.det(numpy.eye(400))), (a @ a).shape", "(1.0, (400, 400))"),
    "pandas": ("import pandas; pandas.DataFrame({'a': [1, 2]}).to_csv('f.csv'); int(pandas.read_csv('f.csv').a.sum())", "3"),
    "matplotlib": ("import matplotlib.pyplot as plt; plt.plot([1, 2]); plt.savefig('p.png'); plt.close(); open('p.png', 'rb').read(4)", r"b'\x89PNG'"),
    "scikit-learn": (
        "from sklearn.linear_model import LinearRegression as L; round(float(L().fit([[1], [2]], [2, 4]).predict([[3]])[0]))",
        "6",
    ),
    "forests in threads and processes": (
        "from sklearn.ensemble import RandomForestClassifier as F; X = [[0], [1]] * 20\nF(n_jobs=2).fit(X, [0, 1] * 20).score(X, [0, 1] * 20)",
        "1.0",
    ),
    "multiprocessing, fork": (
        "import multiprocessing as m\ndef double(n): return 2 * n\nwith m.get_context('fork').Pool(2) as pool: got = pool.map(double, range(4))\ngot",
        "[0, 2, 4, 6]",
    ),
    "multiprocessing, spawn": ("import multiprocessing as m, math\nwith m.get_context('spawn').Pool(1) as p: got = p.map(math.sqrt, [4])\ngot", "[2.0]"),
    "multiprocessing, queue": (
        "import multiprocessing as m\nc = m.get_context('fork'); q = c.Queue(); p = c.Process(target=q.put, args=(7,)); p.start(); got = q.get(timeout=20); p.join(); got",
        "7",
    ),
    "shared memory": (
        "from multiprocessing import shared_memory as s\nx = s.SharedMemory(create=True, size=10); x.buf[0] = 5; y = s.SharedMemory(x.name); got = y.buf[0]; y.close(); x.close(); x.unlink(); got",
        "5",
    ),
    "process pool": ("import concurrent.futures as c, math\nwith c.ProcessPoolExecutor(2) as p: got = list(p.map(math.factorial, [3, 4]))\ngot", "[6, 24]"),
    "thread pool": ("import concurrent.futures as c\nwith c.ThreadPoolExecutor(4) as p: got = sum(p.map(abs, range(-4, 0)))\ngot", "10"),
    "subprocess": ("import subprocess; subprocess.run('echo $((6 * 7)) | cat', shell=True, capture_output=True, text=True).stdout", r"'42\n'"),
    "shell": ("got = !echo one; ls /usr > /dev/null && echo two\nlist(got)", "['one', 'two']"),
    "asyncio": ("import asyncio\nprocess = await asyncio.create_subprocess_exec('true')\n(await process.wait(), await asyncio.sleep(0, 'x'))", "(0, 'x')"),
    "a server on its own loopback": (
        "import asyncio\nasync def serve(r, w): w.write(b'hello'); w.close()\ns = await asyncio.start_server(serve, '127.0.0.1', 0)\n"
        "r, w = await asyncio.open_connection(*s.sockets[0].getsockname())\ngot = await r.read(); s.close(); got",
        "b'hello'",
    ),
    "sqlite": ("import sqlite3; d = sqlite3.connect('d.sqlite'); d.execute('create table t(a)'); d.execute('insert into t values (3)'); d.commit(); d.execute('select a from t').fetchall()", "[(3,)]"),
    "git": (
        "import subprocess\ndef git(*a): return subprocess.run(['git', '-c', 'user.name=n', '-c', 'user.email=e@x', *a], check=True, capture_output=True, text=True).stdout\n"
        "git('init', '-q', 'r'); open('r/f', 'w').write('x'); git('-C', 'r', 'add', 'f'); git('-C', 'r', 'commit', '-qm', 'first'); git('-C', 'r', 'log', '--format=%s')",
        r"'first\n'",
    ),
    "temporary files": ("import tempfile\nwith tempfile.NamedTemporaryFile() as f, tempfile.TemporaryDirectory() as d: f.write(b'x'); got = f.tell()\ngot", "1"),
    "terminals": ("import pty, os; pid, fd = pty.fork()\nif pid == 0: os.execvp('echo', ['echo', 'tty'])\ngot = os.read(fd, 3); os.waitpid(pid, 0); got", "b'tty'"),
    "interfaces": ("import psutil; '127.0.0.1' in [a.address for a in psutil.net_if_addrs()['lo']]", "True"),
    "time zones, users, names": ("import os, pwd, getpass, zoneinfo, locale; zoneinfo.ZoneInfo('Europe/Paris').key, len(os.path.expanduser('~')) > 1", "('Europe/Paris', True)"),
    "loopback by name": ("import socket; socket.gethostbyname('localhost')", "'127.0.0.1'"),
    "certificates": ("import ssl; len(ssl.create_default_context().get_ca_certs()) >= 0", "True"),
    "its number of processors": ("import os; 1 <= len(os.sched_getaffinity(0)) <= os.cpu_count()", "True"),
    "its own processes": ("import os, psutil; psutil.Process().pid == os.getpid() and os.getpid() in psutil.pids()", "True"),
    "descriptors by name": ("open('/dev/null', 'w').write('x') and open('/dev/urandom', 'rb').read(2) is not None and open('/dev/fd/0') is not None", "True"),
}  # fmt: skip
"""Name -> a cell, and the text of its value."""

TYPESCRIPT = {
    "files": ("const fs = require('fs'); fs.writeFileSync('f.txt', 'six'); fs.readFileSync('f.txt', 'utf8')", "'six'"),
    "child process": ("require('child_process').execSync('echo child').toString().trim()", "'child'"),
    "child of Node": (
        "require('child_process').execFileSync(process.execPath, ['-p', '6 * 7']).toString().trim()",
        "'42'",
    ),
    "fork": (
        "await new Promise(done => { require('fs').writeFileSync('c.js', 'process.send(7)'); require('child_process').fork('./c.js').on('message', done) })",
        "7",
    ),
    "worker": (
        "await new Promise((done, fail) => new (require('worker_threads').Worker)(\"require('worker_threads').parentPort.postMessage(5)\", {eval: true}).on('message', done).on('error', fail))",
        "5",
    ),
    "a server on its own loopback": (
        "await new Promise(done => { const s = require('http').createServer((q, r) => { r.end('hello'); s.close() }).listen(0, '127.0.0.1', async () => done(await (await fetch('http://127.0.0.1:' + s.address().port)).text())) })",
        "'hello'",
    ),
    "processors": ("require('os').availableParallelism() >= 1", "true"),
    "interfaces": ("require('os').networkInterfaces().lo[0].address", "'127.0.0.1'"),
    "crypto and zlib": (
        "require('zlib').gunzipSync(require('zlib').gzipSync('z')).toString() + require('crypto').randomBytes(2).length",
        "'z2'",
    ),
    "modules": ("import { basename } from 'node:path'; basename('/a/b')", "'b'"),
}
