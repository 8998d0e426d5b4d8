"""Files: checks 19 to 23."""

from __future__ import annotations

import concurrent.futures
from typing import TYPE_CHECKING

from tests.hostile.check import check, scene
from tests.hostile.prelude import *  # noqa: F403 - what the attack's text begins with

if TYPE_CHECKING:
    from tests.hostile.stage import Stage

# ruff: noqa: F405


@check(19, "ENOENT or EACCES.", since="landlock", as_root="process")
def secrets_by_path() -> object:
    """Reads the operator's keys, token, configuration and log: by path, `..`, a symlink, /proc/self/root, /proc/1/root, /proc/self/cwd."""
    secret, found = FACTS["secret"].encode(), []
    for path in FACTS["secrets"]:
        up = "../" * 40 + path.lstrip("/")
        link = f"link-{os.getpid()}-{os.path.basename(path)}"
        os.symlink(path, link)
        routes = {"path": path, "..": up, "link": link, "root": f"/proc/self/root{path}", "1": f"/proc/1/root{path}"}
        routes |= {"parent": f"/proc/{PARENT or 1}/root{path}", "cwd": f"/proc/self/cwd/{up}"}
        found += [
            f"{path} {name}" for name in reached({name: lambda to=to: sink(to, secret) for name, to in routes.items()})
        ]
        os.unlink(link)
    return found


@check(19, "ENOENT or EACCES.", since="landlock", as_root="process")
def files_of_another() -> object:
    """Reads and lists the directory of another context, writes into it, and makes a hard link to its file."""
    found = []
    for path in FACTS["victims"]:
        folder, mine = os.path.dirname(path), f"hard-{os.getpid()}"
        routes = {"read": lambda path=path: sink(path, b"private"), "list": lambda folder=folder: os.listdir(folder)}
        routes |= {"root": lambda path=path: sink(f"/proc/self/root{path}", b"private")}
        routes |= {"link": lambda path=path, mine=mine: os.link(path, mine) is None}
        routes |= {"write": lambda path=path: os.open(path, os.O_WRONLY) >= 0}
        routes |= {
            "make": lambda folder=folder: os.close(os.open(f"{folder}/planted", os.O_WRONLY | os.O_CREAT)) is None
        }
        found += [f"{path} {name}" for name in reached(routes)]
        with contextlib.suppress(OSError):
            os.unlink(mine)
    return found


@check(19, "Not listed.", since="landlock", as_root="process")
def list_of_the_run_directory() -> object:
    """Lists the server's run directory, the directory of all contexts, and the operator's home."""
    folders = (FACTS["run_dir"], FACTS["home_of_contexts"], FACTS["home"])
    return reached({folder: lambda folder=folder: len(os.listdir(folder)) > 1 for folder in folders})


@scene(
    19,
    "Refused, or only in a place of its own that nobody else sees.",
    since="landlock",
    as_root="process",
    languages="python",
)
def write_into_the_run_directory(stage: Stage, language: str) -> object:
    """Makes files in the server's run directory, the directory of all contexts, and the operator's home."""
    planted = [f"{stage.facts[name]}/planted" for name in ("run_dir", "home_of_contexts", "home")]
    cell = f"for path in {planted!r}:\n    try: open(path, 'w').write('x')\n    except OSError as error: print(error)"
    assert stage.run(language, cell).status == "ok"
    found = [path for path in planted if os.path.exists(path)]
    for path in found:
        os.unlink(path)
    return found


def link_of(language: str, target: str, name: str) -> str:
    """A cell that makes a symlink in the context's working directory."""
    if language == "python":
        return f"import os; os.symlink({target!r}, {name!r})"
    return f"require('fs').symlinkSync({target!r}, {name!r})"


@scene(20, "Refused: the file API follows no link.", since="none")
def secret_as_an_output(stage: Stage, language: str) -> object:
    """Makes output files that are symlinks to the operator's files, and lets them be downloaded and listed."""
    found = []
    with stage.other(language) as repl:
        for number, path in enumerate([*stage.secrets, "/etc/passwd", "/proc/self/environ"]):
            answer = repl.run(link_of(language, path, f"out-{number}.txt"))
            assert answer.status == "ok", answer
            got = stage.client.http.get(stage.files(repl, f"out-{number}.txt"))
            found += [path] if got.status_code == 200 and got.content else []
            found += [f"{path} in the answer"] if stage.secret_reached(str(answer).encode()) else []
        assert repl.run(link_of(language, str(stage.home), "folder")).status == "ok"
        for path in ("folder/.netrc", "folder/.ssh/id_ed25519"):
            got = stage.client.http.get(stage.files(repl, path))
            found += [path] if got.status_code == 200 else []
    return found


SWAPS = """
import os, threading
over = threading.Event()
def swap():
    while not over.is_set():
        for make in (lambda: open("swapped.new", "w").write("mine"), lambda: os.symlink({target!r}, "swapped.new")):
            try: os.unlink("swapped.new")
            except FileNotFoundError: pass
            make()
            os.replace("swapped.new", "swapped.txt")
thread = threading.Thread(target=swap, daemon=True)
thread.start()
"""


@scene(20, "Every download is the context's own file, or refused.", since="none", languages="python")
def swapped_during_download(stage: Stage, language: str) -> object:
    """Swaps an output file for a link to a secret and back, without end, while it is downloaded."""
    with stage.other(language) as repl:
        assert repl.run(SWAPS.format(target=stage.secrets[0])).status == "ok"

        def fetch(_: int) -> bytes:
            return stage.client.http.get(stage.files(repl, "swapped.txt")).content

        with concurrent.futures.ThreadPoolExecutor(4) as threads:
            return [data for data in threads.map(fetch, range(200)) if stage.secret_reached(data)]


@scene(20, "Refused: nothing is written outside of the working directory.", since="none")
def upload_through_a_link(stage: Stage, language: str) -> object:
    """Lets files be uploaded through a dangling link, through a link to a file, and into a directory that is a link."""
    aim, folder = stage.home / "planted-by-upload", stage.home / ".ssh"
    with stage.other(language) as repl:
        for target, name in ((aim, "dangling.txt"), (stage.secrets[1], "existing.txt"), (folder, "folder")):
            assert repl.run(link_of(language, str(target), name)).status == "ok"
        for path in ("dangling.txt", "existing.txt", "folder/planted", "folder/deeper/planted"):
            stage.client.http.put(stage.files(repl, path), content=b"from outside")
    found = [str(path) for path in (aim, folder / "planted", folder / "deeper") if path.exists()]
    return found + [path for path in stage.secrets if not stage.secret_reached(Path(path).read_bytes())]


SWAPPED_FOLDER = """
import os, threading, shutil
def swap():
    while True:
        try:
            os.mkdir("real") if not os.path.isdir("real") else None
            os.rename("real", "folder"); os.rename("folder", "real")
            os.symlink({target!r}, "folder"); os.unlink("folder")
        except OSError:
            shutil.rmtree("real", ignore_errors=True)
threading.Thread(target=swap, daemon=True).start()
"""


@scene(20, "Every upload lands in the working directory, or is refused.", since="none", languages="python")
def folder_swapped_during_upload(stage: Stage, language: str) -> object:
    """Swaps a directory for a link to the operator's home, without end, while files are uploaded into it."""
    with stage.other(language) as repl:
        assert repl.run(SWAPPED_FOLDER.format(target=str(stage.home))).status == "ok"

        def put(number: int) -> int:
            return stage.client.http.put(stage.files(repl, f"folder/planted-{number}"), content=b"x").status_code

        with concurrent.futures.ThreadPoolExecutor(4) as threads:
            statuses = set(threads.map(put, range(100)))
    assert not {status for status in statuses if status >= 500}, statuses
    return sorted(str(path) for path in stage.home.glob("planted-*"))


ODD_FILES = r"""
import os, socket
os.mkfifo("fifo")
made = socket.socket(socket.AF_UNIX); made.bind("socket")
try: os.truncate(os.open("sparse", os.O_CREAT | os.O_WRONLY), 1 << 40)
except OSError as error: print("sparse", error)
for name in (b"new\nline", b"invalid-\xff\xfe", b"\x1b[31mred", b"q" * 255, "‮gnp.exe".encode()):
    open(name, "w").write("odd")
os.symlink("self", "self")
os.symlink(".", "here")
start = os.getcwd()
for _ in range(10_000):
    os.mkdir("d"); os.chdir("d")
os.chdir(start)
"""


@scene(21, "Bounded, refused by name, and nothing hangs.", since="none", languages="python")
def odd_files(stage: Stage, language: str) -> object:
    """Makes a FIFO, a socket, a file of 1 TB, 10,000 nested directories, links in circles, and odd names; all are listed and downloaded."""
    found, before = [], stage.server.memory()
    with stage.other(language) as repl:
        answer = repl.run(ODD_FILES, timeout_ms=60_000)
        assert answer.status == "ok", answer
        for name in ("fifo", "socket", "sparse", "self", "here", "d", "d/d/d/d", "new%0Aline", "invalid-%FF%FE"):
            with stage.client.http.stream("GET", stage.files(repl, name)) as got:
                for _ in _first(got.iter_bytes(), 1 << 25):
                    pass
                found += [f"{name} {got.status_code}"] if got.status_code >= 500 else []
        assert stage.client.http.put(stage.files(repl, "fifo"), content=b"x").status_code < 500
        listed = stage.client.http.get(f"/contexts/{repl.id}/files", params={"language": language})
        found += [f"list {listed.status_code}"] if listed.status_code >= 500 else []
        assert repl.run("open('after.txt', 'w').write('x')").status == "ok"
        grown = (stage.server.memory() - before) >> 20
    return found + ([f"the server has {grown} MB more"] if grown > 100 else [])


def _first(pieces: Iterator[bytes], most: int) -> Iterator[bytes]:
    """The pieces of a download until there are more bytes than that."""
    for piece in pieces:
        yield piece
        most -= len(piece)
        if most < 0:
            return


MANY_FILES = """
import os
os.mkdir("many"); open("many/0", "w").close()
count = 1
try:
    for folder in range(100):
        os.mkdir(f"many/f{folder}")
        for number in range(1000):
            os.link("many/0", f"many/f{folder}/{number}" ); count += 1
except OSError as error:
    print(error)
print(count)
"""


@scene(21, "Bounded: the list is cut and says so, and nothing hangs.", since="none", languages="python")
def many_files(stage: Stage, language: str) -> object:
    """Makes 100,000 names, which are then listed and deleted."""
    with stage.other(language) as repl:
        answer = repl.run(MANY_FILES, timeout_ms=60_000)
        assert answer.status == "ok", answer
        assert len(str(answer)) < 2_000_000, "the answer names all files"
        listed = stage.client.http.get(f"/contexts/{repl.id}/files", params={"language": language})
        return listed.status_code >= 500 or len(listed.content) > 50_000_000


@check(22, "Refused: they are read-only, or of another user.", since="landlock", as_root="process", depends=True)
def code_of_everybody() -> object:
    """Opens for writing: the interpreter, its packages, a new .pth file, sitecustomize, the kernel's own code."""
    paths = [
        FACTS["interpreter"],
        f"{FACTS['packages']}/IPython/__init__.py",
        f"{FACTS['packages']}/psutil/__init__.py",
    ]
    writable = {path: lambda path=path: os.open(path, os.O_RDWR) >= 0 for path in paths}

    def planted() -> bool:
        path = f"{FACTS['packages']}/hostile-{os.getpid()}.txt"
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT))
        os.unlink(path)
        return True

    return reached({**writable, "folder of packages": planted})


PLANTED = (
    ".npmrc",
    ".local/lib/python3/site-packages/usercustomize.py",
    ".config/pip/pip.conf",
    ".bashrc",
    ".node_modules/x.js",
    ".pythonrc",
)


@scene(
    22, "The next context does not see it, and neither does the operator's home.", since="process", languages="python"
)
def plant_in_the_home(stage: Stage, language: str) -> object:
    """Plants settings of npm, pip, Python and the shell in its home directory."""
    cell = f"""
import os
home = os.path.expanduser("~")
for name in {PLANTED!r}:
    path = os.path.join(home, name)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "a") as file: file.write("# planted")
    except OSError as error: print(error)
"""
    look = f"import os; [n for n in {PLANTED!r} if 'planted' in (open(os.path.expanduser('~/' + n)).read() if os.path.exists(os.path.expanduser('~/' + n)) else '')]"
    before = {path: path.read_bytes() for name in PLANTED if (path := stage.home / name).exists()}
    with stage.other(language) as repl, stage.other(language) as later:
        assert repl.run(cell).status == "ok"
        found = [later.run(look).text] if later.run(look).text != "[]" else []
    found += [
        name for name in PLANTED if (path := stage.home / name).exists() and path.read_bytes() != before.get(path)
    ]
    for name in PLANTED:
        (stage.home / name).unlink(missing_ok=True)
    for path, data in before.items():
        path.write_bytes(data)
    return found


@scene(22, "Only its own cell sees them.", since="none")
def variables_that_load_code(stage: Stage, language: str) -> object:
    """Sets LD_PRELOAD, NODE_OPTIONS, PYTHONSTARTUP and PATH by `env_vars`, and in its process."""
    names = ("LD_PRELOAD", "NODE_OPTIONS", "PYTHONSTARTUP", "PYTHONPATH", "BASH_ENV")
    env = dict.fromkeys(names, "/planted/by/another") | {"NODE_OPTIONS": "--require=/planted/by/another"}
    cells = {
        "python": "import os; [os.environ.update({n: '/planted'}) for n in %r]; 1+1",
        "typescript": "for (const n of %s) process.env[n] = '/planted'; 1+1",
    }
    seen = {
        "python": "import os; [v for v in os.environ.values() if 'planted' in v]",
        "typescript": "Object.values(process.env).filter(v => v.includes('planted'))",
    }
    with stage.other(language) as repl, stage.other(language) as later:
        repl.run("1+1", env_vars=env)
        own = repl.run(seen[language]).text
        repl.run(cells[language] % (list(names),))
        return [text for text in (own, later.run(seen[language]).text) if text != "[]"]


@check(23, "No denied file is reached.", since="landlock", as_root="process")
def ways_round() -> object:
    """Reaches for a secret by rename, by a link to an O_PATH descriptor, by a program in memory, and by the dynamic linker."""
    secret, path = FACTS["secret"].encode(), FACTS["secrets"][0]
    copy = f"round-{os.getpid()}"

    def by_descriptor() -> bool:
        fd = os.open(path, os.O_PATH)
        return sink(f"/proc/self/fd/{fd}", secret)

    def by_link() -> bool:
        fd = os.open(path, os.O_PATH)
        os.link(f"/proc/self/fd/{fd}", copy, follow_symlinks=True)
        os.unlink(copy)
        return True

    def by_program(command: list[str]) -> bool:
        return secret in subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout

    def by_memory() -> bool:
        fd = call("memfd_create", b"cat", 0)
        os.write(fd, Path("/usr/bin/cat").read_bytes())
        done = subprocess.run(
            [f"/proc/self/fd/{fd}", path], pass_fds=[fd], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False
        )
        return secret in done.stdout

    def by_rename() -> bool:
        os.rename(path, copy)
        got = sink(copy, secret)
        os.rename(copy, path)
        return got

    linker = next(
        (name for name in ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1") if os.path.exists(name)), None
    )
    ways = {
        "rename": by_rename,
        "O_PATH": by_descriptor,
        "link": by_link,
        "memfd": by_memory,
        "cat": lambda: by_program(["cat", path]),
    }
    return reached(ways | ({"ld.so": lambda: by_program([linker, "/usr/bin/cat", path])} if linker else {}))


@scene(23, "They are unaltered.", since="none", languages="python")
def programs_of_the_server(stage: Stage, language: str) -> object:
    """Reaches for the server's program through /proc, as its own executable, without changing it at the lower tiers."""
    paths = [Path(stage.facts["interpreter"]), Path(stage.facts["packages"], "IPython/__init__.py")]
    before = [(path.stat().st_mtime_ns, path.stat().st_size) for path in paths]
    answer = stage.run(
        language,
        "import os\nfor way in ('/proc/self/exe', '/proc/1/exe'):\n    try: os.open(way, os.O_RDWR)\n    except OSError as e: print(e)",
    )
    assert answer.status == "ok", answer
    return before != [(path.stat().st_mtime_ns, path.stat().st_size) for path in paths]
