"""Each public class and function of the package is compared with a trusted implementation, or says why it is not.

A test that compares says so, and mentions both, itself or in what it calls of the tests:

    @reference("dlbook.attention.MultiHeadAttention", to="torch.nn.MultiheadAttention")
    def test_layer_equals_torch(): ...

A layer, and a loss, must be compared in its gradients too, by one of its reference tests. A test of an equation of the
book (`@executed`) holds a name as well. For the others, tests/references.toml has the reason, and their
tests must mention them. `python -m authoring.locks.reference_tests` prints how each name is held.
"""

import ast
import functools
import itertools
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import griffe

from authoring.book import ROOT
from authoring.locks.equations import literal, proofs
from authoring.locks.mentions import Module, Uses, called, open_module, uses
from authoring.public import public

REASONS = "tests/references.toml"
TRUSTED = {
    *("torch", "torchmetrics", "sklearn", "scipy", "keras", "tokenizers", "sacrebleu", "gensim", "pandas", "numpy"),
    *("captum", "cleanlab", "efficientnet_lite_pytorch", "fairlearn", "opacus", "transformers"),
    *("PIL", "statistics", "csv", "difflib"),
}
SHORTEST = 3  # words of a reason
FORM = '@reference("dlbook.module.name", …, to="library.name")'
Function = ast.FunctionDef | ast.AsyncFunctionDef
BACKWARD = {"backward", "grad", "gradcheck", "assert_same"}  # names that only what compares gradients uses


class Marker(NamedTuple):
    """A reference test: where it is, the names that it compares, with what, and whether in gradients."""

    test: str
    names: tuple[str, ...]
    to: str
    backward: bool
    wrong: list[str]


# --- markers and reasons ----------------------------------------------------------------------------------------------


def tests(root: Path = ROOT) -> Iterator[tuple[Module, str, Function]]:
    """Yield each test: its module, where it is, and its code."""
    for path in sorted((root / "tests").rglob("test_*.py")):
        owner = open_module(path, root)
        classes = [node.body for node in owner.tree.body if isinstance(node, ast.ClassDef)]
        for node in itertools.chain(owner.tree.body, *classes):
            if isinstance(node, Function) and node.name.startswith("test"):
                yield owner, f"{path.relative_to(root).as_posix()}::{node.name}", node


def markers(root: Path = ROOT, uses: Callable[[Module, ast.AST], Uses] = uses) -> list[Marker]:
    """Return all reference tests, with what is wrong with each; `uses` may know what it read before."""
    found = []
    for owner, test, node in tests(root):
        calls = [call for call in node.decorator_list if isinstance(call, ast.Call) and called(call) == "reference"]
        for call in calls:
            used = uses(owner, node)
            names = tuple(filter(None, map(literal, call.args)))
            to = next((literal(word.value) for word in call.keywords if word.arg == "to"), None) or ""
            wrong = [] if names and len(names) == len(call.args) and to else [f"must be decorated {FORM}"]
            wrong += [f"must use {name}, which it compares" for name in names if not used.mentions(name)]
            if to and to.partition(".")[0] not in TRUSTED:
                wrong.append(f"must compare with one of {', '.join(sorted(TRUSTED))}: got {to}")
            elif to and ("." not in to or not used.mentions(to)):
                wrong.append(f"must use {to}, which it compares with")
            if not used.asserts:
                wrong.append("must assert that both are equal")
            found.append(Marker(test, names, to, bool(BACKWARD & used.attributes), wrong))
    return found


def reasons(root: Path = ROOT) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """Return the reason of each name that has one, with the name through which tests use it; and what is wrong."""
    path = root / REASONS
    rows = tomllib.loads(path.read_text(encoding="utf-8")).get("reason", []) if path.is_file() else []
    found: dict[str, tuple[str, str]] = {}
    wrong = []
    for row in rows:
        if len(str(row.get("why", "")).split()) < SHORTEST or not row.get("names"):
            wrong.append(f"{REASONS}: each reason must have names, and a why of {SHORTEST} words or more: got {row}")
        for name in row.get("names", []):
            wrong += [f"{REASONS}: {name} must have one reason: got two"] if name in found else []
            found[name] = row.get("why", ""), row.get("through", name)
    return found, wrong


def needs_gradient(thing: griffe.Object, things: dict[str, griffe.Object]) -> bool:
    """Return whether something is a layer, or a loss that is no gradient itself."""
    if isinstance(thing, griffe.Class):
        bases = [str(base).rpartition(".")[2] for base in thing.bases]
        named = {other.name: other for other in things.values() if isinstance(other, griffe.Class)}
        return "Module" in bases or any(needs_gradient(named[base], things) for base in bases if base in named)
    return thing.path.startswith("dlbook.losses.") and not thing.name.endswith("_gradient")


def held(root: Path = ROOT) -> tuple[dict[str, list[str]], list[str]]:
    """Return what holds each public class and function of the package, and all that is wrong."""
    things = {thing.path: thing for thing in public(root) if thing.is_class or thing.is_function}
    known = functools.cache(uses)
    marked, (why, wrong) = markers(root, known), reasons(root)
    wrong += [f"{marker.test}: {fault}" for marker in marked for fault in marker.wrong]
    by = {name: [f"{marker.test} ({marker.to})" for marker in marked if name in marker.names] for name in things}
    with_gradient = {name for marker in marked if marker.backward for name in marker.names}
    printed = proofs(root)[0]
    equations = {name: [proof for proof in printed if f"{proof.of}.".startswith(f"{name}.")] for name in things}
    mentioned = [known(owner, node) for owner, _, node in tests(root)] if why else []
    for marker in marked:
        wrong += [f"{marker.test}: {name} must be public in the package" for name in marker.names if name not in things]
    for name, (reason, through) in why.items():
        if name not in things:
            wrong.append(f"{REASONS}: {name} must be a public class or function of the package: take it out")
        elif by[name] or equations[name]:
            test = by[name][0] if by[name] else equations[name][0].test
            wrong.append(f"{REASONS}: {name} needs no reason, {test} compares it: take it out")
        elif through not in things or not any(used.mentions(through) for used in mentioned):
            wrong.append(f"{REASONS}: {name} has a reason, but no test mentions {through}: write one")
            by[name].append("reason without a test")
        else:
            by[name].append(f"reason: {reason}")
    for name, thing in things.items():
        if by[name] and name not in why and needs_gradient(thing, things) and name not in with_gradient:
            wrong.append(f"{name}: one of its reference tests must compare gradients: {by[name][0]}")
        by[name] += [f"{proof.test} (equation {proof.tag})" for proof in equations[name]]
        if not by[name]:
            wrong.append(f"{name}: must have a reference test, {FORM}, or a reason in {REASONS}")
    return by, wrong


def faults(root: Path = ROOT) -> list[str]:
    """Return the public names that no reference test, equation or reason holds, and what is wrong with these."""
    by, found = held(root)
    return found if by else [*found, "dlbook: the lock found no public names in it: mend the lock"]


def main(root: Path = ROOT) -> int:
    """Print how each public name is held, and what is wrong; return the exit status."""
    by, wrong = held(root)
    for name, ways in by.items():
        print(f"{name:50} {'; '.join(ways) or '-'}")
    print(*wrong, sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
