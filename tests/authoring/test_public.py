"""Which names of the package are public."""

import importlib
import inspect

from authoring.public import methods, modules, names, public, source


def test_private_and_imported_names_are_left_out(book):
    assert [module.path for module in modules(book)] == ["dlbook.data.store", "dlbook.layers"]
    layers = modules(book)[1]
    assert [thing.name for thing in names(layers)] == ["SIZE", "Dense", "dense", "load"]
    assert [method.name for method in methods(names(layers)[1])] == ["wide", "forward"]


def test_the_source_stands_at_the_margin(book):
    dense = next(thing for thing in public(book) if thing.name == "Dense")
    assert source(dense).startswith("@dataclass\nclass Dense:\n")
    assert source(dense.members["forward"]).startswith("def forward(self, x: int) -> int:\n    ")


def test_the_names_of_the_real_package_are_those_that_python_sees():
    found = {thing.path for thing in public() if thing.is_class or thing.is_function}
    seen = set()
    for module in modules():
        for name, thing in vars(importlib.import_module(module.path)).items():
            defined_here = getattr(thing, "__module__", "") == module.path
            if defined_here and not name.startswith("_") and (inspect.isclass(thing) or inspect.isroutine(thing)):
                seen.add(f"{module.path}.{name}")
    assert found == seen and len(found) > 250
