"""What a cell did to the variables of the Python kernel."""

from __future__ import annotations

import pytest

from tests.real.kernels.kernel_under_test import KernelUnderTest
from tests.real.kernels.test_variables import changes


@pytest.fixture
def kernel(shared: KernelUnderTest) -> KernelUnderTest:
    """With no variables of the user's."""
    shared.run("%reset -f")
    shared.late.clear()
    return shared


class TestChanges:
    def test_they_are_told_only_when_asked_for(self, kernel: KernelUnderTest) -> None:
        assert "changes" not in kernel.run("a = 1").metadata

    def test_new_names_lost_names_and_new_values_are_told(self, kernel: KernelUnderTest) -> None:
        assert changes(kernel, "b = a = 1; c = []") == {"created": ["a", "b", "c"]}
        assert changes(kernel, "a = 2; del b; d = c") == {"created": ["d"], "changed": ["a"], "removed": ["b"]}
        assert changes(kernel, "a; c; 5") == {}
        assert changes(kernel, "c = []") == {"changed": ["c"]}

    def test_an_equal_number_or_text_is_no_change(self, kernel: KernelUnderTest) -> None:
        kernel.run("n = 10**20; s = 'x' * 3; f = float('nan')")
        assert changes(kernel, "n = 10**20; s = 'xxx'; f = float('nan')") == {}
        assert changes(kernel, "n = -n; s = 'xxy'; f = 0.0") == {"changed": ["f", "n", "s"]}

    @pytest.mark.parametrize(
        ("before", "code"),
        [
            ("x = [1, 2]", "x.append(3)"),
            ("x = [-1, 2]", "x[0] = -2"),
            ("x = list(range(10**6))", "x[-1] = 0"),
            ("x = [[1]]", "x[0].append(2)"),
            ("x = {'a': 1}", "x['a'] = 2"),
            ("x = {'a': 1}", "x['b'] = x.pop('a')"),
            ("x = {1}", "x.add(2)"),
            ("x = bytearray(10**7)", "x[3] = 1"),
            ("import collections; x = collections.deque([1])", "x.rotate(); x.append(1)"),
            ("import collections; x = collections.defaultdict(list)", "x['k']"),
            ("class P: pass\nx = P()", "x.attribute = 1"),
            ("class P: pass\nx = P(); x.a = 1", "x.a = 2"),
            ("class P(dict): pass\nx = P()", "x.attribute = 2"),
            ("x = [1.5]", "x.append(x.pop() * 2)"),
        ],
    )
    def test_a_change_inside_a_value_is_seen(self, kernel: KernelUnderTest, before: str, code: str) -> None:
        kernel.run(before)
        assert changes(kernel, "x") == {}
        assert changes(kernel, code)["changed"] == ["x"]

    @pytest.mark.parametrize(
        ("before", "code"),
        [
            ("x = np.zeros(10)", "x[3] = 1"),
            ("x = np.zeros((200, 300)).T", "x[100, 100] = 1"),
            ("base = np.zeros((100, 100)); x = base[::2, ::3]", "x[1, 1] = 1"),
            ("x = np.array(['2020-01-01'] * 3, 'M8[D]')", "x[1] += 1"),
            ("x = np.array([1, 'a', None], object)", "x[1] = 'b'"),
            ("x = np.array(5)", "x += 1"),
            ("x = np.zeros(100_000_000, 'u1')", "x += 1"),
            ("x = pd.DataFrame({'a': range(1000), 'b': 'text'})", "x.loc[500, 'a'] = 0"),
            ("x = pd.DataFrame({'a': range(1000), 'b': 'text'})", "x.loc[500, 'b'] = 'other'"),
            ("x = pd.DataFrame({'a': range(3)})", "x['b'] = 1"),
            ("x = pd.DataFrame({'a': range(3)})", "x.columns = ['c']"),
            ("x = pd.DataFrame({'a': pd.Categorical(['p', 'q'])})", "x.loc[0, 'a'] = 'q'"),
            ("x = pd.DataFrame({'a': pd.array([1, None], dtype='Int64')})", "x.loc[1, 'a'] = 5"),
            ("x = pd.Series([1.0, 2.0])", "x.iloc[1] = 3"),
            ("x = pd.Series(pd.date_range('2020', periods=3))", "x.iloc[1] = pd.Timestamp('1999')"),
        ],
    )
    def test_a_change_inside_an_array_or_a_table_is_seen(self, kernel: KernelUnderTest, before: str, code: str) -> None:
        pytest.importorskip("pandas")
        kernel.run(f"import numpy as np, pandas as pd\n{before}")
        assert changes(kernel, "repr(x)") == {}
        assert "x" in changes(kernel, code)["changed"]

    def test_they_are_told_after_an_error(self, kernel: KernelUnderTest) -> None:
        assert changes(kernel, "a = 1; 1/0") == {"created": ["a"]}
        assert changes(kernel, "1 +* 2") == {}

    def test_they_are_told_after_an_interrupt(self, kernel: KernelUnderTest) -> None:
        kernel.run("import asyncio")
        for wait in ("while True: pass", "await asyncio.sleep(60)"):
            code = f"begun = 1; print('begun')\n{wait}\nnever = 1"
            request = kernel.send(code, metadata={"changes": True})
            while kernel.receive("iopub")["msg_type"] != "stream":
                pass
            kernel.interrupt()
            result = kernel.collect(request)
            assert (result.error, result.metadata["changes"]["created"]) == ("KeyboardInterrupt", ["begun"])
            kernel.run("del begun")

    def test_they_are_told_of_a_cell_that_awaits(self, kernel: KernelUnderTest) -> None:
        found = changes(kernel, "import asyncio\nfirst = 1\nawait asyncio.sleep(0)\nsecond = 2")
        assert found == {"created": ["asyncio", "first", "second"]}

    def test_too_many_are_counted(self, kernel: KernelUnderTest) -> None:
        found = kernel.run("for n in range(3000): globals()[f'v{n}'] = n", metadata={"changes": True}).metadata[
            "changes"
        ]
        assert (len(found["created"]), found["omitted"]) == (1000, 2001)

    def test_looking_keeps_nothing_alive(self, kernel: KernelUnderTest) -> None:
        kernel.run("import weakref\nclass P: pass\nx = [P()]; gone = weakref.ref(x[0])")
        result = kernel.run("del x; gone() is None", metadata={"changes": True})
        assert (result.value, result.metadata["changes"]["removed"]) == ("True", ["x"])
