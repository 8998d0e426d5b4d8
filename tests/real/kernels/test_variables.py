"""The Python kernel tells its variables, and what a cell did to them, without trusting a single one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.real.kernels.kernel_under_test import KernelUnderTest

Json = dict[str, Any]


@pytest.fixture
def kernel(shared: KernelUnderTest) -> KernelUnderTest:
    """With no variables of the user's."""
    shared.run("%reset -f")
    shared.late.clear()
    return shared


def listing(kernel: KernelUnderTest, **content: Any) -> Json:
    result = kernel.ask("variables_request", **content)
    assert result.messages == []
    assert result.reply["status"] == "ok"
    return result.reply


def variables(kernel: KernelUnderTest, **content: Any) -> dict[str, Json]:
    return {item.pop("name"): item for item in listing(kernel, **content)["items"]}


def preview(kernel: KernelUnderTest, expression: str) -> str:
    kernel.run(f"value = {expression}")
    text: str = variables(kernel)["value"]["preview"]
    assert len(text) <= 120
    assert "\n" not in text
    return text


def changes(kernel: KernelUnderTest, code: str) -> Json:
    found: Json = kernel.run(code, metadata={"changes": True}).metadata["changes"]
    return {kind: names for kind, names in found.items() if names}


class TestNames:
    def test_only_the_users_names_are_listed_and_by_name(self, kernel: KernelUnderTest) -> None:
        assert listing(kernel) == {"status": "ok", "items": [], "total": 0, "truncated": False}
        kernel.run("zebra = 1; apple = 2; _private = 3; In[0]; 'a value for Out'")
        assert list(variables(kernel)) == ["apple", "zebra"]

    def test_a_name_of_ipython_that_the_user_took_is_the_users(self, kernel: KernelUnderTest) -> None:
        kernel.run("globals()['quit'] = 'mine'")
        assert list(variables(kernel)) == ["quit"]

    def test_what_is_no_name_is_left_out(self, kernel: KernelUnderTest) -> None:
        kernel.run("globals().update({1: 1, 'a b': 1, 'x' * 10_000: 1, '\\ud800': 1, 'ümlaut': 1})")
        assert list(variables(kernel)) == ["ümlaut"]
        kernel.run("for odd in (1, 'a b', 'x' * 10_000, '\\ud800'): del globals()[odd]")

    def test_a_page_follows_another(self, kernel: KernelUnderTest) -> None:
        kernel.run("for n in range(25): globals()[f'v{n:02}'] = n\ndel n")
        first = listing(kernel, limit=10)
        second = listing(kernel, limit=10, after=first["items"][-1]["name"])
        third = listing(kernel, limit=10, after=second["items"][-1]["name"])
        pages = [first, second, third]
        assert [item["name"] for page in pages for item in page["items"]] == [f"v{n:02}" for n in range(25)]
        assert [(page["total"], page["truncated"]) for page in pages] == [(25, True), (25, True), (25, False)]

    def test_names_can_be_searched(self, kernel: KernelUnderTest) -> None:
        kernel.run("train_x = test_x = train_y = 0")
        found = listing(kernel, match="_x")
        assert ([item["name"] for item in found["items"]], found["total"]) == (["test_x", "train_x"], 2)

    def test_many_variables_are_listed_in_bounded_pages(self, kernel: KernelUnderTest) -> None:
        kernel.run("for n in range(5000): globals()[f'v{n}'] = 'x' * 1000")
        assert len(listing(kernel)["items"]) == 200
        found = listing(kernel, limit=10**9)
        assert (len(found["items"]), found["total"], found["truncated"]) == (1000, 5001, True)

    @pytest.mark.parametrize("content", [{"limit": "x"}, {"limit": -5}, {"after": 7}, {"match": [1]}])
    def test_nonsense_in_a_request_costs_nothing(self, kernel: KernelUnderTest, content: Json) -> None:
        kernel.run("a = 1")
        assert list(variables(kernel, **content)) == ["a"]


class TestPreviews:
    @pytest.mark.parametrize(
        ("expression", "shown"),
        [
            ("None", "None"),
            ("-1.5e300", "-1.5e+300"),
            ("2**70", str(2**70)),
            ("10**100_000", "<int of 332193 bits>"),
            ("'it\\'s'", '"it\'s"'),
            ("[1, 'a', None]", "[1, 'a', None]"),
            ("[[1, [2, [3]]], ()]", "[[1, […]], ()]"),
            ("(1,)", "(1,)"),
            ("{'a': {'b': {'c': 1}}}", "{'a': {'b': {…}}}"),
            ("{1}, set(), frozenset([2])", "({1}, set(), frozenset({2}))"),
            ("range(10**30)", f"range(0, {10**30})"),
            ("bytearray(b'ab')", "bytearray(b'ab')"),
            ("__import__('collections').Counter('aab')", "Counter({'a': 2, 'b': 1})"),
            ("__import__('collections').deque([1], 5)", "deque([1])"),
            ("__import__('datetime').date(2020, 1, 2)", "datetime.date(2020, 1, 2)"),
            ("[__import__('decimal').Decimal('1.5')]", "[Decimal('1.5')]"),
            ("__import__('math')", "<module 'math'>"),
            ("__import__('math').sqrt", "<built-in function sqrt>"),
            ("lambda a, *b, c=1, **d: 0", "<lambda>(a, *b, c, **d)"),
            ("type('K', (), {'__module__': 'm'})", "<class 'm.K'>"),
        ],
    )
    def test_a_value_is_shown_in_short(self, kernel: KernelUnderTest, expression: str, shown: str) -> None:
        assert preview(kernel, expression) == shown

    @pytest.mark.parametrize(
        "expression",
        ["'x' * 10**7", "b'x' * 10**7", "list(range(10**6))", "{n: n for n in range(10**6)}", "[['y' * 999] * 999] * 999",
         "set(range(10**6))", "'\\n\\x00' * 999", "__import__('collections').Counter(range(10**6))"],
    )  # fmt: skip
    def test_a_large_value_is_cut(self, kernel: KernelUnderTest, expression: str) -> None:
        assert "…" in preview(kernel, expression)

    def test_a_container_that_holds_itself_is_shown(self, kernel: KernelUnderTest) -> None:
        kernel.run("loop = [1]; loop.append(loop)")
        assert variables(kernel)["loop"]["preview"] == "[1, [1, […]]]"

    def test_kinds_types_and_sizes_are_told(self, kernel: KernelUnderTest) -> None:
        kernel.run("import sys\ndef f(): pass\nclass K: pass\nk = K(); x = [1, 2, 3]; s = 'abc'; n = 5")
        found = variables(kernel)
        kinds = {name: (item["kind"], item["type"]) for name, item in found.items()}
        assert kinds == {
            "sys": ("module", "module"),
            "f": ("function", "function"),
            "K": ("class", "type"),
            "k": ("value", "__main__.K"),
            "x": ("value", "list"),
            "s": ("value", "str"),
            "n": ("value", "int"),
        }
        assert (found["x"]["length"], found["s"]["length"], "length" in found["n"]) == (3, 3, False)
        for name in ("x", "s", "n"):
            assert str(found[name]["size_bytes"]) == kernel.run(f"sys.getsizeof({name})").value


class TestLibraries:
    def test_an_array_tells_its_shape_type_and_first_values(self, kernel: KernelUnderTest) -> None:
        pytest.importorskip("numpy")
        kernel.run("import numpy as np; a = np.arange(6.0).reshape(2, 3); big = np.zeros((3000, 3000)).T; t = a[0, 0]")
        found = variables(kernel)
        assert found["a"] == {
            "type": "numpy.ndarray",
            "kind": "value",
            "shape": [2, 3],
            "dtype": "float64",
            "size_bytes": 48,
            "preview": "[[0.0, 1.0, 2.0], …]",
        }
        assert (found["big"]["shape"], found["big"]["size_bytes"]) == ([3000, 3000], 72_000_000)

    @pytest.mark.parametrize(
        ("expression", "shown"),
        [
            ("np.array(3)", "3"),
            ("np.zeros((0, 3))", "[]"),
            ("np.array(['2020-01-01'], 'M8[D]')", "['2020-01-01']"),
            ("np.array([1, None, 'a'], object)", "[1, None, 'a']"),
            ("np.array([(1, 2.0)], 'i4,f8')", "[(1, 2.0)]"),
            ("np.float32(1.5)", "np.float32(1.5)"),
            ("np.array(['ab', 'c'])", "['ab', 'c']"),
        ],
    )
    def test_arrays_of_every_kind_are_shown(self, kernel: KernelUnderTest, expression: str, shown: str) -> None:
        pytest.importorskip("numpy")
        kernel.run("import numpy as np")
        assert preview(kernel, expression) == shown

    def test_a_table_tells_its_columns(self, kernel: KernelUnderTest) -> None:
        pytest.importorskip("pandas")
        kernel.run("import pandas as pd; df = pd.DataFrame({'a': range(5), 'b': list('vwxyz'), 3: 1.0})")
        found = variables(kernel)["df"]
        assert found["type"].endswith("DataFrame")
        assert (found["shape"], found["columns"]) == ([5, 3], ["a", "b", "3"])
        assert found["preview"] == "{a: [0, 1, 2, …], b: ['v', 'w', 'x', …], 3: [1.0, 1.0, 1.0, …]}"
        assert str(found["size_bytes"]) == kernel.run("int(df.memory_usage(index=True).sum())").value

    def test_a_wide_table_is_cut(self, kernel: KernelUnderTest) -> None:
        pytest.importorskip("pandas")
        kernel.run("import numpy, pandas; df = pandas.DataFrame(numpy.zeros((2, 50_000)))")
        found = variables(kernel)["df"]
        assert (found["shape"], len(found["columns"])) == ([2, 50_000], 30)

    def test_series_and_indexes_are_shown(self, kernel: KernelUnderTest) -> None:
        pytest.importorskip("pandas")
        kernel.run("import pandas as pd; s = pd.Series([1, 2], name='n'); i = pd.Index(['a', 'b']); r = s.index")
        kernel.run("c = pd.Series(['p', 'q'], dtype='category'); m = pd.MultiIndex.from_tuples([('a', 1)])")
        found = variables(kernel)
        assert (found["s"]["preview"], found["s"]["shape"], found["s"]["dtype"]) == ("[1, 2]", [2], "int64")
        assert [found[name]["preview"] for name in "irc"] == ["['a', 'b']", "[0, 1]", "['p', 'q']"]
        assert found["m"]["preview"] == "[('a', 1)]"

    def test_a_module_is_not_imported_to_look_at_a_value(self, tmp_path: Path) -> None:
        kernel = KernelUnderTest(tmp_path)
        try:
            kernel.run("import sys; value = object()")
            variables(kernel)
            assert (
                kernel.run("[name in sys.modules for name in ('pandas', 'polars', 'torch')]").value.count("True") == 0
            )
        finally:
            kernel.close()

    def test_a_module_that_the_user_made_up_is_not_taken_for_the_library(self, kernel: KernelUnderTest) -> None:
        kernel.run("""
import sys, types
real = sys.modules.get('torch')
class Tensor:
    shape = property(lambda self: 1 / 0)
    def __repr__(self): return 'mine'
fake = sys.modules['torch'] = types.ModuleType('torch'); fake.Tensor = Tensor
value = Tensor()
""")
        assert variables(kernel)["value"] == {"type": "__main__.Tensor", "kind": "value", "preview": "mine"}
        kernel.run("del sys.modules['torch']")


HOSTILE = """
class Meta(type):
    def __eq__(self, other): spy()
    def __hash__(self): spy()
    def __repr__(self): spy()
    def __instancecheck__(self, other): spy()
    def __subclasscheck__(self, other): spy()
    def __getattribute__(self, name): spy()
    __module__ = __name__ = __dict__ = property(lambda self: spy())
class Hostile(metaclass=Meta):
    def __len__(self): spy()
    def __bool__(self): spy()
    def __eq__(self, other): spy()
    def __hash__(self): spy()
    def __sizeof__(self): spy()
    def __iter__(self): spy()
    def __getattribute__(self, name): spy()
    __class__ = __dict__ = shape = dtype = property(lambda self: spy())
    def __repr__(self): return 'only this is called'
seen = []
def spy():
    seen.append(1)
    raise RuntimeError
hostile = object.__new__(Hostile); holder = [hostile, {'k': hostile}]
"""


class TestHostileValues:
    def test_of_a_users_class_nothing_but_repr_is_called(self, kernel: KernelUnderTest) -> None:
        kernel.run(HOSTILE)
        found = variables(kernel)
        assert found["hostile"] == {"type": "__main__.Hostile", "kind": "value", "preview": "only this is called"}
        assert found["holder"]["preview"] == "[only this is called, {'k': only this is called}]"
        assert (found["Hostile"]["kind"], found["Hostile"]["preview"]) == ("class", "<class '__main__.Hostile'>")
        assert changes(kernel, "hostile_too = hostile") == {"created": ["hostile_too"]}
        assert kernel.run("seen").value == "[]"

    @pytest.mark.parametrize(
        ("body", "shown"),
        [
            ("raise ValueError('x')", "<repr raised ValueError>"),
            ("raise KeyboardInterrupt", "<repr raised KeyboardInterrupt>"),
            ("raise SystemExit", "<repr raised SystemExit>"),
            ("return self.__repr__()", "<repr raised RecursionError>"),
            ("return 5", "<repr raised TypeError>"),
            ("return input()", "<repr raised IPython.core.error.StdinNotImplementedError>"),
            ("while True: pass", "<repr took too long>"),
            ("time.sleep(60)", "<repr took too long>"),
            ("subprocess.run(['sleep', '60'])", "<repr took too long>"),
            ("while True: print('noise', display('noise'))", "<repr took too long>"),
            ("return 'y' * 10**6", "y" * 119 + "…"),
            ("return 'a\\n  b\\ud800'", "a b?"),
            ("return type('S', (str,), {'__getitem__': 1, '__len__': 1, 'encode': 1})('sub')", "sub"),
        ],
    )
    def test_a_repr_gets_a_deadline(self, kernel: KernelUnderTest, body: str, shown: str) -> None:
        kernel.run(
            f"import subprocess, time\nclass Odd:\n    def __repr__(self):\n        {body}\nodd = Odd(); after = 'fine'"
        )
        reply = kernel.ask("variables_request")
        found = {item["name"]: item["preview"] for item in reply.reply["items"]}
        assert (found["odd"], found["after"]) == (shown, "'fine'")
        assert reply.messages == []
        assert kernel.run("after").value == "'fine'"

    def test_a_repr_that_stops_at_the_second_demand_is_stopped(self, kernel: KernelUnderTest) -> None:
        kernel.run("""
class Stubborn:
    def __repr__(self):
        for attempt in range(3):
            try:
                while True: pass
            except BaseException:
                pass
        while True: pass
stubborn = Stubborn()
""")
        assert variables(kernel)["stubborn"]["preview"] == "<repr took too long>"

    def test_all_slow_values_together_get_a_deadline(self, kernel: KernelUnderTest) -> None:
        kernel.run("""
import time
calls = 0
class Slow:
    def __repr__(self):
        global calls
        calls += 1
        while True: pass
for n in range(1000): globals()[f'slow{n:03}'] = Slow()
""")
        found = variables(kernel, match="slow")
        assert {item["preview"] for item in found.values()} == {"<repr took too long>"}
        assert 1 <= int(kernel.run("calls").value) <= 20

    def test_what_a_repr_prints_is_dropped_and_what_a_thread_prints_is_kept(self, kernel: KernelUnderTest) -> None:
        kernel.run("""
import sys, threading
called, printed = threading.Event(), threading.Event()
class Loud:
    def __repr__(self):
        print('loud'); print('loud', file=sys.stderr)
        called.set(); printed.wait(0.04)
        return 'quiet'
loud = Loud()
thread = threading.Thread(target=lambda: (called.wait(20), print('from a thread'), printed.set()))
thread.start()
""")
        assert variables(kernel)["loud"]["preview"] == "quiet"
        kernel.run("thread.join()")
        late = [message for message in kernel.late if message["msg_type"] == "stream"] or [kernel.receive("iopub")]
        assert [message["content"]["text"] for message in late] == ["from a thread\n"]

    def test_the_users_alarm_and_its_handler_are_put_back(self, kernel: KernelUnderTest) -> None:
        kernel.run("""
import signal, time
rung = []
def ring(*args): rung.append(1)
signal.signal(signal.SIGALRM, ring)
signal.setitimer(signal.ITIMER_REAL, 100, 7)
class Slow:
    def __repr__(self):
        while True: pass
slow = Slow()
""")
        assert variables(kernel)["slow"]["preview"] == "<repr took too long>"
        kernel.run("left, interval = signal.getitimer(signal.ITIMER_REAL); handler = signal.getsignal(signal.SIGALRM)")
        assert kernel.run("handler is ring, 90 < left < 100, interval, rung").value == "(True, True, 7.0, [])"
        kernel.run("signal.setitimer(signal.ITIMER_REAL, 0.01); time.sleep(0.1)")
        assert kernel.run("rung").value == "[1]"
        kernel.run("signal.signal(signal.SIGALRM, signal.SIG_DFL)")

    def test_an_alarm_of_the_user_that_is_due_meanwhile_rings_afterwards(self, kernel: KernelUnderTest) -> None:
        kernel.run("""
import signal, threading
rung = threading.Event()
signal.signal(signal.SIGALRM, lambda *args: rung.set())
class Slow:
    def __repr__(self):
        while True: pass
slow = Slow()
signal.setitimer(signal.ITIMER_REAL, 0.03)
""")
        variables(kernel)
        assert kernel.run("rung.wait(20)").value == "True"
        kernel.run("signal.signal(signal.SIGALRM, signal.SIG_DFL)")

    def test_an_interrupt_meanwhile_hits_no_cell(self, kernel: KernelUnderTest) -> None:
        kernel.run("class Slow:\n    def __repr__(self):\n        while True: pass\nslow, slower = Slow(), Slow()")
        for _ in range(10):
            message = kernel.session.send(kernel.sockets["shell"], "variables_request", {})
            kernel.interrupt()
            assert kernel.collect(str(message["header"]["msg_id"])).reply["total"] == 3
            kernel.ask("kernel_info_request")  # what comes at once after an interrupt might be meant by it
            assert kernel.run("5").value == "5"
