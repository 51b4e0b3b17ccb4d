"""What a tolerance may be: measured on several machines, recorded, and held to three times of that."""

import copy
import json
import platform
import types

import numpy as np
import pytest
from nbformat.v4 import new_output

from authoring import book, execute, machines, spread
from authoring.imitate import fingerprint
from authoring.locks import numbers
from authoring.locks.outputs import unfounded
from authoring.machines import MACHINES
from tests.helpers.figures import WHITE, png
from tests.helpers.notebooks import code, notebook, printed, shown, small_book, write

LINE = np.where(np.arange(40)[:, None, None] // 2 == 5, 0, WHITE).astype(np.uint8)  # two pixels high
NONE = {"absolute": 0.0, "relative": 0.0, "pixels": 0.0, "moves": 0.0}


# --- planted faults ---------------------------------------------------------------------------------------------------


def cell(text, *tags):
    """A notebook of one executed cell that printed a text."""
    return execute.normalise(notebook(code("print(x)", printed(text), tags=tags)))


@pytest.mark.parametrize(
    "text, tag, recorded, bound",
    [
        # at the limit and above it: three times what was recorded
        ("0.12345", "tolerance-0.003", {"absolute": 0.001}, None),
        ("0.12345", "tolerance-0.0031", {"absolute": 0.001}, "0.003"),
        ("0.12345", "tolerance-3pct", {"relative": 0.01}, None),
        ("0.12345", "tolerance-4pct", {"relative": 0.01}, "0.03"),
        ("", "pixels-24", {"pixels": 8.0}, None),
        ("", "pixels-25", {"pixels": 8.0}, "24"),
        ("", "moves-3", {"moves": 1.0}, None),
        ("", "moves-4", {"moves": 1.0}, "3"),
        # nothing was recorded: nothing may differ, but five of 255, which need no tag
        ("0.123", "tolerance-0.001", {}, "0"),
        ("5 of 7", "tolerance-1", {}, "0"),
        ("0.50", "tolerance-2pct", {}, "0"),
        ("", "pixels-5", {}, None),
        ("", "pixels-6", {}, "5"),
        ("", "moves-1", {}, "0"),
        # what no tag may allow, whatever was recorded
        ("", "pixels-31", {"pixels": 20.0}, "30"),
    ],
)
def test_tolerances(text, tag, recorded, bound):
    nb = cell(text, tag)
    found = unfounded(nb, {nb.cells[0].id: {**NONE, **recorded}})
    assert [fault.split(": run")[0].split("may declare ")[1] for fault in found] == ([bound] if bound else [])
    assert all(
        "the cell 'print(x)' declares" in fault and "run `python -m authoring.spread`" in fault for fault in found
    )


@pytest.mark.parametrize(
    "text, tag, wrong",
    [
        ("0.8812", "accuracy-of-10000", []),
        ("88.12 % after 3 epochs", "accuracy-of-10000", []),
        ("0.988", "accuracy-of-597", []),  # 590 of 597
        ("0.989", "accuracy-of-597", ["0.989 is none"]),
        ("0.8812", "accuracy-of-10", ["0.8812 is none"]),
        ("88.123 %", "accuracy-of-10000", ["88.123 is none"]),
    ],
)
def test_accuracies_are_shares_of_the_examples(text, tag, wrong):
    nb = cell(text, tag)
    found = unfounded(nb, {nb.cells[0].id: NONE})
    assert [fault.split("examples: ")[1] for fault in found] == wrong


def test_missing_record():
    nb = cell("0.5", "tolerance-0.1")
    (fault,) = unfounded(nb, {"the source before it changed": NONE})
    assert (
        "'print(x)' declares ['tolerance-0.1'], but its spread was not recorded: run `python -m authoring.spread`"
        in fault
    )
    assert unfounded(cell("0.5"), {}) == []  # without a tag, nothing needs a record


# --- measuring --------------------------------------------------------------------------------------------------------


def runs(*outputs, tags=()):
    """One cell as several machines ran it."""
    made = [execute.normalise(notebook("Words.", code("f(x)", output, tags=tags))) for output in outputs]
    return dict(zip(MACHINES, made, strict=False))


def test_equal_runs_leave_no_record(capsys):
    same = runs(printed("0.5"), printed("0.5"))
    assert spread.compare(same) == ({}, [])
    assert capsys.readouterr().out == ""


def test_declared_tolerances_are_recorded(capsys):
    same = runs(printed("0.50 of 2"), printed("0.50 of 2"), tags=["tolerance-0.01"])
    assert spread.compare(same) == ({same["native-1"].cells[1].id: NONE}, [])
    assert capsys.readouterr().out == (
        f"the cell 'f(x)' declares ['tolerance-0.01']: {NONE}\n    0.50: 0 (0.00%)\n    2: 0 (0.00%)\n"
    )


def test_largest_spreads_are_recorded_rounded_up(capsys):
    texts = ["1 0.50 4.000", "1 0.51 4.000", "1 0.49 4.0301"]
    nb = runs(*map(printed, texts), tags=["tolerance-0.04"])
    record, wrong = spread.compare(nb)
    assert record == {nb["native-1"].cells[1].id: {**NONE, "absolute": 0.031, "relative": 0.041}} and not wrong
    assert "0.50: 0.02 (4.08%)\n    4.000: 0.03 (0.75%)" in capsys.readouterr().out


@pytest.mark.parametrize(
    "first, other, tags, advice",
    [
        (
            printed("0.500"),
            printed("0.501"),
            [],
            "more than it declares (native-2): tag it tolerance-0.002, or print fewer digits",
        ),
        (printed("0.500"), printed("0.503"), ["tolerance-0.002"], "tag it tolerance-0.006, or"),
        (printed("1e-7"), printed("2e-7"), [], "tag it tolerance-0.0000002, or"),
        (shown(image_png=png(WHITE)), shown(image_png=png(WHITE - 6)), [], "tag it pixels-12, or"),
        (shown(image_png=png(LINE)), shown(image_png=png(np.roll(LINE, 2, 0))), [], "tag it moves-2, or"),
        (printed("a 0.5"), printed("b 0.5"), ["tolerance-1"], "differs in more than numbers (native-2): tag it sample"),
        (printed("1"), shown(text_plain="1"), [], "differs in more than numbers (native-2): tag it sample"),
    ],
)
def test_cells_that_differ_by_more_than_they_declare(first, other, tags, advice):
    (fault,) = spread.compare(runs(first, other, tags=tags))[1]
    assert fault.startswith("the cell 'f(x)' differs") and advice in fault


@pytest.mark.parametrize("tags", [["sample"], ["nbval-ignore-output"]])
def test_what_is_not_compared_is_not_measured(tags):
    assert spread.compare(runs(printed("0.5 s"), printed("0.9 ms"), tags=tags)) == ({}, [])


def test_what_is_suggested_is_allowed():
    nb = runs(printed("0.500"), printed("0.507"))
    record, (fault,) = spread.compare(nb)
    nb["native-1"].cells[1].metadata.tags = [fault.split("tag it ")[1].split(",")[0]]
    assert unfounded(nb["native-1"], record) == []
    assert spread.compare(nb) == (record, [])


def test_suggested_figures_are_allowed_too():
    nb = runs(shown(image_png=png(WHITE)), shown(image_png=png(WHITE - 6)))
    record, _ = spread.compare(nb)
    nb["native-1"].cells[1].metadata.tags = ["pixels-12"]
    assert unfounded(nb["native-1"], record) == [] and spread.compare(nb) == (record, [])


def test_a_cell_that_fails_somewhere_is_named():
    """Also one that shows nothing, such as an assertion, or is not compared."""
    error = new_output("error", ename="AssertionError", evalue="3 < 2")
    for tags in ([], ["sample"]):
        nb = runs(printed("3"), printed("3"), printed("3"), tags=tags)
        nb["avx2"].cells[1].outputs = [error]
        record, (fault,) = spread.compare(nb)
        assert record == {} and fault == "the cell 'f(x)' fails on avx2: AssertionError: 3 < 2"
    shown_on_purpose = runs(error, error, tags=["raises-exception"])
    assert spread.compare(shown_on_purpose) == ({}, [])


def test_moves_of_many_figures():
    """The largest counts, wherever it comes; equal figures are compared once."""
    pictures = [png(np.roll(LINE, n, 0)) for n in (0, 1, 0, 3)]
    nb = runs(*(shown(image_png=picture) for picture in pictures), tags=["moves-3"])
    assert spread.measure([run.cells[1] for run in nb.values()])[0]["moves"] == 3


# --- the numbers of the text ------------------------------------------------------------------------------------------


def compared(text, **values):
    """Compare the marked numbers of a text with what expressions yield, on one machine after the other."""
    marks, _ = numbers.examine(text)
    names = list(MACHINES)[: len(next(iter(values.values())))]
    return spread.compare_numbers(marks, {m: {e: v[n] for e, v in values.items()} for n, m in enumerate(names)})


def test_spread_of_numbers_is_recorded_where_there_is_any():
    text = "From 0.5<!-- = a --> to 88.1 %<!-- = b ± 0.5 -->, in half<!-- = c ± 0.1 --> of them."
    assert compared(text, a=[0.5, 0.5], b=[88.12, 88.4101], c=[0.45, 0.55]) == ({"b": 0.30, "c": 0.1}, [])


@pytest.mark.parametrize(
    "text, values, advice",
    [
        ("88.1<!-- = a -->", [88.12, 88.41], "“88.1 ± 0.05” is off (native-2 88.41): write ± 0.31 up to 0.87"),
        ("90<!-- = a ± 1 -->", [88.12, 88.12], "“90 ± 1” is off (native-1 88.12, native-2 88.12): write ± 1.9 up to 5"),
        ("91.0<!-- = a ± 1 -->", [88.12, 88.12], "write the value of this machine"),
        ("more than half<!-- is: a > 0.5 -->", [1.0, 0.0], "is off (native-2 0)"),
    ],
)
def test_numbers_that_are_off(text, values, advice):
    expression = "a > 0.5" if "is:" in text else "a"
    (fault,) = compared(text, **{expression: values})[1]
    assert advice in fault


def test_a_number_without_a_value_is_named():
    record, (fault,) = compared("88.1<!-- = a -->", a=[88.1, None])
    assert record == {} and "“88.1” is newer than the run, or failed, on native-2" in fault


def test_runs_print_the_values_of_marked_numbers(tmp_path):
    """Where the text is compared with the run: after that, a solution may use the names again."""
    nb = notebook("It is 3<!-- = a -->, or 4<!-- = b -->.", code("a = 3.01"), code("", tags=("prose-check",)))
    nb.cells.append(code("a = 5"))
    spread.ask_values(nb)
    found = execute.execute(nb, tmp_path)
    assert json.loads(found.cells[3].outputs[0].text) == {"a": 3.01, "b": None}
    without = notebook("Words.", code("a = 3", tags=("prose-check",)))
    spread.ask_values(without)
    assert len(without.cells) == 2


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A book with one notebook, in which no kernel runs: each machine prints a number of its own."""
    made = []

    def pretend(nb, folder, environment):
        assert folder == tmp_path / "book"
        machine = next(name for name, variables in MACHINES.items() if variables == environment)
        made.append(machine)
        if machine in broken:
            raise RuntimeError("Kernel died")
        nb = copy.deepcopy(nb)
        nb.cells[1].outputs = [new_output("stream", name="stdout", text=f"0.50{environment['OMP_NUM_THREADS']}")]
        nb.cells[2].outputs = [new_output("stream", name="stdout", text=f"{len(environment)}")]
        return nb

    broken = set()
    monkeypatch.setattr(execute, "execute", pretend)
    monkeypatch.setattr(book, "ROOT", tmp_path)
    nb = execute.normalise(notebook("Words.", code("x", tags=["tolerance-0.002"]), code("y", tags=["tolerance-9"])))
    write(nb, small_book(tmp_path) / "book" / "a.ipynb")
    return types.SimpleNamespace(
        path=tmp_path / "book" / "a.ipynb", file=tmp_path / "book" / "spread.json", made=made, broken=broken
    )


def recorded(root):
    return json.loads(root.file.read_text())["book/a.ipynb"]


def test_the_command_records_each_notebook_again(root, capsys):
    assert spread.main([str(root.path)]) == 0
    text = root.file.read_text()
    first, second = (c.id for c in book.read(root.path).cells[1:])
    assert recorded(root) == {
        first: {**NONE, "absolute": 0.001, "relative": 0.002},
        second: {**NONE, "absolute": 7.0},
        "machines": list(MACHINES),
        "numbers": {},
        "on": machines.STORED_ON,
    }
    other = root.path.with_name("b.ipynb")
    write(book.read(root.path), other)
    assert spread.main([str(other)]) == 0
    assert list(json.loads(root.file.read_text())) == ["book/a.ipynb", "book/b.ipynb"]
    root.file.write_text(text.replace(first, "an-earlier-source"))
    assert spread.main([str(root.path)]) == 0
    assert root.file.read_text() == text
    assert capsys.readouterr().err == ""


def test_what_was_interrupted_goes_on(root, capsys):
    root.broken.add("sse41")
    assert spread.main([str(root.path)]) == 1
    assert "book/a.ipynb: it did not run to its end on sse41: Kernel died" in capsys.readouterr().err
    assert len(root.made) == 7 and recorded(root)["machines"] == [name for name in MACHINES if name != "sse41"]
    root.broken.clear()
    root.made.clear()
    assert spread.main([str(root.path)]) == 0
    assert root.made == ["sse41"] and recorded(root)["machines"] == list(MACHINES)


def test_machines_are_chosen(root, capsys):
    assert spread.main(["--machines", "avx2", "native-1", "--", str(root.path)]) == 0
    assert root.made == ["avx2", "native-1"] and recorded(root)["machines"] == ["native-1", "avx2"]
    assert spread.main(["--machines", "jitter-0", "--", str(root.path)]) == 0
    assert recorded(root)["machines"] == ["native-1", "avx2", "jitter-0"]  # with those that were kept
    with pytest.raises(SystemExit):
        spread.main(["--machines", "jitter-3", "--", str(root.path)])  # a seed that no tolerance may know


def test_two_at_a_time_but_never_beside_two_threads(root):
    assert spread.main(["--jobs", "2", str(root.path)]) == 0
    assert sorted(root.made) == sorted(MACHINES) and root.made[-1] == "native-2"


def test_only_code_needs_new_runs(root):
    spread.main([str(root.path)])
    root.made.clear()
    nb = book.read(root.path)
    nb.cells[0].source = "Other words."
    nb.cells[1].metadata.tags = ["tolerance-0.003"]
    nb.cells.append(code("compare()", tags=("prose-check",)))
    write(nb, root.path)
    assert spread.main([str(root.path)]) == 0 and root.made == []
    nb.cells[1].source = "x + 1"
    write(nb, root.path)
    assert spread.main([str(root.path)]) == 0 and len(root.made) == 7


def test_prose_that_is_newer_than_the_runs_is_named(root, capsys):
    spread.main(["--machines", "native-1", "--", str(root.path)])
    nb = book.read(root.path)
    nb.cells.append(code("compare()", tags=("prose-check",)))
    write(nb, root.path)
    spread.main(["--machines", "native-1", "--", str(root.path)])
    assert "newer than the runs, so only `authoring.imitate` tests it: 'compare()'" in capsys.readouterr().out


def test_a_record_of_more_machines_is_kept(root, capsys):
    first, second = (c.id for c in book.read(root.path).cells[1:])
    more = {first: NONE, second: NONE, "machines": ["native-1", "native-2", "avx2"]}
    root.file.write_text(json.dumps({"book/a.ipynb": more}))
    assert spread.main(["--machines", "native-1", "sse41", "--", str(root.path)]) == 1
    assert recorded(root) == more
    assert "not recorded, since the present record knows also avx2, native-2" in capsys.readouterr().err
    assert spread.main(["--machines", "native-2", "avx2", "--", str(root.path)]) == 0
    assert recorded(root)["machines"] == ["native-1", "native-2", "avx2", "sse41"]


def test_a_notebook_without_faults_has_passed_as_avx2(root, monkeypatch):
    """If its stored outputs are those of this machine; they were compared with those of the imitation."""
    passed = root.path.with_name("imitated.json")
    spread.main([str(root.path)])
    assert not passed.exists()  # what is stored is something else
    nb = book.read(root.path)
    for cell, text in zip(nb.cells[1:], ("0.501", "2"), strict=True):
        cell.outputs = [printed(text)]
    nb.cells[2].metadata.tags = []
    write(nb, root.path)
    assert spread.main([str(root.path)]) == 1 and not passed.exists()
    nb.cells[2].metadata.tags = ["tolerance-9"]
    write(nb, root.path)
    assert spread.main([str(root.path)]) == 0
    assert json.loads(passed.read_text()) == {"book/a.ipynb": fingerprint(nb, root.path.parents[1])}
    for edition in (1, 2):  # numbers are compared here; whether newer claims hold, only a run tells
        nb.cells[3:] = [code(f"compare({edition})", tags=("prose-check",))]
        nb.metadata["dlbook"] = {"edition": edition}
        write(nb, root.path)
        assert spread.main([str(root.path)]) == 0
        assert (json.loads(passed.read_text())["book/a.ipynb"] == fingerprint(nb, root.path.parents[1])) == (
            edition == 1
        )


def test_where_the_stored_outputs_are_from(root, monkeypatch):
    monkeypatch.setattr(machines, "kind", lambda: "arm64 DEFAULT")
    spread.main([str(root.path)])
    assert recorded(root)["on"] == machines.STORED_ON
    nb = book.read(root.path)
    for cell, text in zip(nb.cells[1:], ("0.501", "2"), strict=True):
        cell.outputs = [printed(text)]
    write(nb, root.path)
    spread.main([str(root.path)])
    assert recorded(root)["on"] == "arm64 DEFAULT"  # they are what this machine gives


def test_the_command_names_what_is_wrong(root, capsys):
    nb = book.read(root.path)
    nb.cells[1].metadata.tags = []
    write(nb, root.path)
    assert spread.main([str(root.path)]) == 1
    assert capsys.readouterr().err == (
        "book/a.ipynb: the cell 'x' differs by more than it declares (native-2): "
        "tag it tolerance-0.002, or print fewer digits\n"
    )


SEEN = """\
import os, math, platform, torch, threadpoolctl, numpy
print(torch.get_num_threads(), torch.backends.cpu.get_cpu_capability())
blas = [pool["architecture"] for pool in threadpoolctl.threadpool_info() if pool["internal_api"] == "openblas"]
"""


@pytest.mark.parametrize("name, seen", [("native-2", "2 "), ("avx2", "1 AVX2"), ("sse41", "1 DEFAULT")])
def test_kernels_get_the_machine(name, seen, tmp_path):
    """Whatever the reference device has."""
    source = f"{SEEN}assert {MACHINES[name]}.items() <= os.environ.items()\n"
    if "OPENBLAS_CORETYPE" in MACHINES[name]:
        source += f"assert set(blas) <= {{{MACHINES[name]['OPENBLAS_CORETYPE']!r}}}, blas"
    nb = execute.execute(notebook(code(source)), tmp_path, MACHINES[name])
    assert nb.cells[0].outputs[0].text.startswith(seen)


def test_the_machines():
    """Seven to measure, six to test, and no seed in both."""
    assert len(MACHINES) == 7 and len(machines.TESTED) == 6
    seeds = [{env.get(machines.SEED) for env in table.values()} - {None} for table in (MACHINES, machines.TESTED)]
    assert seeds == [{"0", "1", "2"}, {"3", "4"}]
    assert machines.kind().startswith(platform.machine())
