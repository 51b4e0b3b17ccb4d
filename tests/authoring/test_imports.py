"""The contracts of import-linter in pyproject.toml: they hold, and each is broken by a planted import."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from authoring.book import ROOT

LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the package in a folder."""
    command = [sys.executable, "-c", LINT, str(ROOT / "pyproject.toml"), "--no-cache", "--no-logo"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env={"COLUMNS": "200", "PATH": ""})


@pytest.fixture
def package(tmp_path):
    """Copy the package."""
    shutil.copytree(ROOT / "dlbook", tmp_path / "dlbook", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_the_package_keeps_its_contracts(package):
    result = lint(package)
    assert result.returncode == 0, result.stdout
    assert "4 kept, 0 broken" in result.stdout


@pytest.mark.parametrize(
    "module, line, broken",
    [
        ("network", "from dlbook.transformer import GPT", "dlbook.network is not allowed to import dlbook.transformer"),
        ("network", "from dlbook import plot", "dlbook.network is not allowed to import dlbook.plot"),
        ("metrics/ranking", "from dlbook import plot", "dlbook.metrics is not allowed to import dlbook.plot"),
        ("training/fit", "from dlbook.network import MLP", "dlbook.training is not allowed to import dlbook.network"),
        ("text/bpe", "from dlbook.masks import future", "dlbook.text is not allowed to import dlbook.masks"),
        ("network", "def late():\n    import numpy.linalg", "dlbook.network is not allowed to import numpy"),
        ("metrics/resample", "import numpy", "dlbook.metrics is not allowed to import numpy"),
        ("data/store", "import authoring.book", "dlbook.data is not allowed to import authoring"),
        ("data/store", "import tests", "dlbook.data is not allowed to import tests"),
        ("plot", "import torch", "dlbook.plot is not allowed to import torch"),
        ("new", "", "The following modules are not listed as layers"),
    ],
)
def test_planted_imports(package, module, line, broken):
    path = package / "dlbook" / f"{module}.py"
    with path.open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")
    result = lint(package)
    assert result.returncode == 1
    assert broken in result.stdout, result.stdout


def test_importing_the_package_costs_nothing():
    program = "import sys, dlbook; print({'torch', 'numpy', 'matplotlib', 'sklearn'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"
