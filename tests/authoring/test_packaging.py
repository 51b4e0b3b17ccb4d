"""What surrounds the package: versions that agree, commands that the README gives, set-up that explains itself."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from setuptools import find_packages

from authoring.book import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
DIRECT = [Requirement(text) for group in (PROJECT["dependencies"], *EXTRAS.values()) for text in group]
INSTALLED_EXTRAS = ["book", "test", "dev"]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


# --- versions ---------------------------------------------------------------------------------------------------------


def constraints() -> dict[str, Version]:
    """Return the version of each package in constraints.txt."""
    lines = [line for line in read("constraints.txt").splitlines() if not line.startswith("#")]
    found = [re.fullmatch(r"([A-Za-z0-9._-]+)==([0-9][^+\s;]*)", line) for line in lines]
    assert all(found), (
        f"each line must read name==version: got {[a for a, b in zip(lines, found, strict=True) if not b]}"
    )
    versions = {canonicalize_name(match[1]): Version(match[2]) for match in found if match}
    assert len(versions) == len(lines), "a package is named twice"
    return versions


@pytest.mark.parametrize("requirement", DIRECT, ids=lambda requirement: requirement.name)
def test_constraints_meet_the_ranges(requirement):
    version = constraints().get(canonicalize_name(requirement.name))
    assert version, f"constraints.txt has no {requirement.name}"
    assert version in requirement.specifier


@pytest.mark.skipif(
    sys.platform != "linux" or sys.version_info[:2] != (3, 11), reason="it needs other packages elsewhere"
)
def test_constraints_are_complete():
    """All that the direct dependencies bring along is in constraints.txt; CUDA's parts are fixed by torch itself."""
    versions, waiting, needed = constraints(), list(DIRECT), set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        extras = {"", *requirement.extras}
        if (name, *sorted(extras)) in needed or name.startswith(("nvidia-", "cuda-", "triton")):
            continue
        needed.add((name, *sorted(extras)))
        for text in importlib.metadata.requires(name) or []:
            further = Requirement(text)
            if further.marker is None or any(further.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(further)
    assert {name for name, *_ in needed} - set(versions) == set()


def test_conda_environment_is_that_of_pip():
    environment = yaml.safe_load(read("environment.yml"))
    *conda, pip = environment["dependencies"]
    assert conda == [f"python{PROJECT['requires-python']}", "pip"]
    assert pip["pip"][:2] == ["-c constraints.txt", "-e ."]
    assert sorted(pip["pip"][2:]) == sorted(
        PROJECT["dependencies"] + sum((EXTRAS[name] for name in INSTALLED_EXTRAS), [])
    )


def test_version_is_the_same_everywhere():
    assert yaml.safe_load(read("CITATION.cff"))["version"] == PROJECT["version"]
    assert re.findall(r"^## (\S+)", read("CHANGELOG.md"), re.M)[0] == PROJECT["version"]


def test_all_of_the_package_is_packaged_and_nothing_else():
    find = tomllib.loads(read("pyproject.toml"))["tool"]["setuptools"]["packages"]["find"]
    named = find_packages(str(ROOT), include=find["include"])
    folders = {path.parent.relative_to(ROOT) for path in (ROOT / "dlbook").rglob("*.py")}
    assert sorted(named) == sorted(".".join(folder.parts) for folder in folders)


def test_the_repository_is_on_the_path_wherever_python_starts(tmp_path):
    """All but `benchmarks`, for which one starts in the root: opacus brings a package of this name."""
    for names, folder in (("authoring, tests.helpers", tmp_path), ("authoring, benchmarks.store", ROOT)):
        program = f"import {names}; print(authoring.__file__)"
        run = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True)
        assert run.stdout.strip() == str(ROOT / "authoring" / "__init__.py"), run.stderr


# --- the root and its files -------------------------------------------------------------------------------------------


def tracked():
    """Return what git knows, and what it would take in."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("this is no git repository")
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def test_the_root_holds_no_code():
    assert [path.name for path in ROOT.glob("*.py")] == []


def test_nobody_edits_the_path():
    edits = re.compile(r"\bsys\.path\.(append|insert|extend)|\bsyspath_prepend")
    files = [name for name in tracked() if name.endswith(".py") and name != "tests/authoring/test_packaging.py"]
    assert [name for name in files if edits.search(read(name))] == []


def test_a_checkout_on_windows_has_the_same_bytes():
    """Whatever git's core.autocrlf: a script with CRLF does not run, and the locks compare bytes."""
    names = [name for name in tracked() if b"\0" not in (ROOT / name).read_bytes()]
    command = ["git", "check-attr", "eol", "--stdin"]
    told = subprocess.run(command, cwd=ROOT, input="\n".join(names), capture_output=True, text=True, check=True).stdout
    assert len(names) > 200 and [line for line in told.splitlines() if not line.endswith(": eol: lf")] == []
    assert [name for name in names if b"\r\n" in (ROOT / name).read_bytes()] == []


# --- one address ------------------------------------------------------------------------------------------------------


def test_only_one_line_names_the_address():
    """Notebooks repeat it in their set-up cells, which are generated from that line."""
    url = yaml.safe_load(read("_config.yml"))["repository"]["url"]
    address = url.removeprefix("https://github.com/")
    assert re.fullmatch(r"[^/]+/[^/]+", address)
    files = [name for name in tracked() if not name.endswith(".ipynb")]
    found = {name: (ROOT / name).read_bytes().count(address.encode()) for name in files}
    assert {name: count for name, count in found.items() if count} == {"_config.yml": 1}


# --- commands ---------------------------------------------------------------------------------------------------------

MAKEFILE = read("Makefile")
TARGETS = re.search(r"^\.PHONY: (.*)", MAKEFILE, re.M)[1].split()


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", ".ci/run", *(
    str(path.relative_to(ROOT)) for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))
)])  # fmt: skip
def test_commands_exist(name):
    text = read(name)
    targets = set(re.findall(r"^\s*(?:- run: |run: )?make ([a-z][\w-]*)", text, re.M)) | set(
        re.findall(r"`make ([\w-]+)", text)
    )
    assert targets <= set(TARGETS)
    scripts = set(re.findall(r"\.ci/\w+", text))
    assert all((ROOT / script).stat().st_mode & 0o100 for script in scripts)
    assert targets or scripts, f"{name} names no command at all"


@pytest.mark.parametrize("target", [target for target in TARGETS if target not in ("help", "check", "clean")])
def test_readme_gives_the_lines_for_windows(target):
    recipe = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", MAKEFILE, re.M)[1]
    lines = [line.strip() for line in recipe.splitlines() if "$(BIN)/" in line]
    assert 1 <= len(lines) <= 3
    for part in [part for line in lines for part in line.split(" && ")]:
        command = part.replace(" $(COVERAGE)", "").replace("$(BIN)/", ".venv\\Scripts\\")
        assert command in read("README.md").splitlines(), f"README.md lacks the line {command!r}"


def test_readme_begins_with_the_two_commands():
    lines = [line.strip() for line in read("README.md").splitlines()]
    assert lines.index("make book") < lines.index("make test") < 20


POSIX = pytest.mark.skipif(
    not shutil.which("make") or sys.platform == "win32", reason="it needs make and a POSIX shell"
)
UNFIT = {
    "old": (
        "import sys; sys.version_info = (3, 9, 2)",
        "needs Python 3.11 or newer, and .* is 3.9: install a newer one",
    ),
    "no venv": (
        "import sys; sys.modules['ensurepip'] = None",
        r"Python's module venv is missing: .* python3\.\d+-venv",
    ),
    "full": (
        "import shutil, types; shutil.disk_usage = lambda path: types.SimpleNamespace(free=1.25e9)",
        r"The disk is too full: set-up needs 4 GB .* \. has 1\.2 GB left",
    ),
}


def set_up(tmp_path, python):
    """Let make look at a Python; return its exit status and what it says, without make's own line."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    clean = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    run = subprocess.run(["make", "check", f"PYTHON={python}"], cwd=tmp_path, env=clean, capture_output=True, text=True)
    return run.returncode, run.stdout, [line for line in run.stderr.splitlines() if not line.startswith("make")]


@POSIX
@pytest.mark.parametrize("fault", UNFIT)
def test_unfit_python(fault, tmp_path):
    prelude, message = UNFIT[fault]
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{prelude}\n$2"\n')
    python.chmod(0o755)
    status, out, lines = set_up(tmp_path, python)
    assert status and not out
    assert len(lines) == 1 and re.search(message, lines[0]), lines


@POSIX
def test_no_python(tmp_path):
    status, _, lines = set_up(tmp_path, "python-of-nowhere")
    assert status and lines == ["python-of-nowhere was not found: install Python 3.11 or newer"]


@POSIX
def test_fit_python(tmp_path):
    if shutil.disk_usage(tmp_path).free < 5e9:
        pytest.skip("the disk really is full")
    assert set_up(tmp_path, sys.executable) == (0, "", [])
