"""The same cell in every language, so that one suite runs over all of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from textwrap import dedent


@dataclass(frozen=True)
class Dialect:
    """Cells by what they do. Every one with a number in it does it on that line."""

    name: str
    loop: str  # runs for ever
    print_loop: str  # prints "tick" and runs for ever
    sleep: str  # blocks for a minute without using the processor
    wait: str  # awaits for a minute
    stubborn: str  # ignores interrupts for ever
    damage: str  # removes what every later cell needs
    throw_line_3: str  # name OddError, value "boom"
    syntax_error: str
    kill_itself: str
    end_at_once: str  # ends the process in another way
    end_reason: str  # what is said of that
    polite_exit: str  # what a script ends itself with
    pid: str
    cwd: str
    all_env: str  # prints the whole environment as one JSON line
    flood_200_mb: str  # 2,000 lines of 100,000 bytes, each starting with its number in five digits
    slow_lines: str  # prints 0 to 59, one line every 20 ms
    input: str  # the value is the line that was read
    overwrite_line: str  # "10%\r50%\r100%\n"
    child: str  # starts `sleep 300` in the background, the value is its pid
    detached_child: str  # the same in a session of its own
    half_a_second: str  # blocks for that long
    fail: str
    make_list_a_and_b: str
    extend_a_remove_b: str

    def set(self, name: str, value: object) -> str:
        return f"{name} = {json.dumps(value)}" if self.name == "python" else f"let {name} = {json.dumps(value)};"

    def print(self, *values: str) -> str:
        call = "print" if self.name == "python" else "console.log"
        return "\n".join(f"{call}({value})" for value in values)

    def print_error(self, text: str) -> str:
        if self.name == "python":
            return f"import sys; print({text!r}, file=sys.stderr)"
        return f"console.error({json.dumps(text)})"

    def env(self, name: str) -> str:
        """The value is the variable, or "(unset)"."""
        if self.name == "python":
            return f"import os; print(os.environ.get('{name}', '(unset)'), end='')"
        return f"process.stdout.write(process.env.{name} ?? '(unset)')"

    def set_env(self, name: str, value: str) -> str:
        return (
            f"import os; os.environ['{name}'] = {value!r}"
            if self.name == "python"
            else f"process.env.{name} = {value!r}"
        )

    def shell(self, command: str) -> str:
        """Prints what a shell command prints."""
        if self.name == "python":
            return f"import subprocess; print(subprocess.run({command!r}, shell=True, capture_output=True, text=True).stdout, end='')"
        return (
            "import { execSync } from 'node:child_process';\n"
            f"process.stdout.write(execSync({json.dumps(command)}).toString())"
        )

    def write_file(self, name: str, text: str) -> str:
        if self.name == "python":
            return f"import pathlib; pathlib.Path({name!r}).write_text({text!r})"
        return f"import fs from 'node:fs'; fs.writeFileSync({json.dumps(name)}, {json.dumps(text)})"

    def read_file(self, name: str) -> str:
        """Prints the file."""
        if self.name == "python":
            return f"import pathlib; print(pathlib.Path({name!r}).read_text(), end='')"
        return f"import fs from 'node:fs'; process.stdout.write(fs.readFileSync({json.dumps(name)}, 'utf8'))"

    def then(self, first: str, second: str) -> str:
        return f"{first}\n{second}"


PYTHON = Dialect(
    name="python",
    loop="while True: pass",
    print_loop="while True: print('tick')",
    sleep="import time; time.sleep(60)",
    wait="import asyncio; await asyncio.sleep(60)",
    # A function: CPython 3.11 lets an interrupt of a bare loop past its handler. Two handlers: one interrupt may follow while another is handled.
    damage="import builtins; del builtins.__import__",
    stubborn=dedent("""\
        def spin():
            while True: int()
        while True:
            try:
                while True:
                    try: spin()
                    except KeyboardInterrupt: pass
            except KeyboardInterrupt: pass"""),
    throw_line_3="class OddError(Exception): pass\n\nraise OddError('boom')",
    syntax_error="1 +* 2",
    kill_itself="import os; os.kill(os.getpid(), 9)",
    end_at_once="import os; os._exit(3)",
    end_reason="3",
    polite_exit="import sys; sys.exit(3)",
    pid="import os; os.getpid()",
    cwd="import os; print(os.getcwd())",
    all_env="import json, os; print(json.dumps(dict(os.environ)))",
    flood_200_mb="for i in range(2000): print(f'{i:05}' + 'x' * 99_994)",
    slow_lines="import time\nfor i in range(60):\n    print(i, flush=True); time.sleep(0.02)",
    input="print(input('name? '))",
    overwrite_line="print('10%', end='\\r', flush=True); print('50%', end='\\r', flush=True); print('100%')",
    child="import subprocess; subprocess.Popen(['sleep', '300']).pid",
    detached_child="import subprocess; subprocess.Popen(['sleep', '300'], start_new_session=True).pid",
    half_a_second="import time; time.sleep(0.5)",
    fail="1 / 0",
    make_list_a_and_b="a = [1]; b = 2",
    extend_a_remove_b="a.append(2); del b",
)

TYPESCRIPT = Dialect(
    name="typescript",
    loop="while (true) {}",
    print_loop="while (true) console.log('tick')",
    sleep="Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60_000)",
    wait="await new Promise((resolve) => setTimeout(resolve, 60_000))",
    damage="Object.prototype.then = () => {}",
    stubborn="for (;;) { try { await new Promise(() => {}) } catch {} }",
    throw_line_3="class OddError extends Error { name: string = 'OddError' }\n\nthrow new OddError('boom')",
    syntax_error="1 +* 2",
    kill_itself="process.kill(process.pid, 'SIGKILL')",
    end_at_once="process.abort()",
    end_reason="SIGABRT",
    polite_exit="process.exit(3)",
    pid="process.pid",
    cwd="console.log(process.cwd())",
    all_env="console.log(JSON.stringify(process.env))",
    flood_200_mb="for (let i = 0; i < 2000; i++) console.log(String(i).padStart(5, '0') + 'x'.repeat(99_994))",
    slow_lines="for (let i = 0; i < 60; i++) { console.log(i); await new Promise((go) => setTimeout(go, 20)) }",
    input="console.log(prompt('name? '))",
    overwrite_line="process.stdout.write('10%\\r'); process.stdout.write('50%\\r'); console.log('100%')",
    child="import { spawn } from 'node:child_process'; spawn('sleep', ['300']).pid",
    detached_child="import { spawn } from 'node:child_process'; spawn('sleep', ['300'], { detached: true }).pid",
    half_a_second="Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500)",
    fail="throw new Error('no')",
    make_list_a_and_b="const a = [1]; globalThis.b = 2",
    extend_a_remove_b="a.push(2); delete globalThis.b",
)

DIALECTS = (PYTHON, TYPESCRIPT)
