"""What the generated pages share: text as Markdown, and links to chapters, to code and to the package's pages."""

import functools
import os
import re
from pathlib import Path

import griffe
import yaml

from authoring.book import ROOT, markdown, pages

APPENDIX = "book/appendix"


def prose(text: str) -> str:
    """Join lines of plain text into one of Markdown, which shows what stands there; code in `…` stays code."""
    parts = re.split(r"(`[^`]+`)", " ".join(text.split()))
    return "".join(part if n % 2 else re.sub(r"([\\*_$<>\[\]{}|#~^])", r"\\\1", part) for n, part in enumerate(parts))


def sentence(text: str) -> str:
    """Write a part of a sentence as a whole one."""
    return prose(f"{text[:1].upper()}{text[1:]}.")


@functools.cache
def repository(root: Path) -> str:
    """Return the address at which the repository shows its files."""
    told = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))["repository"]
    return f"{told['url']}/blob/{told.get('branch', 'main')}"


def code(path: Path, first: int, last: int, root: Path = ROOT) -> str:
    """Return the address of some lines of a file."""
    lines = f"L{first}-L{last}" if last > first else f"L{first}"
    return f"{repository(root)}/{path.relative_to(root).as_posix()}#{lines}"


def code_of(thing: griffe.Object, root: Path = ROOT) -> str:
    """Return the address of the code of a public name."""
    assert isinstance(thing.filepath, Path) and thing.lineno and thing.endlineno
    return code(thing.filepath, thing.lineno, thing.endlineno, root)


def page_links(root: Path = ROOT, folder: str = APPENDIX) -> dict[str, str]:
    """Return a link from a page in `folder` to each page of the book: its number, its title."""
    found = {}
    for page, (path, number) in pages(root).items():
        title = re.search(r"^# (.+)$", markdown(path), re.M)
        if title is None:
            raise ValueError(f"a page must begin with its title: got none in {page}")
        found[page] = f"[{f'{number} {title[1]}'.strip()}]({os.path.relpath(path, root / folder)})"
    return found


def anchor(thing: griffe.Object) -> str:
    """Return the label of a public name on its page. Labels do not tell capitals, by which a class differs."""
    return thing.path.lower() + ("-class" if thing.is_class else "")


def link(name: str, names: list[griffe.Object]) -> str:
    """Return a dotted name as code, with a link to where the pages of the package have it, or its class."""
    anchors = {thing.path: anchor(thing) for thing in names if thing.is_class or thing.is_function}
    found = anchors.get(name) or anchors.get(name.rpartition(".")[0])
    return f"[`{name}`](#{found})" if found else f"`{name}`"
