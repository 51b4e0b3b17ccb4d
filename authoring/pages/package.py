"""The pages of the package: one a module, with its public names, and an index of them.

A page is a stub in book/appendix/api/, which `page` gives; the rest is made of the sources when the site is built.
"""

import ast
import re
import textwrap
from pathlib import Path

import griffe
from griffe import DocstringSectionKind as Kind

from authoring.book import ROOT, chapters
from authoring.definitions import Definition
from authoring.locks.listings import listed
from authoring.pages.writing import APPENDIX, anchor, code_of, link, page_links, prose
from authoring.public import methods, modules, names, public, source

FOLDER = f"{APPENDIX}/api"
LONGEST = 100  # characters of a constant
LISTS = {Kind.parameters: "Arguments", Kind.attributes: "Attributes", Kind.raises: "Raises"}
SINGLE = {Kind.returns: "Returns", Kind.yields: "Yields"}


def page(module: str) -> str:
    """Return the name of a module's page, as _toc.yml has it."""
    return f"{FOLDER}/{module.removeprefix('dlbook.')}"


def stub(module: str) -> str:
    """Return the text of the file of a module's page."""
    return f"# `{module}`\n\n<!-- generated: {module} -->\n"


def homes(root: Path = ROOT) -> dict[str, str]:
    """Return the page that lists each object."""
    found: dict[str, str] = {}
    for page, nb in chapters(root):
        found |= {name: page for _, name, _ in listed(nb)}
    return found


# --- docstrings -------------------------------------------------------------------------------------------------------


def paragraphs(text: str) -> list[str]:
    """Return the paragraphs of a docstring, its examples, and its source, as Markdown."""
    found = []
    for block in re.split(r"\n\s*\n", text):
        if block.startswith("    "):
            found.append(f"```python\n{textwrap.dedent(block)}\n```")
        else:
            found.append(re.sub("^Source:", "**Source**", prose(block)))
    return found


def item(part: griffe.DocstringElement) -> str:
    """Return the line on an argument, an attribute or an error."""
    return f"- `{getattr(part, 'name', part.annotation)}`: {prose(part.description)}"


def section_text(thing: griffe.Object, head: str) -> str:
    """Return what stands in a section of a docstring; griffe would take what is before a colon for a type."""
    docstring = thing.docstring.value if thing.docstring else ""
    section = re.search(rf"^{head}:\n((?:[ ]+.*\n?|\n(?=[ ]))+)", docstring, re.M)
    return section[1] if section else ""


def documented(thing: griffe.Object) -> str:
    """Return a docstring as Markdown, "" where there is none.

    Raises:
        ValueError: it has a section that the page has no form for.
    """
    found: list[str] = []
    for section in thing.docstring.parsed if thing.docstring else []:
        if section.kind is Kind.text:
            found += paragraphs(section.value)
        elif section.kind in LISTS:
            found += [f"**{LISTS[section.kind]}**", "\n".join(item(part) for part in section.value)]
        elif section.kind in SINGLE:
            found.append(f"**{SINGLE[section.kind]}** {prose(section_text(thing, SINGLE[section.kind]))}")
        else:
            known = "Args, Attributes, Raises, Returns and Yields"
            raise ValueError(f"a docstring may have {known}: got {section.title or section.kind.value} in {thing.path}")
    return "\n\n".join(found)


# --- a page -----------------------------------------------------------------------------------------------------------


def parsed(code: str) -> Definition:
    """Return the syntax tree of a definition."""
    node = ast.parse(code).body[0]
    assert isinstance(node, Definition)
    return node


def opening(code: str) -> str:
    """Return how a definition begins, from its first decorator to the colon."""
    lines, body = code.splitlines(), parsed(code).body[0]
    before = lines[body.lineno - 1][: body.col_offset]  # the body may stand behind the colon
    return "\n".join([*lines[: body.lineno - 1], before]).rstrip().removesuffix(":")


def fields(code: str) -> list[str]:
    """Return the annotated fields of a class as they stand there."""
    lines = code.splitlines()
    found = [part for part in parsed(code).body if isinstance(part, ast.AnnAssign)]
    return ["\n".join(lines[field.lineno - 1 : field.end_lineno]) for field in found]


def signature(thing: griffe.Object) -> str:
    """Return how something is called, as it stands in the file; of a class, with its fields and methods."""
    code = source(thing)
    if not thing.is_class:
        return opening(code)
    inner = []
    for method in methods(thing):
        mark = "@property\n" if method.has_labels("property") else ""  # griffe leaves it out of the source
        inner.append(textwrap.indent(mark + opening(source(method)), "    "))
    return "\n".join([opening(code), *fields(code), *inner])


def entry(thing: griffe.Object, home: str | None, root: Path) -> str:
    """Return the part of the page on a function or a class; `home` is a link to the chapter that lists it."""
    parts = [f"({anchor(thing)})=\n## `{thing.name}`", f"```python\n{signature(thing)}\n```", documented(thing)]
    if thing.is_class:
        parts += [f"**`{method.name}`** {documented(method)}" for method in methods(thing) if method.has_docstring]
    parts.append(f"[Code]({code_of(thing, root)})" + (f" · listed in {home}" if home else ""))
    return "\n\n".join(filter(None, parts))


def constants(things: list[griffe.Object], root: Path) -> str:
    """Return the part of the page on the constants and types of a module, "" if it has none."""
    rows = {}
    for thing in things:
        text = " ".join(source(thing).split())
        short = text if len(text) <= LONGEST else f"{text[:LONGEST]} …"
        rows[thing.lineno] = f"- `` {short} `` ([code]({code_of(thing, root)}))"
    return "\n".join(["Constants and types:", "", *rows.values()]) if rows else ""


def api(root: Path = ROOT) -> dict[str, str]:
    """Return what the page of each module says, by the module's name."""
    found, home, links = public(root), homes(root), page_links(root, FOLDER)
    made = {}
    for module in modules(root):
        defined = [thing for thing in names(module) if thing.is_class or thing.is_function]
        others = [thing for thing in names(module) if thing not in defined]
        parts = [documented(module), constants(others, root)]
        parts += [entry(thing, links.get(home.get(thing.path, "")), root) for thing in defined]
        text = "\n\n".join(filter(None, parts))
        made[module.path] = re.sub(r"`(dlbook\.[\w.]+)`", lambda name: link(name[1], found), text)
    return made


def index(root: Path = ROOT) -> str:
    """Return the list of all modules: a link to the page of each, and its first line."""
    rows = []
    for module in modules(root):
        first = module.docstring.value.partition("\n")[0] if module.docstring else ""
        address = page(module.path).removeprefix(f"{APPENDIX}/")
        rows.append(f"- [`{module.path}`]({address}.md): {prose(first)}")
    return "\n".join(rows)
