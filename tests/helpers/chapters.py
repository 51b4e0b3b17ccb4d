"""What the book's chapters hold, for tests that compare it with stored results."""

from typing import Any

from authoring.book import ROOT, read


def measured(page: str, script: str) -> dict[str, Any]:
    """Return what the cell of a chapter defines that begins with `# Measured by benchmarks/` and the script's name."""
    cells = [cell.source for cell in read(ROOT / f"{page}.ipynb").cells]
    (source,) = [source for source in cells if source.startswith(f"# Measured by benchmarks/{script}.py")]
    found: dict[str, Any] = {}
    exec(source, found)
    return found
