"""Chapters of edition 2 use the field's terms: no private words, and each term that they define is in the glossary.

In force where a notebook's metadata say `"dlbook": {"edition": 2}`; once all chapters do, also for the openers and the
introduction. The private words, and what to say instead, are in terms.toml beside this. They are looked for in text,
alt texts and the labels of figures, not in code, formulas, addresses, quotations and the titles of sources.

    the company<!-- everyday --> sells shoes        the everyday sense of a word of the table, in text or alt_from
    ax.set_xlabel("place of birth")  # everyday     the same in a label

In a heading there is no everyday sense: find another word. An italic phrase that the text defines ("*Recall* is …",
"called *recall*", "or *recall*,") needs an entry in book/appendix/glossary.md, unless it is marked as everyday.
"""

import ast
import functools
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from markdown_it.token import Token
from nbformat import NotebookNode

from authoring.book import PARSER, ROOT, chapters, code_cells, markdown_cells, pages, without_header
from authoring.locks import alts, glossary, unseen
from authoring.locks.claims import edition

TABLE = "authoring/locks/terms.toml"
ESCAPE = "<!-- everyday -->"
EVERYDAY = re.compile(r"<!--\s*everyday\s*-->")
ESCAPED_CODE = re.compile(r"#\s*everyday\s*$")
MARK, OPEN, CLOSE = "\ue000", "\ue001", "\ue002"  # in a block of text: the escape, and the ends of italics
AFTER = "\ue003"  # the escape behind italics, where it may also say that they define nothing
MARKS = f"[{MARK}{OPEN}{CLOSE}{AFTER}]"
QUOTED = re.compile(r"“[^”]*”|(?<!\w)\"[^\"\n]*\"")
LABELS = {"text", "annotate", "legend", "suptitle", "supxlabel", "supylabel", "title", "xlabel", "ylabel"}
KEYWORDS = {"label", "labels", "title", "xlabel", "ylabel", "zlabel"}
ITALIC = rf"{OPEN}([^{OPEN}{CLOSE}]+){CLOSE}(?!{MARK})"
MEANS = r"(?:is|are)(?! to\b)|means?|takes?|replaces?|asks?|adds?|divides?|multiply|multiplies|measures?|compares?"
DEFINED = [
    re.compile(rf"(?i:\b(?:called|known as|named|termed|by the name of)(?: (?:an?|the))? ){ITALIC}"),
    re.compile(rf"(?:^|[.!?:;] )(?:(?:An?|The|Its?|This|That) )?{ITALIC}(?: \([^)]*\))?,? (?:{MEANS})\b"),
    re.compile(rf"[,:(] ?(?:or |(?:or )?(?:the|an?) ){ITALIC}(?=[,.;)])"),
]


class Term(NamedTuple):
    """A private word: the expression that finds it, what to say instead, and passages with and without it."""

    pattern: re.Pattern[str]
    say: str
    yes: list[str]
    no: list[str]


class Block(NamedTuple):
    """A block of text: the heading above it, whether it is a heading itself, and the text with its marks."""

    under: str
    heading: bool
    text: str


def plain(text: str) -> str:
    """Return a text with single blanks and printed apostrophes, as the expressions of the table expect it."""
    return " ".join(text.replace("'", "’").split())


@functools.cache
def table(root: Path = ROOT) -> list[Term]:
    """Read the table of private words; that of this repository where a book has none of its own."""
    path = root / TABLE if (root / TABLE).is_file() else ROOT / TABLE
    rows = tomllib.loads(path.read_text(encoding="utf-8"))["term"]
    return [
        Term(re.compile(rf"(?<!\w)(?:{'|'.join(row['words'])})(?!\w)", re.I), row["say"], row["yes"], row["no"])
        for row in rows
    ]


# --- the text ---------------------------------------------------------------------------------------------------------


def inline(children: list[Token], titles: bool) -> str:
    """Return a line of text with its marks: code and formulas become `, and the titles of sources, if so asked."""
    text, linked = "", False
    for child in children:
        if child.type in ("link_open", "link_close"):
            linked = titles and child.type == "link_open"
            text += "`" if linked else ""
        elif child.type in ("em_open", "em_close"):
            text += OPEN if child.type == "em_open" else CLOSE
        elif child.type in ("text", "image") and not linked:
            text += child.content
        elif child.type in ("softbreak", "hardbreak"):
            text += " "
        elif child.type == "html_inline" and EVERYDAY.fullmatch(child.content):
            text += MARK
        elif child.type == "code_inline" or child.type.startswith("math"):
            text += "`"
    return text


def blocks(markdown: str) -> list[Block]:
    """Return the text of a page, block by block; of quotations only those in bold, which are titles of pitfalls."""
    found, under, heading, quoted = [], "", False, False
    for token in PARSER.parse(markdown):
        if token.type in ("blockquote_open", "blockquote_close"):
            quoted = token.type == "blockquote_open"
        elif token.type == "html_block":
            escaped = EVERYDAY.sub(MARK, token.content)
            found.append(Block(under, False, plain(re.sub(r"<!--.*?-->|<[^>]*>", " ", escaped, flags=re.S))))
        elif token.type == "inline" and not (quoted and not token.content.startswith("**")):
            text = plain(inline(token.children or [], titles=under == "Sources"))
            under = re.sub(MARKS, "", text) if heading else under
            bold = token.content.startswith(("**", "#")) or heading
            found.append(Block(under, heading, text if bold else QUOTED.sub("`", text)))
        heading = token.type == "heading_open"
    return found


def labels(source: str) -> Iterator[tuple[str, bool]]:
    """Yield the strings that some code writes into figures, each with whether its line is marked as everyday."""
    tree = ast.parse(re.sub(r"^(\s*)[%!].*", r"\1pass", source, flags=re.M))
    lines = source.splitlines()
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        drawn = [*call.args, *(word.value for word in call.keywords)] if name in LABELS or name[:4] == "set_" else []
        drawn = drawn or [word.value for word in call.keywords if word.arg in KEYWORDS]
        for node in (node for part in drawn for node in ast.walk(part)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield plain(node.value), bool(ESCAPED_CODE.search(lines[node.lineno - 1]))


# --- what is wrong with it --------------------------------------------------------------------------------------------


def around(text: str, start: int, end: int) -> str:
    """Return a passage with a few words on both sides."""
    before, after = text[:start].split(" ")[-5:], text[end:].split(" ")[:4]
    return f"“… {re.sub(MARKS, '', ' '.join(before) + text[start:end] + ' '.join(after)).strip()} …”"


def private(text: str, terms: list[Term], may_escape: bool = True) -> Iterator[str]:
    """Yield the private words of a text, in its order, and each escape that stands behind none."""
    text = re.sub(f"[{OPEN}{CLOSE}]", "", text.replace(CLOSE + MARK, AFTER))
    found: dict[tuple[int, int], str] = {}
    for term in terms:
        for match in term.pattern.finditer(text):
            span = match.span()
            if not any(start < span[1] and span[0] < end for start, end in found):
                found[span] = term.say
    escaped = set()
    for (start, end), say in sorted(found.items()):
        if may_escape and text[end : end + 1] in (MARK, AFTER):
            escaped.add(end)
        else:
            yield f"“{re.sub(MARKS, '', text[start:end])}” must be {say}: got {around(text, start, end)}"
    for match in re.finditer(MARK, text):
        if match.start() not in escaped:
            yield f"{ESCAPE} must follow a word of {TABLE} directly: got {around(text, *match.span())}"


def known(root: Path = ROOT) -> set[str]:
    """Return the terms of the glossary, and what chapters say for them, in all forms."""
    entries = glossary.ENTRY.findall((root / glossary.PAGE).read_text(encoding="utf-8"))
    return {form for entry in entries for name in (entry[0], entry[4]) if name for form in forms(name)}


def forms(term: str) -> set[str]:
    """Return a term in small letters, without an article, as it is and in what may be its singular."""
    text = re.sub(r"^(?:an?|the) ", "", plain(term).casefold())
    endings = {"ies": "y", "es": "", "s": "", "’s": ""}
    return {text} | {text.removesuffix(end) + instead for end, instead in endings.items() if text.endswith(end)}


def definitions(text: str) -> Iterator[str]:
    """Yield the italic phrases of a text that it defines, in its order; those marked as everyday are left out."""
    matches = sorted((match.start(1), match[1]) for pattern in DEFINED for match in pattern.finditer(text))
    yield from dict.fromkeys(phrase.strip(" ,.") for _, phrase in matches if "`" not in phrase)


def examine(markdown: str, terms: list[Term], entries: set[str]) -> list[str]:
    """Return what is wrong with the words of a text."""
    found = []
    for block in blocks(markdown):
        where = f"under “{block.under}”: " if block.under and not block.heading else ""
        where = f"heading “{block.under}”: " if block.heading else where
        found += [where + fault for fault in private(block.text, terms, may_escape=not block.heading)]
        for phrase in definitions(block.text):
            if not forms(phrase) & entries:
                found.append(
                    f"{where}“{phrase}” is defined in italics, and must have an entry in {glossary.PAGE}; "
                    f"if it is no term, put {ESCAPE} behind it"
                )
    return found


def figures(nb: NotebookNode, terms: list[Term]) -> Iterator[str]:
    """Yield what is wrong with the words of alt texts, and of the labels of figures."""
    for template, _ in alts.templates(nb):
        text = EVERYDAY.sub(MARK, template)
        yield from (f"alt text: {fault}" for fault in private(plain(alts.COMMENT.sub("", text)), terms))
    for cell in code_cells(nb):
        for label, escaped in labels(cell.source):
            yield from (
                f"label in a figure: {fault}" for fault in private(label + MARK * escaped, terms) if not escaped
            )


def faults(root: Path = ROOT) -> list[str]:
    """Return the private words of the chapters of edition 2, and the terms that the glossary lacks."""
    terms, entries = table(root), known(root)
    found, looked_at, all_new = [], {}, True
    for page, nb in chapters(root):
        new = edition(nb) > 1
        all_new &= new
        looked_at[page] = len(markdown_cells(nb)) if new else 0
        if new:
            text = "\n\n".join(cell.source for cell in markdown_cells(nb))
            found += [f"{page}: {fault}" for fault in [*examine(text, terms, entries), *figures(nb, terms)]]
    for page, (path, number) in pages(root).items() if all_new else ():
        if path.suffix == ".md" and (number or page == next(iter(pages(root)))):
            found += [f"{page}: {fault}" for fault in examine(without_header(path), terms, entries)]
    return found + unseen(looked_at, "text of edition 2", root)
