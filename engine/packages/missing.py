"""What Python's errors say is missing: a module, or a package that a function of another one needs.

Each library says the second in words of its own. An ImportError that speaks of a package is taken at its word; of other errors only
known sentences are, as those errors can mean anything."""

from __future__ import annotations

import re
import sys

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?"
_QUOTED = rf"[`'\"]?({_NAME})[`'\"]?"
_COMMAND = re.compile(
    rf"\bpip3? install (?:(?:-U|-q|--upgrade|--quiet) )*[\"'`]?({_NAME})(\[[\w,.-]{{1,100}}\])?([=<>~!]=?[\w.*]{{1,50}})?(?![\w/:+@-])"
)
_OUTDATED = re.compile(rf"requires version '([\w.]{{1,50}})' or newer of '({_NAME})'")
# In one text, the one that begins first counts.
_SENTENCES = (
    r"\ANo module named '([^'.]+)'",
    rf"Missing optional dependency '({_NAME})'",
    rf"`Import ({_NAME})` failed",
    rf"\A{_QUOTED} not found, please install",
    rf"(?:\AInstall|\b(?:[Pp]lease|must) install) (?:the )?{_QUOTED}(?= package| library| to | for |\.?\s*\Z)",
    rf"\bThe {_QUOTED} package is required",
    rf"\brequires (?:the )?{_QUOTED}(?= package| library| to be installed| but | http| when | version '|\.?\s*\Z)",
    rf"\A{_QUOTED} (?:[<>=]+ ?[\d.]+ )?is required\b",
    rf"(?<![\w.-]){_QUOTED} must be installed\b",
)
_IMPORT_ERROR = re.compile("|".join(_SENTENCES))
_NO_PACKAGES = {
    "a", "an", "any", "at", "backend", "by", "dependencies", "dependency", "directly", "it", "library", "module",
    "one", "package", "packages", "pip", "python", "root", "that", "the", "them", "this", "update", "version", "which"
}  # fmt: skip
_PARSER = re.compile(r"Couldn't find a tree builder with the features you requested: (lxml|xml|html5lib)\b")
_PARSERS = {"lxml": "lxml", "xml": "lxml", "html5lib": "html5lib"}
# What the first words of an error of any kind ask for.
_KNOWN = (
    (re.compile(r"Image export .{0,40}requires the Kaleido package"), "kaleido"),
    (re.compile(r"Saving charts in '\w{1,10}' format requires the vl-convert-python"), "vl-convert-python"),
    (re.compile(r"The '\.style' accessor requires jinja2"), "jinja2"),
    (re.compile(r"`\w{1,20}=True` requires statsmodels, an optional dependency"), "statsmodels"),
    (re.compile(r"Missing dependencies for SOCKS support"), "PySocks"),
    (re.compile(r"found the following matches with the input file in xarray's IO backends: \['netcdf4'"), "netCDF4"),
    (re.compile(r"lxml\.html\.clean module is now a separate project"), "lxml_html_clean"),
)
# Names that are not those of their distributions.
_DISTRIBUTIONS = {
    "absl": "absl-py",
    "attr": "attrs",
    "Bio": "biopython",
    "bs4": "beautifulsoup4",
    "cairo": "pycairo",
    "community": "python-louvain",
    "Crypto": "pycryptodome",
    "Cryptodome": "pycryptodomex",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "distutils": "setuptools",
    "dns": "dnspython",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "faiss": "faiss-cpu",
    "fitz": "pymupdf",
    "git": "GitPython",
    "googleapiclient": "google-api-python-client",
    "igraph": "python-igraph",
    "imblearn": "imbalanced-learn",
    "jose": "python-jose",
    "jwt": "PyJWT",
    "kafka": "kafka-python",
    "ldap": "python-ldap",
    "lxml.etree": "lxml",
    "magic": "python-magic",
    "markdown_it": "markdown-it-py",
    "memcache": "python-memcached",
    "mpl_toolkits": "matplotlib",
    "MySQLdb": "mysqlclient",
    "nacl": "PyNaCl",
    "odf": "odfpy",
    "OpenGL": "PyOpenGL",
    "OpenSSL": "pyOpenSSL",
    "osgeo": "GDAL",
    "PIL": "pillow",
    "pkg_resources": "setuptools",
    "pptx": "python-pptx",
    "psycopg2": "psycopg2-binary",
    "pylab": "matplotlib",
    "pytables": "tables",
    "PyTorch": "torch",
    "pywt": "PyWavelets",
    "rest_framework": "djangorestframework",
    "serial": "pyserial",
    "shapefile": "pyshp",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "slugify": "python-slugify",
    "snappy": "python-snappy",
    "socks": "PySocks",
    "speech_recognition": "SpeechRecognition",
    "sql": "jupysql",
    "stdnum": "python-stdnum",
    "talib": "TA-Lib",
    "telegram": "python-telegram-bot",
    "umap": "umap-learn",
    "usb": "pyusb",
    "websocket": "websocket-client",
    "yaml": "PyYAML",
    "zmq": "pyzmq",
}


def missing_distribution(name: str, value: str) -> tuple[str, str] | None:
    """The module or package that an error of Python lacks, and what pip installs it from, perhaps with a version.

    None for another error, and for what no package has: parts of Python itself."""
    first_words = value.lstrip()
    if (known := next((package for sentence, package in _KNOWN if sentence.match(first_words)), None)) is not None:
        return known, known
    if name == "FeatureNotFound" and (parser := _PARSER.match(value)) is not None:
        return _PARSERS[parser[1]], _PARSERS[parser[1]]
    if name not in ("ModuleNotFoundError", "ImportError"):
        return None
    if (outdated := _OUTDATED.search(value)) is not None:
        wanted = f"{outdated[2]}>={outdated[1]}"
        return wanted, wanted
    if (found := _IMPORT_ERROR.search(value)) is not None:
        module = next(filter(None, found.groups()))
        return (module, _DISTRIBUTIONS.get(module, module)) if _is_installable(module) else None
    if (command := _COMMAND.search(value)) is not None and _is_installable(command[1]):
        wanted = "".join(filter(None, command.groups()))
        return wanted, wanted
    return None


def _is_installable(module: str) -> bool:
    """Whether a package can have it. distutils was a part of Python, and is one of setuptools."""
    is_pythons = module in sys.stdlib_module_names and module != "distutils"
    return not (module.startswith("_") or is_pythons or module.lower() in _NO_PACKAGES)
