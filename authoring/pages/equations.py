"""The page of equations: each numbered formula, what of the package it describes, and the test that compares both."""

from pathlib import Path

from authoring.book import ROOT, pages
from authoring.locks.equations import formulas, ledger
from authoring.locks.listings import locate
from authoring.pages.writing import code, link, page_links
from authoring.public import public


def definition(name: str, root: Path = ROOT) -> tuple[str, str]:
    """Return the last part of a dotted name, and the address of its code."""
    path, node = locate(name, root)
    return node.name, code(path, node.lineno, node.end_lineno or node.lineno, root)


def equations(root: Path = ROOT) -> str:
    """Return every numbered equation, by chapter."""
    written, links, names = formulas(root), page_links(root), public(root)
    rows, _ = ledger(root)
    parts, before = [], ("", "")
    for tag, page, proof in rows:
        if page != before[0]:
            number = pages(root)[page][1]
            parts.append(f"## Section {number}: {links[page].replace(f'[{number} ', '[')}")
        if tag != before[1]:
            parts.append(f"$$\n{written[tag]}\n$$")
        described = link(proof.of, names)
        if described.startswith("`"):
            described = f"[{described}]({definition(proof.of, root)[1]})"
        name, address = definition(proof.test.replace(".py::", ".").replace("/", "."), root)
        parts.append(f"{described}, executed from its page and compared by [`{name}`]({address})")
        before = page, tag
    return "\n\n".join(parts)
