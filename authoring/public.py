"""The public names of the package, as griffe reads them from the sources. Nothing of the package is imported."""

import textwrap
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import griffe

from authoring.book import ROOT
from authoring.definitions import sources


def modules(root: Path = ROOT) -> list[griffe.Module]:
    """Return the modules that define public names, in the order of the alphabet."""
    return load(root, sources(root, ["dlbook"]))


@lru_cache(maxsize=1)
def load(root: Path, texts: tuple[tuple[str, str], ...]) -> list[griffe.Module]:
    """Read the modules once for each state of their texts; nobody changes what griffe returns."""
    package = griffe.load(
        "dlbook",
        search_paths=[root],
        try_relative_path=False,  # not the folder of this name where the program was started
        allow_inspection=False,
        docstring_parser="google",
        docstring_options={"returns_multiple_items": False, "returns_named_value": False, "warnings": False},
    )
    assert isinstance(package, griffe.Module)
    return sorted((module for module in below(package) if names(module)), key=lambda module: module.path)


def below(module: griffe.Module) -> Iterator[griffe.Module]:
    """Go through a module and the public ones in it."""
    yield module
    for name, inner in module.modules.items():
        if not name.startswith("_"):
            yield from below(inner)


def names(module: griffe.Module) -> list[griffe.Object]:
    """Return the public names that a module defines, in its order; what it imports from elsewhere is left out."""
    members = [member for name, member in module.members.items() if not name.startswith("_")]
    found = [member for member in members if isinstance(member, griffe.Object) and not member.is_module]
    return sorted(found, key=lambda thing: thing.lineno or 0)


def public(root: Path = ROOT) -> list[griffe.Object]:
    """Return all public names of the package, by module."""
    return [thing for module in modules(root) for thing in names(module)]


def methods(thing: griffe.Object) -> list[griffe.Object]:
    """Return what a class does: its methods and properties with public names, and those that Python has names for."""
    found = [member for member in thing.members.values() if isinstance(member, griffe.Object)]
    found = [member for member in found if member.is_function or member.has_labels("property")]
    written = [member for member in found if member.lineno]  # unlike the __init__ of a dataclass
    return [member for member in written if not member.name.startswith("_") or member.name.endswith("__")]


def source(thing: griffe.Object) -> str:
    """Return the code of a name as it stands in its file, moved to the left margin."""
    return textwrap.dedent(thing.source)
