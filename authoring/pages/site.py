"""What the book's site does of its own; book/_extensions/book_site.py connects it to Sphinx.

Chapters are numbered, headings inside them are not; the site's address follows from the one line in _config.yml;
formulas reach MathJax as they were written; and it is served with the pages, so that a reader's browser asks nobody
else for anything.
"""

import importlib.util
import shutil
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment

# Of the 24 MB of sphinx-mathjax-offline: the program, what it loads on demand (\boldsymbol, \cancel), and its fonts.
MATHJAX = ["tex-chtml.js", "input/tex/extensions", "output/chtml/fonts/woff-v2"]


def set_address(app: Sphinx, config: Config) -> None:
    """Derive the site's address on GitHub Pages from that of the repository."""
    owner, repository = config.html_theme_options["repository_url"].split("/")[-2:]
    config.html_baseurl = config.ogp_site_url = f"https://{owner.lower()}.github.io/{repository}/"


def number_chapters_only(app: Sphinx, env: BuildEnvironment) -> None:
    """Take the numbers off headings inside a page, on the page and in its contents."""
    for page, numbers in env.toc_secnumbers.items():
        env.toc_secnumbers[page] = {anchor: () if anchor else number for anchor, number in numbers.items()}
        for reference in env.tocs[page].findall(nodes.reference):
            if reference["anchorname"]:
                reference.attributes.pop("secnumber", None)


def keep_formulas(app: Sphinx, doctree: nodes.document, page: str) -> None:
    r"""Keep Sphinx from wrapping a formula that has a \\ in an environment of its own, in which no \tag may stand."""
    if app.builder.format == "html":
        for formula in doctree.findall(nodes.math_block):
            formula.children = [nodes.Text(rf"\[{formula.astext()}\]")]
            formula["nowrap"] = True


def copy_mathjax(app: Sphinx, error: Exception | None) -> None:
    """Copy the needed part of MathJax into a finished site."""
    if error or app.builder.format != "html":
        return
    package = importlib.util.find_spec("sphinx-mathjax-offline")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("the site needs sphinx-mathjax-offline: pip install -e '.[book]' -c constraints.txt")
    source, target = Path(package.origin).parent / "static/mathjax", Path(app.outdir) / "_static/mathjax"
    for name in MATHJAX:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name, dirs_exist_ok=True)
        else:
            shutil.copy(source / name, target / name)
