"""Languages: every name of the contract means its language; nothing else does."""

from __future__ import annotations

import pytest

from engine.languages import BUILTIN, DEFAULT, Languages

LANGUAGES = Languages()


@pytest.mark.parametrize(
    ("name", "language"),
    [
        *((name, "python") for name in ("python", "py", "python3")),
        *((name, "typescript") for name in ("typescript", "ts", "javascript", "js", "node")),
        ("bun", "bun"),
        ("deno", "deno"),
    ],
)
def test_a_name_of_the_contract_means_its_language(name: str, language: str):
    found = LANGUAGES.find(name)
    assert found is not None
    assert found.name == language


def test_no_name_means_python():
    found = LANGUAGES.find(None)
    assert found is not None
    assert found.name == DEFAULT == "python"


@pytest.mark.parametrize("name", ["", "Python", "cobol", "python 3", " python", "polyrepl-python", "py\0", "ﬁ"])
def test_an_unknown_name_means_nothing(name: str):
    assert LANGUAGES.find(name) is None


def test_other_kernelspecs_are_languages_under_their_own_names():
    languages = Languages(("bash", "IRkernel"))
    bash = languages.find("bash")
    assert bash is not None
    assert (bash.name, bash.kernel_name) == ("bash", "bash")
    assert languages.find("IRkernel") is not None
    assert LANGUAGES.find("bash") is None


def test_a_kernelspec_cannot_take_a_name_of_ours():
    languages = Languages(("python3", "node", "deno", "polyrepl-python"))
    assert languages.all == BUILTIN
    assert languages.find("python3") is languages.find("python")


def test_the_names_are_all_that_a_request_may_use():
    names = Languages(("bash",)).names()
    assert len(names) == len(set(names))
    ours = {"python", "py", "python3", "ipykernel", "typescript", "ts", "javascript", "js", "node", "bun", "deno"}
    assert {*ours, "bash"} == set(names)


def test_python_runs_on_the_kernel_that_is_asked_for():
    languages = Languages(python_kernel="ipykernel")
    for name in ("python", "py", "python3", "ipykernel"):
        language = languages.find(name)
        assert language is not None
        assert language.kernel_name == "ipykernel"
    assert languages.find("python") is not languages.find("ipykernel")
