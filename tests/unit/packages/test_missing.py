"""What Python's errors say is missing: each library in its own words, and what only looks like it."""

from __future__ import annotations

import pytest

from engine.packages.missing import missing_distribution

PARQUET = (
    "Unable to find a usable engine; tried using: 'pyarrow', 'fastparquet'.\nA suitable version of pyarrow or fastparquet is required "
    "for parquet support.\nTrying to import the above resulted in these errors:\n - "
)
KALEIDO = (
    '\nImage export requires the Kaleido package, v1.0.0 or greater,\n\n    $ pip install --upgrade "kaleido>=1"\n'
)
SAID = [
    ("ModuleNotFoundError", "No module named 'yaml'", "PyYAML"),
    ("ModuleNotFoundError", "No module named 'distutils'", "setuptools"),
    ("ImportError", "Missing optional dependency 'tabulate'.  Use pip or conda to install tabulate.", "tabulate"),
    ("ImportError", "`Import tabulate` failed.  Use pip, conda, or another tool to install the tabulate package.", "tabulate"),
    ("ImportError", "`Import pytables` failed.  Use pip, conda, or another tool to install it.", "tables"),
    ("ImportError", f"{PARQUET}Missing optional dependency 'pyarrow'. pyarrow is required", "pyarrow"),
    ("ImportError", f"{PARQUET}`Import pyarrow` failed. pyarrow is required for parquet support.", "pyarrow"),
    ("ImportError", "Pandas requires version '3.1.5' or newer of 'openpyxl' (version '3.0' currently installed).", "openpyxl>=3.1.5"),
    ("ImportError", "Using a URI string requires 'sqlalchemy' version '2.0' or newer", "sqlalchemy"),
    ("ImportError", "lxml not found, please install or use the etree parser.", "lxml"),
    ("FeatureNotFound", "Couldn't find a tree builder with the features you requested: lxml-xml. Do you need", "lxml"),
    ("FeatureNotFound", "Couldn't find a tree builder with the features you requested: html5lib. Do you need", "html5lib"),
    ("RuntimeError", KALEIDO, "kaleido"),
    ("ValueError", '\nImage export using the "kaleido" engine requires the Kaleido package,\n', "kaleido"),
    ("ValueError", "Saving charts in 'png' format requires the vl-convert-python package: see https", "vl-convert-python"),
    ("RuntimeError", "`logistic=True` requires statsmodels, an optional dependency, to be installed.", "statsmodels"),
    ("AttributeError", "The '.style' accessor requires jinja2", "jinja2"),
    ("InvalidSchema", "Missing dependencies for SOCKS support.", "PySocks"),
    ("ImportError", "Please install anywidget to use the FigureWidget class", "anywidget"),
    ("ImportError", "Install s3fs to access S3", "s3fs"),
    ("ImportError", "You must install the matplotlib library to plot the dendrogram.", "matplotlib"),
    ("ImportError", "read_dot() requires pygraphviz http://pygraphviz.github.io/", "pygraphviz"),
    ("ImportError", "rank requires bottleneck to be installed.", "bottleneck"),
    ("ImportError", "Interpolation with method akima requires scipy.", "scipy"),
    ("ImportError", "AutoModel requires the PyTorch library but it was not found in your environment.", "torch"),
    ("ImportError", "numbagg >= 0.2.1 is required for rolling_exp", "numbagg"),
    ("ImportError", "Using http2=True, but 'h2' is not there. Use `pip install httpx[http2]`.", "httpx[http2]"),
    ("ImportError", "try: pip install -U 'polars[pyarrow]'", "polars[pyarrow]"),
]  # fmt: skip
OTHER = [
    ("ModuleNotFoundError", "No module named 'numpy.nothing'; 'numpy' is not a package"),
    ("ModuleNotFoundError", "No module named 'tkinter'"),
    ("ModuleNotFoundError", "No module named '_ctypes'"),
    ("ValueError", "No module named 'yaml'"),
    ("ValueError", "please install the tabulate package"),
    ("RuntimeError", "the export requires the Kaleido package, I guess"),
    ("KeyError", "'requires lxml'"),
    ("ValueError", "Couldn't find a tree builder with the features you requested: lxml."),
    ("FeatureNotFound", "Couldn't find a tree builder with the features you requested: mine."),
    ("ImportError", "cannot import name 'a' from 'b' (/c/b.py)"),
    ("ImportError", "attempted relative import with no known parent package"),
    ("ImportError", "libGL.so.1: cannot open shared object file: No such file or directory"),
    ("ImportError", "this module requires Python 3.15"),
    ("ImportError", "please install it"),
    ("ImportError", "pip install -r requirements.txt"),
    ("ImportError", "pip install git+https://host/it"),
    ("ImportError", "pip install ."),
    ("ImportError", ""),
]


@pytest.mark.parametrize(("name", "value", "package"), SAID)
def test_the_package_is_found_in_the_words_of_libraries(name: str, value: str, package: str) -> None:
    found = missing_distribution(name, value)
    assert found is not None
    assert found[1] == package


@pytest.mark.parametrize(("name", "value"), OTHER)
def test_another_error_names_no_package(name: str, value: str) -> None:
    assert missing_distribution(name, value) is None


@pytest.mark.parametrize(
    "text",
    ["a" * 8000, "requires a " * 700, "'a." * 2700, "pip install -e . " * 480, "must install the " * 500, "- " * 4000],
)
def test_a_long_text_of_no_package_is_read_to_its_end(text: str) -> None:
    assert missing_distribution("ImportError", text) is None
