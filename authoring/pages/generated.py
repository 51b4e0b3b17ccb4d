"""What stands in the appendix where a page has a line such as <!-- generated: equations -->.

The page is what was written, but for that line: in its place comes Markdown made of the notebooks, the tests, the
catalogue of data sets, the results of benchmarks, the package, or the bibliography. A new page of this kind is a
module beside this one with a function root -> Markdown, named in MAKERS, and a file in book/appendix/ with the line.
"""

import functools
import re
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from authoring.book import ROOT
from authoring.pages.datasets import datasets
from authoring.pages.equations import equations
from authoring.pages.package import api, index
from authoring.pages.references import references
from authoring.pages.speed import conditions, run_times, speed
from authoring.pages.writing import APPENDIX

MAKERS = (conditions, datasets, equations, index, references, run_times, speed)
PLACE = re.compile(r"^<!-- generated: ([\w.]+) -->$", re.M)


@functools.cache
def generated(root: Path = ROOT) -> dict[str, str]:
    """Return the Markdown for each place, by its name: a maker's, or a module's. Made once in a build."""
    return {maker.__name__: maker(root) for maker in MAKERS} | api(root)


def fill(text: str, made: dict[str, str]) -> str:
    """Return a page with what is generated in its places."""
    return PLACE.sub(lambda place: made[place[1]], text)


def fill_page(app: Sphinx, page: str, text: list[str]) -> None:
    """Fill a page of the appendix when Sphinx has read it."""
    if page.startswith(f"{APPENDIX}/"):
        text[0] = fill(text[0], generated(Path(app.srcdir)))


def always(app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]) -> list[str]:
    """Return the pages that Sphinx must read anew at each build: they may have changed though their files did not."""
    pages = [page for page in env.found_docs if page.startswith(f"{APPENDIX}/")]
    return [page for page in pages if PLACE.search(Path(env.doc2path(page)).read_text(encoding="utf-8"))]
