"""Sphinx extension: the pages of the appendix that are made of the book itself."""

from sphinx.application import Sphinx

from authoring.pages.generated import always, fill_page


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect them to Sphinx."""
    app.connect("source-read", fill_page)
    app.connect("env-get-outdated", always)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
