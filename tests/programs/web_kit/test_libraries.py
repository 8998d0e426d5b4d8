"""What real libraries show, rendered: each item type, in the form that is best for it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness.client import Client
from tests.programs.chromium import needs_chromium
from tests.programs.web_kit.pages import FORMS, TEXT, show, wait_shown

pytestmark = needs_chromium

BOKEH = """
from bokeh.io import output_notebook
from bokeh.plotting import figure, show
from bokeh.resources import INLINE
output_notebook(INLINE, hide_banner=True)
plot = figure(height=200, width=300)
plot.line([1, 2, 3], [1, 4, 9])
show(plot)
"""
IN_FRAMES = {  # code, forms, and what must stand in the inner frame
    "pandas": (
        "import pandas\npandas.DataFrame({'a': [1, 2], 'b': ['x', '<b>y</b>']})",
        ["html"],
        "td:text-is('<b>y</b>')",
    ),
    "a styler": (
        "import pandas\npandas.DataFrame({'a': [1]}).style.background_gradient()",
        ["html"],
        "td:text-is('1')",
    ),
    "polars": ("import polars\npolars.DataFrame({'a': [41]})", ["html"], "td:text-is('41')"),
    "plotly": (
        "import plotly.express as px\npx.line(x=[1, 2], y=[1, 4], title='Squares')",
        ["plotly"],
        ".gtitle:has-text('Squares')",
    ),
    "plotly in 3D": (
        "import plotly.graph_objects as go\ngo.Figure(go.Heatmap(z=[[1, 2], [3, 4]], name='heat'))",
        ["plotly"],
        ".heatmaplayer image",
    ),
    "altair": (
        "import altair, pandas\naltair.Chart(pandas.DataFrame({'a': ['A'], 'b': [28]})).mark_bar().encode(x='a', y='b')",
        ["vega"],
        "svg .mark-rect path",
    ),
    "bokeh": (BOKEH, ["javascript", "html", "javascript"], "[data-root-id]"),
    "html": (
        "from IPython.display import HTML\nHTML('<i>a</i><script>document.body.append(6 * 7)</script>')",
        ["html"],
        "body:has-text('42')",
    ),
    "javascript": (
        "from IPython.display import Javascript\nJavascript('const a = 6; element.append(a * 7)')",
        ["javascript"],
        "div:text-is('42')",
    ),
}
IN_THE_PAGE = {  # code, form, and what must stand in the page
    "matplotlib": (
        "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()",
        "png",
        "img[src^='data:image/png']",
    ),
    "networkx": (
        "import networkx, matplotlib.pyplot as plt\nnetworkx.draw(networkx.path_graph(3))\nplt.show()",
        "png",
        "img",
    ),
    "PIL": ("from PIL import Image\nImage.new('RGB', (20, 10))", "png", "img"),
    "sympy": ("import sympy\nsympy.Integral(sympy.Symbol('x'))", "latex", "math mo:text-is('∫')"),
    "svg": (
        'from IPython.display import SVG\nSVG(\'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><circle r="4"/></svg>\')',
        "svg",
        "img[src^='data:image/svg']",
    ),
    "markdown": (
        "from IPython.display import Markdown\nMarkdown('# Title\\n\\n* $x^2$')",
        "markdown",
        ".markdown li msup",
    ),
    "json": ("from IPython.display import JSON\nJSON({'a': [1, 2]})", "json", ".tree .key:text-is('a: ')"),
    "a value": ("{'a': 1}", "text", "pre:has-text(\"{'a': 1}\")"),
}


@pytest.mark.parametrize("name", IN_FRAMES)
def test_active_output_is_shown_in_the_inner_frame(page: Any, api: Client, name: str) -> None:
    code, forms, selector = IN_FRAMES[name]
    result = api.http.post("/execute", json={"code": code, "timeout_ms": 120_000}).json()
    assert result["status"] == "ok", result.get("error")
    show(page, result)
    page.frame_locator("iframe").frame_locator("iframe").locator(selector).first.wait_for(state="attached")
    wait_shown(page, len(forms) - 1)
    assert page.evaluate(FORMS) == forms
    page.wait_for_function(
        "document.querySelector('polyrepl-output').shadowRoot.querySelector('iframe').clientHeight > 10"
    )


@pytest.mark.parametrize("name", IN_THE_PAGE)
def test_output_that_cannot_act_is_shown_in_the_page(page: Any, api: Client, name: str) -> None:
    code, form, selector = IN_THE_PAGE[name]
    result = api.http.post("/execute", json={"code": code, "timeout_ms": 120_000}).json()
    assert result["status"] == "ok", result.get("error")
    show(page, result)
    page.locator(selector).first.wait_for(state="attached")
    assert page.evaluate(FORMS) == [form]
    assert page.locator("iframe").count() == 0


def test_a_map_says_that_it_needs_the_network(page: Any, api: Client) -> None:
    show(page, api.http.post("/execute", json={"code": "import folium\nfolium.Map([48.1, 11.5])"}).json())
    page.get_by_text("This output needs the network").first.wait_for()


def test_an_error_shows_its_traceback_on_demand(page: Any, api: Client) -> None:
    show(page, api.http.post("/execute", json={"code": "print('before')\n1 / 0"}).json())
    assert "ZeroDivisionError: division by zero" in page.evaluate(TEXT)
    assert not page.locator(".traceback").is_visible()
    page.locator("summary").press("Enter")
    assert page.locator(".traceback").is_visible()
    assert "division by zero" in page.locator("[role=status]").first.inner_text()
