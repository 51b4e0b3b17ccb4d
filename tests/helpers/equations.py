"""Tests of equations: the page's formula, executed, must agree with the package, and wrong variants must not."""

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from authoring.formulas import EvaluationError, Node, evaluate, mutants, parse, plain
from authoring.locks.equations import formulas

page_formulas = functools.cache(formulas)
parsed = functools.cache(parse)


class Formula:
    """A formula of the book, as the argument of a test: a function of the quantities in it.

    Attributes:
        source: its LaTeX.
        tree: a changed tree to evaluate instead, if there is one.
        shapes: the names that the test supplied, each with its shape.
        functions: those of them that are functions.
    """

    def __init__(self, source: str, tree: Node | None = None):
        self.source, self.tree = source, tree
        self.shapes: dict[str, object] = {}
        self.functions: set[str] | None = None

    def __call__(
        self,
        names: Mapping[str, Any] | None = None,
        ranges: Mapping[str, Any] | None = None,
        *,
        starts: Mapping[str, Any] | None = None,
        padded: Iterable[str] = (),
        samples: Mapping[str, Any] | None = None,
        sides: bool = False,
    ) -> Any:
        """Return what the formula defines; the arguments are those of `authoring.formulas.evaluate`."""
        supplied = {plain(name): value for name, value in (names or {}).items()}
        functions = {name for name, value in supplied.items() if shape_of(value) == "function"}
        if self.functions not in (None, functions):
            raise ValueError(f"all calls must supply the same functions: got {self.functions} and {functions}")
        self.functions = functions
        for name, value in supplied.items():
            self.shapes.setdefault(name, shape_of(value))
        tree = self.tree or parsed(self.source, frozenset(functions))
        source = "" if self.tree else self.source
        return evaluate(tree, supplied, ranges, starts, padded, samples, sides, source)


def shape_of(value: Any) -> object:
    """Return what a value must share with another to be exchanged with it."""
    if isinstance(value, set | frozenset | range | tuple):
        return "set"
    if callable(value) and not isinstance(value, torch.Tensor):
        return "function"
    return tuple(np.shape(value.detach() if isinstance(value, torch.Tensor) else value))


class Executed(NamedTuple):
    """A test of a formula that is evaluated from its page."""

    tag: str
    of: str
    test: Callable
    same: Mapping[str, str]

    def run(self, formula: Formula, fixtures: Mapping[str, Any]) -> None:
        """Run the test's body, always with the same random numbers."""
        torch.manual_seed(0)
        self.test(formula=formula, **fixtures)

    def rejects(self, formula: Formula, fixtures: Mapping[str, Any]) -> bool:
        """Whether the test fails by an assertion, or the formula has no value."""
        try:
            self.run(formula, fixtures)
        except (AssertionError, EvaluationError):
            return True
        return False


EXECUTED: dict[tuple[str, str], Executed] = {}  # by tag and test: all whose modules were imported


def executed(tag: str, of: str, same: Mapping[str, str] | None = None) -> Callable:
    """Decorate a test of an equation that is evaluated from the page; its argument `formula` is a `Formula`.

    It makes two tests. `printed` must pass. `mutants` runs the body with each wrong variant that the machine makes of
    the formula: each must fail by an assertion, or have no value.

    Args:
        tag: the equation's number in the book, such as "3.1.1a".
        of: the dotted name of what it describes, such as "dlbook.network.Dense".
        same: the variants that may pass, as the failure describes them, each with the reason why no data tells it
            from the formula.
    """

    def decorate(test: Callable) -> Callable:
        this = Executed(tag, of, test, same or {})
        EXECUTED[tag, f"{test.__module__.rpartition('.')[2]}.{test.__qualname__}"] = this

        @functools.wraps(test)
        def both(*owner: object, formula: str, **fixtures: Any) -> None:
            here = this._replace(test=functools.partial(test, *owner))
            printed = Formula(page_formulas()[tag])
            here.run(printed, fixtures)
            if formula == "mutants":
                reject_mutants(here, printed, fixtures)

        return pytest.mark.equation(tag, of=of)(pytest.mark.parametrize("formula", ["printed", "mutants"])(both))

    return decorate


def reject_mutants(this: Executed, printed: Formula, fixtures: Mapping[str, Any]) -> None:
    """Run a test with all wrong variants of its formula; fail if one passes without a reason, or despite it."""
    if printed.functions is None:
        pytest.fail(f"the test of equation {this.tag} must call its argument `formula`", pytrace=False)
    alive = []
    for mutant in mutants(parse(printed.source, printed.functions), printed.shapes):
        try:
            if not this.rejects(Formula(printed.source, mutant.tree), fixtures):
                alive.append(mutant)
        except BaseException as error:
            error.add_note(f"equation {this.tag} with {mutant}")
            raise
    unexplained = [str(mutant) for mutant in alive if mutant.description not in this.same]
    passed = {mutant.description for mutant in alive}
    rejected = [f"{description!r} in `same` is rejected, or is no variant" for description in this.same]
    faults = unexplained + [line for line, key in zip(rejected, this.same, strict=True) if key not in passed]
    if faults:
        pytest.fail("\n".join([f"the test of equation {this.tag} does not reject:", *faults]), pytrace=False)
