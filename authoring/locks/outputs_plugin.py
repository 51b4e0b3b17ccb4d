"""The output lock in pytest: `pytest --nbval book/…` compares stored with fresh outputs by the rules in outputs.py.

nbval compares strings for equality. Before it does, every fresh number or figure that lies within its limit is
replaced by the stored one. What nbval then reports is what is really wrong.
"""

import base64
import json
import os
from collections import Counter
from unittest import mock

import pytest
from nbval.plugin import IPyNbCell, IPyNbFile

from authoring import machines
from authoring.book import tags
from authoring.execute import KERNEL, REFERENCE
from authoring.locks.outputs import FIGURES, RECORD, figure_difference, kind, kinds, limits, settle, unclear
from authoring.locks.stored import unexecuted

# For unit tests as well as for kernels: the book's results are those of the CPU, and its Keras is the one on torch.
os.environ |= {"DLBOOK_DEVICE": "cpu", "KERAS_BACKEND": "torch"}

NOT_COMPARED = ("metadata", "traceback", "output_type", "name", "execution_count")
ADVICE = {
    "Cell outputs differ": "If the new output is right, run `make notebooks` and commit it. If it differs only between "
    "machines, `python -m authoring.spread {notebook}` measures by how much and suggests a tag.",
    "Cell execution caused an exception": "Correct the cell; or, if the error is what it shows, tag it "
    "`raises-exception` and run `make notebooks`.",
}


# --- cell by cell -----------------------------------------------------------------------------------------------------


class LockedNotebook(IPyNbFile):
    """A notebook whose cells are compared within the limits that they declare."""

    def setup(self):
        """Start a kernel like the one that made the outputs; the caller may ask for more than its one thread."""
        threads = os.environ.get("OMP_NUM_THREADS", "1")
        environment = {**REFERENCE, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        self.nb.metadata["kernelspec"] = KERNEL  # whatever the kernel is called where the notebook was last saved
        with mock.patch.dict(os.environ, environment):
            super().setup()

    def collect(self):
        cells = list(super().collect())
        stored = [cell.cell for cell in cells]
        if found := unclear(stored) + unexecuted(stored):
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
        declared = tags(self.cell)
        if "sample" in declared or "nbval-ignore-output" in declared:
            return True
        allowed = limits(declared)
        settle(stored, fresh, allowed)
        same = super().compare_outputs(fresh, stored, NOT_COMPARED)
        if declared:
            self.comparison_traceback.append(f"Declared: {', '.join(declared)}.")
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


def origins(root, paths):
    """Return on what kinds of processor the stored outputs of notebooks were made, and for what kinds measured."""
    file = root / RECORD
    records = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return sorted({records.get(path, {}).get("on", machines.STORED_ON) for path in paths})


def devices(root, paths):
    """Return a line on the machine that the outputs are from, and on this one, which may be an imitation."""
    stored, here = origins(root, paths), machines.kind()
    line = f"Stored outputs are from {' and '.join(stored)}, one thread; this is {here}"
    if seed := os.environ.get(machines.SEED):
        line += f", each sum rounded otherwise (seed {seed})"
    if not {here.split()[0]} <= {name.split()[0] for name in stored}:
        line += ": tolerances were not measured on this kind of processor, so cells may fail that are right"
    return f"{line}."


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
        terminalreporter.write_line(devices(terminalreporter.config.rootpath, {path for path, _ in checked}))
