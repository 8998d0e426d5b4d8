"""Standard input of a cell: lines that the client gives, then the end of input, whichever way a program reads them."""

import pytest
from ts_kernel import DEADLINE

END = "\x04"
LINES = ["Ada", "漢字 🐍", ""]

WAYS = {
    "for await": "let read = ''; for await (const chunk of process.stdin) read += chunk; read",
    "data events": "let read = ''; process.stdin.setEncoding('utf8').on('data', (c) => read += c);"
    "await new Promise((r) => process.stdin.on('end', r)); read",
    "readFileSync of 0": "require('node:fs').readFileSync(0, 'utf8')",
    "readFileSync of a file": "import { readFileSync } from 'node:fs'; readFileSync('/dev/stdin').toString()",
    "readSync": "const small = Buffer.alloc(5); const parts: Buffer[] = [];"
    "for (let n; (n = require('fs').readSync(0, small)) > 0;) parts.push(Buffer.from(small.subarray(0, n)));"
    "Buffer.concat(parts).toString()",
    "readline": "import * as readline from 'node:readline/promises';"
    "let all = ''; for await (const line of readline.createInterface({ input: process.stdin })) all += line + '\\n'; all",
}


def feed(kernel, msg_id, lines):
    """Answer each request in turn."""
    for line in lines:
        request = kernel.client.get_stdin_msg(timeout=DEADLINE)
        assert request["parent_header"]["msg_id"] == msg_id
        kernel.client.input(line)
    return kernel.collect(msg_id)


@pytest.mark.parametrize("way", WAYS)
def test_a_cell_reads_the_lines_and_then_the_end(kernel, way):
    result = feed(kernel, kernel.send(WAYS[way], allow_stdin=True), [*LINES, END])
    assert (result.status, result.text) == ("ok", "'Ada\\n漢字 🐍\\n\\n'")


@pytest.mark.parametrize("way", WAYS)
def test_without_stdin_the_end_comes_at_once(kernel, way):
    assert kernel.value(WAYS[way]) == "''"


def test_a_cell_lasts_as_long_as_it_listens(kernel):
    code = """
        const rl = require('node:readline').createInterface({ input: process.stdin });
        rl.on('line', (line) => console.log('got', line));
        rl.on('close', () => console.log('closed'));"""
    result = feed(kernel, kernel.send(code, allow_stdin=True), ["one", "two", END])
    assert result.stream() == "got one\ngot two\nclosed\n"


def test_who_asks_for_one_line_takes_one(kernel):
    code = """
        const rl = require('node:readline').createInterface({ input: process.stdin, output: process.stdout });
        rl.question('name? ', (name) => { console.log('hello', name); rl.close(); });"""
    result = feed(kernel, kernel.send(code, allow_stdin=True), ["Ada"])
    assert result.stream() == "name? hello Ada\n"


def test_questions_one_after_the_other_and_a_prompt_among_them(kernel):
    code = """
        const rl = require('node:readline/promises').createInterface({ input: process.stdin });
        const first = await rl.question('a'); rl.pause(); const second = prompt('b'); const third = await rl.question('c'); rl.close();
        [first, second, third]"""
    result = feed(kernel, kernel.send(code, allow_stdin=True), ["1", "2", "3"])
    assert result.text == "[ '1', '2', '3' ]"


def test_what_a_cell_did_not_read_is_no_business_of_the_next(kernel):
    feed(kernel, kernel.send("process.stdin.once('data', () => process.stdin.pause())", allow_stdin=True), ["one"])
    assert kernel.value(WAYS["for await"]) == "''"
    assert feed(kernel, kernel.send(WAYS["for await"], allow_stdin=True), ["two", END]).text == "'two\\n'"


def test_a_listener_of_an_earlier_cell_hears_no_later_lines(kernel):
    kernel.run("const heard = []; const earlier = process.stdin; earlier.on('data', (c) => heard.push(`${c}`))")
    assert feed(kernel, kernel.send(WAYS["for await"], allow_stdin=True), ["late", END]).text == "'late\\n'"
    assert kernel.value("heard") == "[]"


def test_an_interrupt_ends_the_wait_for_a_line(kernel):
    msg_id = kernel.send(WAYS["for await"], allow_stdin=True)
    assert kernel.client.get_stdin_msg(timeout=DEADLINE)["parent_header"]["msg_id"] == msg_id
    kernel.interrupt()
    assert kernel.collect(msg_id).reply["ename"] == "KeyboardInterrupt"
    assert feed(kernel, kernel.send(WAYS["readline"], allow_stdin=True), ["next", END]).text == "'next\\n'"


def test_timers_fire_while_a_line_is_awaited(kernel):
    msg_id = kernel.send(
        "setTimeout(() => console.log('tick'), 10); for await (const c of process.stdin);", allow_stdin=True
    )
    request = kernel.client.get_stdin_msg(timeout=DEADLINE)
    kernel.wait_for(lambda m: m["msg_type"] == "stream" and "tick" in m["content"]["text"])
    assert request["content"] == {"prompt": "", "password": False}
    kernel.client.input(END)
    assert kernel.collect(msg_id).status == "ok"


def test_other_files_are_read_as_ever(kernel):
    assert kernel.value("require('fs').readFileSync('data.json', 'utf8')") == "'{\"answer\": 42}'"
    assert kernel.run("require('fs').readFileSync('missing')").reply["ename"] == "Error"
