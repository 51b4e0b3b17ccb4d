"""Run a notebook in a fresh kernel, and make what it stores the same bytes on every run."""

import os
import re
from pathlib import Path

from nbclient import NotebookClient
from nbformat import NotebookNode, from_dict

from authoring.book import code_cells, identify, tags

# The reference device: what the stored outputs were made on. One thread, since two may add in another order.
THREADS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
FIGURES = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
REFERENCE = {"DLBOOK_DEVICE": "cpu", "TQDM_DISABLE": "1", "PYTHONHASHSEED": "0"} | THREADS | FIGURES
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
METADATA = {"kernelspec": KERNEL, "language_info": {"name": "python", "pygments_lexer": "ipython3"}}
MACHINE = re.compile(r"\b0x[0-9a-f]{6,}|/(?:home|root|tmp|Users|var/folders)/|[A-Z]:\\|\bipykernel_\d+")


def execute(nb: NotebookNode, folder: Path, environment: dict[str, str] | None = None) -> NotebookNode:
    """Run a copy of a notebook in a folder, on the reference device unless the environment says otherwise."""
    nb = from_dict(nb)  # a copy
    for cell in code_cells(nb):
        cell.outputs, cell.execution_count = [], None
    client = NotebookClient(nb, kernel_name="python3", timeout=600, record_timing=False, coalesce_streams=True)
    client.extra_arguments = ["--log-level=ERROR"]  # else each start prints a warning about its own ports
    client.execute(cwd=str(folder), env={**os.environ, **REFERENCE, **(environment or {})})
    return nb


def is_executed(nb: NotebookNode) -> bool:
    """Return whether the code cells were run once each, from top to bottom."""
    counts = [cell.execution_count for cell in code_cells(nb) if cell.source.strip()]
    return counts == list(range(1, len(counts) + 1))


def refuse(cell: NotebookNode, output: NotebookNode) -> None:
    """Raise if an output may not be published."""
    where, data = f"in the cell that begins {cell.source[:60]!r}", output.get("data", {})
    if output.get("name") == "stderr":
        raise ValueError(f"a cell must not write to stderr: got {output.text[:300]!r} {where}")
    if output.output_type == "error" and "raises-exception" not in tags(cell):
        raise ValueError(f"an error must be tagged raises-exception: got {output.ename}: {output.evalue} {where}")
    if widgets := [kind for kind in data if "widget" in kind]:
        raise ValueError(f"a cell must not show a widget, which is empty without a kernel: got {widgets[0]} {where}")
    texts = [data[kind] for kind in data if kind.startswith("text/") or kind == "image/svg+xml"]
    if found := MACHINE.search("\n".join([output.get("text", ""), output.get("evalue", ""), *texts])):
        raise ValueError(f"an output must not depend on the machine: got {found[0]!r} {where}")


def normalise(nb: NotebookNode) -> NotebookNode:
    """Check a notebook's outputs; drop or fix, in place, what may differ between two runs of the same cells."""
    for cell in nb.cells:
        cell.source = cell.source.strip("\n")
        kept = {name: cell.metadata[name] for name in ("tags", "mystnb", "cellView") if cell.metadata.get(name)}
        if cell.metadata.get("jupyter", {}).get("source_hidden"):  # the rest is how somebody last looked at it
            kept["jupyter"] = {"source_hidden": True}
        cell.metadata = from_dict(kept)
        for output in cell.get("outputs", []):
            refuse(cell, output)
            if output.output_type == "error":
                output.traceback = [f"{output.ename}: {output.evalue}"]
    identify(nb)
    nb.metadata = from_dict(METADATA | {name: nb.metadata[name] for name in ("dlbook",) if nb.metadata.get(name)})
    nb.nbformat, nb.nbformat_minor = 4, 5
    return nb
