r"""Each display equation has a \tag, and each tag a test that executes it from its page and rejects wrong variants.

`@executed(tag, of=…)` evaluates the LaTeX of the page, and the wrong variants that the machine makes of it.

`python -m authoring.locks.equations` prints which tag is on which page, what of the package it describes, and its test.
"""

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import NamedTuple

from authoring.book import ROOT, markdown, notebooks, pages
from authoring.locks import unseen
from authoring.locks.listings import locate, parsed

CODE = re.compile(r"^(```|~~~).*?^\1|`[^`\n]+`", re.M | re.S)
DISPLAY = re.compile(r"\$\$(.+?)\$\$(?:\s*<!--\s*derivation of (\S+)\s*-->)?", re.S)
ENDED = re.compile(r"\$\$(.+?)\$\$([^\n]*)", re.S)
TAG = re.compile(r"\\tag\{(.+?)\}")
CITED = re.compile(r"\((\d+(?:\.\d+)*[a-z])\)|\bequations?\s+(\d+(?:\.\d+)*[a-z])\b")  # in a text: (3.1.1a)
SOURCE = re.compile(r"book\s+equations?\s+((?:\(\d[\w.]*\)(?:,\s+|\s+and\s+|\s+to\s+)?)+)")  # in a docstring
QUIET = re.compile(r"<!--.*?-->|\$\$.*?\$\$|\$[^$]*\$", re.S)  # comments and mathematics cite nothing
BARE = re.compile(r"\\begin\{(?:equation|align|gather|multline)\*?\}|\\\[")


def displayed(root: Path = ROOT) -> tuple[dict[str, str], list[str]]:
    """Return the page of each tag in the book's notebooks, and what is wrong with their display equations."""
    found: dict[str, str] = {}
    derivations, wrong = [], []
    for page, (path, number) in pages(root).items():
        plain = CODE.sub("`", markdown(path)) if path.suffix == ".ipynb" else ""
        for formula, origin in DISPLAY.findall(plain):
            tags = TAG.findall(formula)
            where = f"{page}, {' '.join(formula.split())}"
            if origin and not tags:
                derivations.append((origin, f"{where}: is derived from {origin}, which must be in the book"))
            elif len(tags) != 1:
                wrong.append(f"{where}: must have one \\tag, or be followed by <!-- derivation of TAG -->")
            elif tags[0] in found:
                wrong.append(f"{where}: must have a tag of its own, this one is also in {found[tags[0]]}")
            elif not re.fullmatch(re.escape(number) + "[a-z]", tags[0]):
                wrong.append(f"{where}: must have a tag made of {number}, its section, and a letter")
            found |= {tag: page for tag in tags if tag not in found}
        for formula, behind in ENDED.findall(plain):
            if behind.strip():  # the page would show the dollar signs
                wrong.append(f"{page}, {' '.join(formula.split())}: must end its line: got {behind.strip()!r}")
        others = BARE.findall(DISPLAY.sub("", plain))
        wrong += [f"{page}: a display equation must stand between $$ and $$: got {other}" for other in others]
    return found, wrong + [fault for origin, fault in derivations if origin not in found]


def formulas(root: Path = ROOT) -> dict[str, str]:
    """Return the formula of each tag, as it stands in its chapter."""
    found = {}
    for path in notebooks(root):
        for formula, _ in DISPLAY.findall(CODE.sub("`", markdown(path))):
            for tag in TAG.findall(formula):
                found[tag] = re.sub(r"^> ?", "", formula, flags=re.M).strip()
    return found


class Proof(NamedTuple):
    """A test of an equation: its tag, what it describes, and where the test is."""

    tag: str
    of: str
    test: str


def proofs(root: Path = ROOT) -> tuple[list[Proof], list[str]]:
    """Return each test of an equation, found by its decorator, and what is wrong with these."""
    found, wrong = [], []
    for path in sorted((root / "tests").rglob("test_*.py")):
        for name, call in decorated(path.read_text(encoding="utf-8")):
            test = f"{path.relative_to(root).as_posix()}::{name}"
            given = dict(zip(("tag", "of"), call.args, strict=False))
            given |= {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
            tag, of = (literal(given.get(name)) for name in ("tag", "of"))
            found.append(Proof(tag or "", of or "", test))
            if ast.unparse(call.func) != "executed" or tag is None or of is None:
                wrong.append(f"{test}: must be decorated @executed(tag, of=…)")
            try:
                locate(of or "", root)
            except ValueError as error:
                wrong.append(f"{test}: {error}")
    return found, wrong


@cache
def decorated(text: str) -> list[tuple[str, ast.Call]]:
    """Return the name and the decorator of each test of an equation in a file."""
    return [
        (node.name, call)
        for node in ast.walk(parsed(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for call in node.decorator_list
        if isinstance(call, ast.Call) and ast.unparse(call.func).rpartition(".")[2] in ("executed", "equation")
    ]


def literal(node: ast.expr | None) -> str | None:
    """Return the text that stands in the code, None if there is none."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def ledger(root: Path = ROOT) -> tuple[list[tuple[str, str, Proof]], list[str]]:
    """Return (tag, page, proof) for each test of an equation, in the order of the book, and all that is wrong."""
    pages_of, wrong = displayed(root)
    tests, more = proofs(root)
    untested = sorted(pages_of.keys() - {proof.tag for proof in tests})
    wrong += [f"{pages_of[tag]}: equation {tag} must have a test decorated @executed({tag!r}, …)" for tag in untested]
    sections = {number for _, number in pages(root).values()}  # a test may be written before its section
    extra = [proof for proof in tests if proof.tag not in pages_of and proof.tag[:-1] in sections]
    wrong += [f"{proof.test}: equation {proof.tag} must be in the book" for proof in extra]
    rows = [(tag, page, proof) for tag, page in pages_of.items() for proof in tests if proof.tag == tag]
    return rows, wrong + more


def strays(root: Path = ROOT) -> list[str]:
    """Return the references, in texts and in the package's docstrings, to equations that the book does not have."""
    tags = displayed(root)[0]
    cited = [
        (page, found[1] or found[2])
        for page, (path, _) in pages(root).items()
        for found in CITED.finditer(QUIET.sub("", CODE.sub("`", markdown(path))))
    ]
    for path in sorted((root / "dlbook").rglob("*.py")):
        for found in SOURCE.finditer(path.read_text(encoding="utf-8")):
            cited += [(path.relative_to(root).as_posix(), tag) for tag in re.findall(r"\(([\w.]+)\)", found[1])]
    return [f"{place}: equation {tag} must be in the book to be referred to" for place, tag in cited if tag not in tags]


def faults(root: Path = ROOT) -> list[str]:
    """Return what is wrong with the equations, their tests, what refers to them, and the notebooks without one."""
    found = ledger(root)[1] + strays(root)
    tagged = Counter(displayed(root)[0].values())
    looked_at = {page: tagged[page] for page, (path, _) in pages(root).items() if path.suffix == ".ipynb"}
    found += [rf"{page}: must have an equation with a \tag" for page, count in looked_at.items() if not count]
    return found + unseen(looked_at, "equations", root)


def main(root: Path = ROOT) -> int:
    """Print the ledger and what is wrong; return the exit status."""
    rows, wrong = ledger(root)
    for tag, page, proof in rows:
        print(f"{tag:8} {page:32} {proof.of:40} {proof.test}")
    for fault in wrong:
        print(fault)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
