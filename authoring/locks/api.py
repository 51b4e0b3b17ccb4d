"""Each module with public names has its page in book/appendix/api/ and in _toc.yml; no other page stands there."""

from pathlib import Path

from authoring.book import ROOT, pages
from authoring.pages.package import FOLDER, page, stub
from authoring.public import modules


def faults(root: Path = ROOT) -> list[str]:
    """Return which pages are missing, which hold something else than their stub, and which are of no module."""
    wanted = {page(module.path): stub(module.path) for module in modules(root)}
    found = {f"{FOLDER}/{path.stem}": path.read_text(encoding="utf-8") for path in (root / FOLDER).glob("*.md")}
    listed = [name for name in pages(root) if name.startswith(f"{FOLDER}/")]
    wrong = [f"{name}.md: must hold {text!r}" for name, text in wanted.items() if found.get(name) != text]
    wrong += [f"{name}.md: must be the page of a module with public names" for name in sorted(found.keys() - wanted)]
    wrong += [f"{name}: must be in _toc.yml, below {FOLDER}" for name in wanted if name not in listed]
    if listed != sorted(listed):
        wrong.append(f"_toc.yml: the pages below {FOLDER} must be in the order of the alphabet: got {listed}")
    return wrong if wanted else ["dlbook: the lock found no public name in it: mend the lock"]
