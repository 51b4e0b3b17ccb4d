"""Generated cells, the layout of the file and the outputs are those of the code, and of what it uses of the package."""

from pathlib import Path

from authoring.book import ROOT, pages
from authoring.build import build
from authoring.locks import unseen


def faults(root: Path = ROOT) -> list[str]:
    """Return the notebooks that `make notebooks` would change; nothing is executed."""
    found, looked_at = [], {}
    for page, (path, _) in pages(root).items():
        if path.suffix == ".ipynb":
            looked_at[page] = 1
            try:
                build(path, root, check=True)
            except (SyntaxError, ValueError) as error:
                found.append(f"{page}: {'; '.join(line.strip() for line in str(error).splitlines())}")
    return found + unseen(looked_at, "notebooks", root)
