"""What the book's site does of its own."""

import types

import pytest
from docutils import nodes

from authoring.pages import site


def test_the_address_follows_from_that_of_the_repository():
    config = types.SimpleNamespace(html_theme_options={"repository_url": "https://github.com/Owner/book"})
    site.set_address(None, config)
    assert config.html_baseurl == config.ogp_site_url == "https://owner.github.io/book/"


def test_headings_inside_a_page_lose_their_numbers():
    page, heading = (nodes.reference("", "", anchorname=name, secnumber=(3, 1)) for name in ("", "#inside"))
    environment = types.SimpleNamespace(
        toc_secnumbers={"a": {"": (3,), "#inside": (3, 1)}}, tocs={"a": nodes.bullet_list("", page, heading)}
    )
    site.number_chapters_only(None, environment)
    assert environment.toc_secnumbers == {"a": {"": (3,), "#inside": ()}}
    assert "secnumber" in page and "secnumber" not in heading


@pytest.mark.parametrize("kind, text", [("html", r"\[a \\ b \tag{1a}\]"), ("latex", r"a \\ b \tag{1a}")])
def test_formulas_stay_as_they_are(kind, text):
    app = types.SimpleNamespace(builder=types.SimpleNamespace(format=kind))
    formula = nodes.math_block("", r"a \\ b \tag{1a}")
    site.keep_formulas(app, nodes.section("", formula), "a")
    assert formula.astext() == text


def test_mathjax_is_served_with_the_pages(tmp_path, monkeypatch):
    app = types.SimpleNamespace(builder=types.SimpleNamespace(format="html"), outdir=str(tmp_path))
    site.copy_mathjax(app, ValueError("the build failed"))
    assert list(tmp_path.iterdir()) == []
    site.copy_mathjax(app, None)
    assert (tmp_path / "_static/mathjax/tex-chtml.js").is_file()
    assert list((tmp_path / "_static/mathjax/output/chtml/fonts/woff-v2").glob("*.woff"))
    monkeypatch.setattr(site.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="the site needs sphinx-mathjax-offline: pip install"):
        site.copy_mathjax(app, None)
