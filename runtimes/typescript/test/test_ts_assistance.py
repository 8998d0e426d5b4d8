"""Completion, inspection, `name?`, is_complete, and the requests that have nothing to say."""

import pytest

SETUP = """
/**
 * Puts things on the shelf.
 * @param count how many
 */
function stack(count: number, ...rest: string[]): void {}
const shelf = { booksRead: 1, get trap() { throw new Error('getter ran') }, list: [{ deep: 1 }], 'no name': 2 };
/** What one reads. */ class Book { static open() {} page = 1 }
const büro = { größe: 1 };
"""


def complete(kernel, code, position=None):
    reply = kernel.request(
        "complete_request", {"code": code, "cursor_pos": len(code) if position is None else position}
    )
    assert reply["status"] == "ok"
    return reply


@pytest.fixture(scope="module")
def furnished(shared_kernel):
    shared_kernel.run(SETUP)
    return shared_kernel


@pytest.mark.parametrize(
    ("code", "matches"),
    [
        ("shel", ["shelf"]),
        ("shelf.bo", ["booksRead"]),
        ("shelf?.bo", ["booksRead"]),
        ("shelf!.bo", ["booksRead"]),
        ("shelf.list[0].de", ["deep"]),
        ("shelf['list'][0].de", ["deep"]),
        ("shelf\n  .boo", ["booksRead"]),
        ("shelf.no", []),
        ("shelf.trap.x", []),
        ("f().x", []),
        ("Book.op", ["open"]),
        ("new Bo", ["Book", "Boolean"]),
        ("this.shel", ["shelf"]),
        ("globalThis.shel", ["shelf"]),
        ("bür", ["büro"]),
        ("büro.gr", ["größe"]),
        ("'text'.startsW", ["startsWith"]),
        ("`${shelf.bo", ["booksRead"]),
        ("`${1}`.startsW", ["startsWith"]),
        ("[1, 2].findLastI", ["findLastIndex"]),
        ("return [1].findLastI", ["findLastIndex"]),
        ("/a/g.tes", ["test"]),
        ("12..toFi", ["toFixed"]),
        ("...shel", ["shelf"]),
        ("instanceo", ["instanceof"]),
        ("satis", ["satisfies"]),
        ("// shel", []),
        ("/* shel", []),
        ("`shel", []),
        ("import { readFile } from 'node:fs/p", ["node:fs/promises"]),
        ("await import('node:worker_t", ["node:worker_threads"]),
        ("require('worker_t", ["worker_threads"]),
        ("import left from 'lef", ["left"]),
        ("import { three } from './typ", ["types.ts"]),
        ("require('./node_mod", ["node_modules/"]),
        ("fs.readFileSync('data.j", ["data.json"]),
        ("open(`./da", ["data.json"]),
        ("process.argv0", ["argv0"]),
    ],
)
def test_completion_offers_what_fits(furnished, code, matches):
    assert complete(furnished, code)["matches"] == matches


@pytest.mark.parametrize(
    ("code", "position", "span", "match"),
    [
        ("she", None, (0, 3), "shelf"),
        ("'\U0001f600'; shelf.bo", None, (11, 13), "booksRead"),
        ("shelf.boxes", 8, (6, 8), "booksRead"),
        ("import x from 'node:pat", None, (15, 23), "node:path"),
        ("shelf.", None, (6, 6), "booksRead"),
    ],
)
def test_the_cursor_counts_characters(furnished, code, position, span, match):
    reply = complete(furnished, code, position)
    assert match in reply["matches"]
    assert (reply["cursor_start"], reply["cursor_end"]) == span


def test_without_a_cursor_the_end_is_meant(furnished):
    assert furnished.request("complete_request", {"code": "shelf.bo"})["matches"] == ["booksRead"]


def test_what_is_not_meant_to_be_used_comes_last(furnished):
    matches = complete(furnished, "shelf.")["matches"]
    assert matches[0] == "booksRead"
    assert matches[-1].startswith("__")


def inspect(kernel, code, position=None, detail=0):
    content = {"code": code, "cursor_pos": len(code) if position is None else position, "detail_level": detail}
    reply = kernel.request("inspect_request", content)
    assert reply["status"] == "ok"
    assert reply["found"] == bool(reply["data"])
    return reply["data"].get("text/plain")


def test_inspection_tells_signature_type_and_documentation(furnished):
    text = inspect(furnished, "stack", 3)
    assert text.splitlines() == [
        "Signature: stack(count, ...rest)",
        "Type:      Function",
        "Documentation:",
        "Puts things on the shelf.",
        "@param count how many",
    ]
    assert inspect(furnished, "new Book").splitlines()[-1] == "What one reads."


@pytest.mark.parametrize(
    ("code", "position"), [("stack(", None), ("stack(1, [2", None), ("x = stack(1, 'a(')", 10), ("stack", 0)]
)
def test_inspection_among_arguments_is_of_the_function(furnished, code, position):
    assert inspect(furnished, code, position).startswith("Signature: stack(")


def test_inspection_tells_type_and_value(furnished):
    text = inspect(furnished, "shelf", 2)
    assert text == "Type:      Object\nValue:     { booksRead: 1, trap: [Getter], list: [ {…} ], 'no name': 2 }"
    assert inspect(furnished, "shelf.list[0].deep") == "Type:      number\nValue:     1"


def test_the_source_is_there_in_detail(furnished):
    assert "Source:" not in inspect(furnished, "Book.open")
    assert inspect(furnished, "Book.open", detail=1).endswith("Source:\nopen() {}")


@pytest.mark.parametrize("code", ["missing1", "shelf.trap", "shelf.missing", "'stack'", "// stack", "1 +", ""])
def test_what_is_not_there_is_not_found(furnished, code):
    assert inspect(furnished, code) is None


@pytest.mark.parametrize("code", ["stack?", "?stack", " stack ? "])
def test_a_name_with_a_question_mark_is_a_call_for_help(furnished, code):
    reply = furnished.run(code).reply
    (page,) = reply["payload"]
    assert (reply["status"], page["source"], page["start"]) == ("ok", "page", 0)
    assert page["data"]["text/plain"].startswith("Signature: stack(count, ...rest)")


def test_two_question_marks_show_the_source(furnished):
    (page,) = furnished.run("Book.open??").reply["payload"]
    assert page["data"]["text/plain"].endswith("open() {}")
    (page,) = furnished.run("missing1?").reply["payload"]
    assert page["data"]["text/plain"] == "missing1 is not defined."


@pytest.mark.parametrize("code", ["a ? b : c ?", "f(?", "??"])
def test_other_question_marks_are_what_they_were(furnished, code):
    assert furnished.run(code).reply["ename"] == "SyntaxError"


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("1 + 1", "complete"),
        ("", "complete"),
        ("// only a comment", "complete"),
        ("await f()", "complete"),
        ("interface A { b?: string }", "complete"),
        ("<b>{1}</b>", "complete"),
        ("@deco class A {}", "complete"),
        ("`${`${1}`}`", "complete"),
        ("let x = ", "incomplete"),
        ("x.", "incomplete"),
        ("function f() {", "incomplete"),
        ("function f(x: number): Promise<", "incomplete"),
        ("interface A {", "incomplete"),
        ("class A {\n  b: string;", "incomplete"),
        ("`text", "incomplete"),
        ("`${", "incomplete"),
        ("/* open", "incomplete"),
        ("f(", "incomplete"),
        ("[1, 2,", "incomplete"),
        ("if (x)", "incomplete"),
        ("<div>\n  <b>text</b>", "incomplete"),
        ("}", "invalid"),
        ("let let = 1", "invalid"),
        ("'open", "invalid"),
        ("f(]", "invalid"),
        ("1 +* 2", "invalid"),
        ("<div></span>", "invalid"),
    ],
)
def test_is_complete_tells_unfinished_from_wrong(kernel, code, status):
    assert kernel.request("is_complete_request", {"code": code})["status"] == status


@pytest.mark.parametrize(
    ("code", "indent"),
    [
        ("if (x) {", "  "),
        ("if (x) {\n  while (y) {", "    "),
        ("if (x) {\n  y();", "  "),
        ("f(1,\n  2,", "  "),
        ("let s = `a", ""),
        ("class A {\n\tb() {", "\t  "),
    ],
)
def test_the_next_line_of_an_unfinished_cell_is_indented(kernel, code, indent):
    assert kernel.request("is_complete_request", {"code": code}) == {"status": "incomplete", "indent": indent}


def test_history_and_comms_are_empty_and_the_unknown_is_an_error(kernel):
    assert kernel.request("history_request", {"hist_access_type": "tail"})["history"] == []
    assert kernel.request("comm_info_request", {})["comms"] == {}
    assert kernel.request("odd_request", {})["status"] == "error"


def test_a_comm_that_is_opened_is_closed_again(kernel):
    message = kernel.client.session.msg("comm_open", {"comm_id": "c1", "target_name": "x", "data": {}})
    kernel.client.shell_channel.send(message)
    closed = kernel.wait_for(lambda m: m["msg_type"] == "comm_close")
    assert closed["content"] == {"comm_id": "c1", "data": {}}
    assert closed["parent_header"]["msg_id"] == message["header"]["msg_id"]
    for kind in ("comm_msg", "comm_close"):
        kernel.client.shell_channel.send(kernel.client.session.msg(kind, {"comm_id": "c1", "data": {}}))
    assert kernel.value("1") == "1"
