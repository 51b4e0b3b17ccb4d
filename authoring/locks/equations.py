r"""Each display equation has a \tag, and each tag a test that evaluates it as printed and rejects a wrong variant.

`python -m authoring.locks.equations` prints which tag is on which page, what of the package it describes, and its test.
"""

import ast
import re
from collections import Counter
from pathlib import Path

from authoring.book import ROOT, markdown, pages
from authoring.definitions import Definition
from authoring.locks import unseen
from authoring.locks.listings import locate

CODE = re.compile(r"^(```|~~~).*?^\1|`[^`\n]+`", re.M | re.S)
DISPLAY = re.compile(r"\$\$(.+?)\$\$(?:\s*<!--\s*derivation of (\S+)\s*-->)?", re.S)
BARE = re.compile(r"\\begin\{(?:equation|align|gather|multline)\*?\}|\\\[")


def displayed(root: Path = ROOT) -> tuple[dict[str, str], list[str]]:
    """Return the page of each tag in the book's notebooks, and what is wrong with their display equations."""
    found: dict[str, str] = {}
    derivations, wrong = [], []
    for page, (path, number) in pages(root).items():
        plain = CODE.sub("`", markdown(path)) if path.suffix == ".ipynb" else ""
        for formula, origin in DISPLAY.findall(plain):
            tags = re.findall(r"\\tag\{(.+?)\}", formula)
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
        others = BARE.findall(DISPLAY.sub("", plain))
        wrong += [f"{page}: a display equation must stand between $$ and $$: got {other}" for other in others]
    return found, wrong + [fault for origin, fault in derivations if origin not in found]


def proofs(root: Path = ROOT) -> tuple[list[tuple[str, str, str]], list[str]]:
    """Return (tag, of, test) for each test of an equation, found by its decorator, and what is wrong with these."""
    found, wrong = [], []
    for path in sorted((root / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for call in node.decorator_list if isinstance(node, Definition) else []:
                if not isinstance(call, ast.Call) or not ast.unparse(call.func).endswith("equation"):
                    continue
                test = f"{path.relative_to(root).as_posix()}::{node.name}"  # type: ignore[attr-defined]
                tag, of = ([ast.literal_eval(argument) for argument in call.args[:2]] + ["", ""])[:2]
                found.append((tag, of, test))
                if not isinstance(call.func, ast.Name) or len(call.args) < 4:
                    wrong.append(f"{test}: must be decorated @equation(tag, of, printed, wrong, …)")
                try:
                    locate(of, root)
                except ValueError as error:
                    wrong.append(f"{test}: {error}")
    return found, wrong


def ledger(root: Path = ROOT) -> tuple[list[tuple[str, str, str, str]], list[str]]:
    """Return (tag, page, of, test) for each test of an equation, in the order of the book, and all that is wrong."""
    pages_of, wrong = displayed(root)
    tests, more = proofs(root)
    untested = sorted(pages_of.keys() - {tag for tag, _, _ in tests})
    wrong += [f"{pages_of[tag]}: equation {tag} must have a test decorated @equation({tag!r}, …)" for tag in untested]
    sections = {number for _, number in pages(root).values()}  # a test may be written before its section
    extra = [(tag, test) for tag, _, test in tests if tag not in pages_of and tag[:-1] in sections]
    wrong += [f"{test}: equation {tag} must be in the book" for tag, test in extra]
    rows = [(tag, page, of, test) for tag, page in pages_of.items() for other, of, test in tests if other == tag]
    return rows, wrong + more


def faults(root: Path = ROOT) -> list[str]:
    """Return what is wrong with the equations and their tests, and the notebooks without an equation."""
    _, found = ledger(root)
    tagged = Counter(displayed(root)[0].values())
    looked_at = {page: tagged[page] for page, (path, _) in pages(root).items() if path.suffix == ".ipynb"}
    found += [rf"{page}: must have an equation with a \tag" for page, count in looked_at.items() if not count]
    return found + unseen(looked_at, "equations", root)


def main(root: Path = ROOT) -> int:
    """Print the ledger and what is wrong; return the exit status."""
    rows, wrong = ledger(root)
    for tag, page, of, test in rows:
        print(f"{tag:8} {page:32} {of:40} {test}")
    for fault in wrong:
        print(fault)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
