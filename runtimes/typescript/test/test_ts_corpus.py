"""Every cell of the corpus has the outcome that it states, over one kernel of each runtime that is installed."""

import pytest
import ts_corpus as corpus
from ts_kernel import Kernel, find_program

FILES = sorted(corpus.FOLDER.glob("*.ts"))
SPECS = {"node": "polyrepl-typescript", "bun": "polyrepl-bun", "deno": "polyrepl-deno"}
RUNTIMES = [
    pytest.param(name, marks=pytest.mark.skipif(find_program(name) is None, reason=f"{name} is not installed"))
    for name in SPECS
]


@pytest.fixture(scope="module", params=RUNTIMES)
def kernel(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp(request.param)
    kernel = Kernel(directory, spec=SPECS[request.param])
    kernel.runtime, kernel.directory = request.param, directory
    yield kernel
    kernel.close()


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_every_cell_has_the_outcome_that_it_states(kernel, path):
    wrong = []
    for cell in corpus.read(path):
        if cell.file is not None:
            file = kernel.directory / cell.file
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(cell.code)
            continue
        result = kernel.run(cell.code, stop_on_error=False)
        wrong += [f"{cell.title}: {found}" for found in cell.differences(result, kernel.directory, kernel.runtime)]
    assert not wrong, "\n".join(wrong)


def test_the_corpus_has_150_cells_with_titles_of_their_own():
    for path in FILES:
        titles = [cell.title for cell in corpus.read(path)]
        assert len(set(titles)) == len(titles), path
    assert sum(cell.file is None for path in FILES for cell in corpus.read(path)) >= 150


@pytest.mark.parametrize("runtime", ["bun", "deno"])
def test_what_differs_on_another_runtime_is_what_the_documentation_lists(runtime):
    page = (corpus.FOLDER.parents[3] / "docs/typescript.md").read_text()
    listed = page.partition(f"On {runtime.capitalize()}:\n\n")[2].partition("\n\n")[0].strip().splitlines()
    assert listed == corpus.stated_differences(runtime)
