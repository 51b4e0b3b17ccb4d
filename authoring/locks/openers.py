"""A page that opens a section has one heading: others would take the numbers of its chapters."""

from pathlib import Path

from authoring.book import PARSER, ROOT, pages, without_header


def faults(root: Path = ROOT) -> list[str]:
    """Return the openers, which are the numbered pages without code, that have other headings than one title."""
    openers = {page: path for page, (path, number) in pages(root).items() if path.suffix == ".md" and number}
    found = [] if openers else ["_toc.yml: the lock found no numbered page in .md: mend the lock or the book"]
    for page, path in openers.items():
        headings = [token.tag for token in PARSER.parse(without_header(path)) if token.type == "heading_open"]
        if headings != ["h1"]:
            found.append(f"{page}: must have one heading, its title: got {', '.join(headings) or 'none'}")
    return found
