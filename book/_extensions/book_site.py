"""Sphinx extension: what the book's site does of its own."""

from sphinx.application import Sphinx

from authoring.pages import site


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect it to Sphinx."""
    app.connect("config-inited", site.set_address)
    # The first event after all numbers are assigned:
    app.connect("env-check-consistency", site.number_chapters_only)
    app.connect("doctree-resolved", site.keep_formulas)
    app.connect("build-finished", site.copy_mathjax)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
