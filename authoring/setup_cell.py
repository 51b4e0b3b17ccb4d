"""The set-up cell: in Colab it installs the book's package, elsewhere it does nothing."""

import re
import tomllib
from pathlib import Path

import yaml
from nbformat import NotebookNode

from authoring.book import ROOT, take

SOURCE = """\
# @title Set-up: in Colab this installs the book's package; elsewhere it does nothing
import sys

if "google.colab" in sys.modules:
    %pip install --quiet "{package} @ git+{url}@{ref}\""""


def reference(root: Path = ROOT) -> str:
    """Return what Colab installs: the tag of this version if CHANGELOG.md dates its release, else main."""
    version = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    changes = (root / "CHANGELOG.md").read_text(encoding="utf-8") if (root / "CHANGELOG.md").is_file() else ""
    dated = re.search(rf"^## \[?{re.escape(version)}\]? .*\b\d{{4}}-\d\d-\d\d\b", changes, re.M)
    return f"v{version}" if dated and re.fullmatch(r"[\d.]+", version) else "main"


def rewrite(nb: NotebookNode, root: Path = ROOT) -> None:
    """Write the set-up cell, which is the first code cell of a notebook."""
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    extras = ",".join(nb.metadata.get("dlbook", {}).get("extras", []))
    cell = take(nb, "setup")
    package = f"dlbook[{extras}]" if extras else "dlbook"
    cell.source = SOURCE.format(package=package, url=config["repository"]["url"], ref=reference(root))
    cell.metadata = {"tags": ["setup", "remove-cell"], "cellView": "form"}
    first_code = next((n for n, other in enumerate(nb.cells) if other.cell_type == "code"), len(nb.cells))
    nb.cells.insert(first_code, cell)
