"""The output lock: `pytest --nbval book/…` compares stored with fresh outputs, within the limits that cells declare.

Tags on a code cell:
    tolerance-0.01       numbers may differ by 0.01 from the stored ones
    tolerance-5pct       decimals may differ by 5 % of the stored ones; whole numbers stay exact
    accuracy-of-10000    decimals are accuracies over 10,000 examples and may differ by two of them
    pixels-15            figures may differ by 15 (of 255) in their worst patch, instead of 5
    moves-2              what figures show may lie 2 pixels elsewhere
    sample               not compared; the next code cell asserts a property of what came out
    nbval-ignore-output  not compared: times and memory
A number needs to meet one of the tolerances declared. Without any, numbers must be equal.

nbval compares strings for equality. Before it does, every fresh number or figure that lies within its limit is
replaced by the stored one (output_lock.py). What nbval then reports is what is really wrong.

This file lies at the root of the repository because pytest asks a conftest only about files below it.
"""

import ast
import base64
import os
import re
from collections import Counter
from unittest import mock

import pytest
from nbval.plugin import IPyNbCell, IPyNbFile, find_comment_markers

from output_lock import FIGURES, figure_difference, kind, kinds, limits, settle
from tools.execute import REFERENCE

# For unit tests as well as for kernels: the book's results are those of the CPU, and its Keras is the one on torch.
os.environ |= {"DLBOOK_DEVICE": "cpu", "KERAS_BACKEND": "torch"}

NOT_COMPARED = ("metadata", "traceback", "output_type", "name", "execution_count")
ADVICE = {
    "Cell outputs differ": "If the new output is right, run `make notebooks` and commit it. If it differs only between "
    "machines, `python -m tools.spread {notebook}` measures by how much and suggests a tag.",
    "Cell execution caused an exception": "Correct the cell; or, if the error is what it shows, tag it "
    "`raises-exception` and run `make notebooks`.",
}


# --- before anything runs ---------------------------------------------------------------------------------------------


def parse(source):
    """Parse a cell without its magics; what is no Python holds nothing."""
    try:
        return ast.parse(re.sub(r"^[%!].*", "", source, flags=re.M))
    except SyntaxError:
        return ast.Module([], [])


def executed(node):
    """Yield the nodes that are executed with this one: not the bodies of functions that it only defines."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            yield from executed(child)


def states_property(tree, functions, seen=frozenset()):
    """Say whether code asserts something about its names, itself or in a function of the notebook that it calls."""
    for node in executed(tree):
        if isinstance(node, ast.Assert) and any(isinstance(part, ast.Name) for part in ast.walk(node.test)):
            return True
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name.startswith("assert_"):  # torch.testing.assert_close
                return True
            if name in set(functions) - seen and states_property(functions[name], functions, seen | {name}):
                return True
    return False


def sample_is_tested(cells, number):
    """Say whether the code cell after a sample states a property of it."""
    trees = [parse(cell.source) for cell in cells[: number + 2]]
    functions = {node.name: node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    return len(trees) == number + 2 and states_property(trees[-1], functions)


def faults(cells):
    """List what is wrong with a notebook's code cells as they are stored."""
    found, count = [], 0
    for number, cell in enumerate(cells):
        tags, problems = cell.metadata.get("tags", []), []
        count += bool(cell.source.strip())
        try:
            limits(tags)
        except ValueError as error:
            problems.append(str(error))
        if dict(find_comment_markers(cell.source)):
            problems.append("say what nbval shall do by a tag, not by a comment")
        if cell.source.strip() and cell.execution_count is None:
            problems.append("it was never executed: run `make notebooks`")
        elif cell.source.strip() and cell.execution_count != count:
            problems.append(
                f"execution counts must run 1, 2, 3, …: got {cell.execution_count} instead of {count}: "
                "run `make notebooks`"
            )
        if "stderr" in kinds(cell.outputs):
            problems.append("its stored output holds stderr: silence the cause and run `make notebooks`")
        if "sample" in tags and not sample_is_tested(cells, number):
            problems.append(
                "it is tagged `sample`, so its output is not compared: assert a property of it "
                "(a length, an alphabet, a score above the baseline) in the next code cell"
            )
        found += [f"Cell {number}, {cell.source[:50]!r}: {problem}" for problem in problems]
    return found


# --- cell by cell -----------------------------------------------------------------------------------------------------


class LockedNotebook(IPyNbFile):
    """A notebook whose cells are compared within the limits that they declare."""

    def setup(self):
        """Start a kernel like the one that made the outputs; the caller may ask for more than its one thread."""
        threads = os.environ.get("OMP_NUM_THREADS", "1")
        environment = {**REFERENCE, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        with mock.patch.dict(os.environ, environment):
            super().setup()

    def collect(self):
        cells = list(super().collect())
        if found := faults([cell.cell for cell in cells]):
            raise self.CollectError("\n".join([f"{self.path.name}: not fit to be compared.", *found]))
        for cell in cells:
            named = {name: getattr(cell, name) for name in ("name", "cell_num", "cell", "options")}
            yield LockedCell.from_parent(self, **named)


class LockedCell(IPyNbCell):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        comparing = not self.config.option.nbval_lax
        self.options["check"] = comparing  # compare_outputs looks at the kinds of ignored outputs, too
        self.user_properties.append(("output lock", kind(self.cell) if comparing else "only executed"))

    def compare_outputs(self, fresh, stored, skip_compare=None):
        """Stand in for nbval's comparison, which calls this with streams already joined."""
        self.comparison_traceback = []
        if kinds(fresh) != kinds(stored):
            before, now = (", ".join(kinds(outputs)) or "nothing" for outputs in (stored, fresh))
            self.comparison_traceback.append(f"the stored output is {before}; the fresh output is {now}")
            return False
        tags = self.cell.metadata.get("tags", [])
        if "sample" in tags or "nbval-ignore-output" in tags:
            return True
        allowed = limits(tags)
        settle(stored, fresh, allowed)
        same = super().compare_outputs(fresh, stored, NOT_COMPARED)
        self.comparison_traceback += [f"Declared: {', '.join(tags)}."] if tags else []
        self.comparison_traceback += self.save_figures(stored, fresh, allowed)
        return same

    def save_figures(self, stored, fresh, allowed):
        """Store the figures that differ beside the stored ones, where a person can look at them."""
        remarks = []
        folder = self.config.rootpath / "_build" / "failed-figures"
        place = self.parent.nodeid.removesuffix(".ipynb").replace("/", "-")
        for number, (old, new) in enumerate(zip(stored, fresh, strict=True), 1):
            for mime in set(FIGURES) & set(old.get("data", {})):
                if old.data[mime] == new.data[mime]:
                    continue
                folder.mkdir(parents=True, exist_ok=True)
                name = f"{place}-cell-{self.cell_num}" + (f"-output-{number}" if len(stored) > 1 else "")
                ending = mime.removeprefix("image/")
                for output, path in ((new, f"{name}.{ending}"), (old, f"{name}-stored.{ending}")):
                    (folder / path).write_bytes(base64.b64decode(output.data[mime]))
                difference = figure_difference(old.data[mime], new.data[mime], int(allowed["moves"]))
                remarks.append(
                    f"The figure differs by {difference:.1f} of 255 in its worst patch, limit {allowed['pixels']:g}: "
                    f"compare _build/failed-figures/{name}.{ending} with {name}-stored.{ending}."
                )
        return remarks

    def raise_cell_error(self, message, traceback="", **kwargs):
        advice = ADVICE.get(message, "").format(notebook=self.parent.nodeid)
        super().raise_cell_error(message, f"{traceback}\n{advice}".strip(), **kwargs)


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(parent):
    found = yield
    return [
        LockedNotebook.from_parent(parent, path=file.path) if isinstance(file, IPyNbFile) else file for file in found
    ]


# --- the count at the end ---------------------------------------------------------------------------------------------


def pytest_terminal_summary(terminalreporter):
    # user_properties travel with the reports, so this also counts what xdist's workers ran.
    reports = [r for group in terminalreporter.stats.values() for r in group if getattr(r, "when", None) == "call"]
    checked = [
        (r.nodeid.split("::")[0], how) for r in reports for name, how in r.user_properties if name == "output lock"
    ]
    if checked:
        counts = Counter(how for _, how in checked)
        order = ["exact", "toleranced", "sample", "ignored", "without output", "only executed"]
        terminalreporter.section("output lock")
        terminalreporter.write_line(
            f"{len(checked)} cells of {len({path for path, _ in checked})} notebooks: "
            + ", ".join(f"{counts[how]} {how}" for how in order if counts[how])
        )
