"""Faults planted in cells, their tags and outputs, in exercises, and in the package."""

import json
import re

from nbformat.v4 import new_code_cell, new_output

from authoring.book import code_cells, identify, read, tags
from authoring.locks.listings import MARK, locate
from tests.helpers.planted import Book, code, file, is_own, plants, put


def source(pattern, new, where=is_own):
    """Return what replaces the first match of a pattern in the sources of cells; true if it did."""

    def harm(cell):
        changed = re.sub(pattern, new, cell.source, count=1, flags=re.M)
        if same := changed == cell.source or not where(cell):
            return not same
        cell.source = changed
        return True

    return harm


def has_tag(part):
    """Return what says whether a cell has a tag that begins so."""
    return lambda cell: any(tag.startswith(part) for tag in tags(cell))


# --- plain Python, as it was executed ---------------------------------------------------------------------------------

plants("python", "a magic")(code(source(r"\A", "%time\n"), "without magics"))
plants("python", "a magic by its function")(
    code(source(r"\A", 'get_ipython().run_line_magic("time", "")\n'), "get_ipython")
)
plants("python", "an import of all names")(code(source(r"\A", "from math import *\n"), "must name what it imports"))


def executed(harm):
    """Return what harms a cell that was executed, once it has found one with an output."""
    return lambda cell: is_own(cell) and cell.outputs and harm(cell) is None


plants("stored", "a cell that was never executed")(
    code(executed(lambda cell: cell.update(execution_count=None, outputs=[])), "it was never executed")
)
plants("stored", "cells executed in another order")(
    code(executed(lambda cell: cell.update(execution_count=90)), "execution counts must run 1, 2, 3", "got 90")
)
plants("stored", "a warning in an output")(
    code(executed(lambda cell: cell.outputs.append(new_output("stream", name="stderr", text="W"))), "stderr")
)


@plants("stored")
def a_figure_without_an_alt_text(book):
    return book.code(lambda cell: cell.metadata.get("mystnb", {}).pop("image", None)), "must say what its figure shows"


@plants("stored")
def figures_that_are_gone(book):
    def harm(nb):
        for cell in code_cells(nb):
            cell.outputs = [output for output in cell.outputs if "image/png" not in output.get("data", {})]
        return True

    return book.chapter(harm), "a chapter must have at least 3 figures: got 0"


@plants("stored")
def a_notebook_that_is_too_large(book):
    large = new_output("stream", name="stdout", text="a\n" * 500_000)
    return book.code(executed(lambda cell: cell.outputs.append(large))), "must be smaller than 800 KB"


# --- exercises --------------------------------------------------------------------------------------------------------

TITLE = r"\A# @title Solution {}\n"


def is_solution(cell):
    return cell.source.startswith("# @title Solution")


@plants("exercises")
def an_exercise_without_a_hint(book):
    return book.text(r"<summary>Hint</summary>", "<summary>Tip</summary>"), "must have a hint"


@plants("exercises")
def a_solution_that_asserts_nothing(book):
    def harm(cell):
        cell.source = re.sub(r"^(\s*)(?:assert\b|(?:[\w.]+\.)?assert_\w+\().*", r"\1pass", cell.source, flags=re.M)
        return is_solution(cell)

    return book.code(harm), "must assert that it is right"


@plants("exercises")
def a_solution_that_asserts_what_is_always_so(book):
    def harm(cell):
        cell.source = cell.source.partition("\n")[0] + "\nassert True"
        return is_solution(cell)

    return book.code(harm), "must assert that it is right"


@plants("exercises")
def an_exercise_too_few(book):
    def harm(nb):
        gone = [cell for cell in nb.cells if is_solution(cell)][3:]
        nb.cells = [cell for cell in nb.cells if cell not in gone]
        return gone

    return book.chapter(harm), "there must be at least four exercises with solutions: got 3"


plants("exercises", "solutions in another order")(
    code(source(TITLE.format(1), "# @title Solution 2\n", is_solution), "solutions must be numbered from 1 on")
)
plants("exercises", "a solution that is not folded")(
    code(lambda cell: is_solution(cell) and cell.metadata.pop("tags"), "exercises")
)

# --- listings ---------------------------------------------------------------------------------------------------------


def is_listing(cell):
    return MARK.match(cell.source)


def listed(book: Book) -> tuple[str, str, str]:
    """Return the page of the first listing, the name that it shows, and the file of that."""
    found = {}
    page = book.code(lambda cell: found.update(mark=MARK.match(cell.source)) or found["mark"])
    name = found["mark"]["name"]
    return page, name, locate(name, book.root)[0].relative_to(book.root).as_posix()


plants("listings", "a listing changed by hand")(
    code(source(r"^( +)return (?!x\b)", r"\1return 2 * ", is_listing), "the listing of", "differs from the package")
)
plants("listings", "a listing of what the package does not have")(
    code(source(r"\A(# Listing.*)", r"\1_of_old", is_listing), "a name must mean something that exists")
)


@plants("listings")
def the_package_changes_under_a_listing(book):
    page, name, path = listed(book)
    last = name.rpartition(".")[2]
    book.file(path, rf"(^(?:def|class) {last}\b(?:.*\n)*?\s+return )", r"\g<1>2 * ")
    return page, f"the listing of {name} differs"


@plants("listings")
def a_listing_with_two_homes(book):
    page, name, _ = listed(book)
    (cell,) = [cell for cell in code_cells(read(book.root / f"{page}.ipynb")) if f" {name}\n" in cell.source]

    def harm(nb):
        if name not in str(nb):
            nb.cells.insert(-1, new_code_cell(cell.source))
        return name not in str(nb.cells[:-2])

    return book.chapter(harm), page, f"{name} must be listed once"


@plants("listings")
def a_chapter_that_lists_nothing(book):
    def harm(nb):
        listings = [cell for cell in code_cells(nb) if is_listing(cell)]
        for cell in listings:
            cell.source = cell.source.partition("\n")[2]
        return listings

    return book.chapter(harm), "must list something of the package"


# --- generated cells, and outputs older than their code ---------------------------------------------------------------


@plants("generated")
def a_check_of_numbers_that_was_loosened(book):
    def harm(cell):
        cell.source = re.sub(r"(, [\d.e-]+)(\s*\),?\s*)(?=\)?$)", r"\g<1>9\2", cell.source, count=1)
        return "prose-check" in tags(cell)

    return book.code(harm), LAYOUT


STALE, LAYOUT = "its outputs are older than its code or what that uses", "its generated cells or its layout"


def rebuilt(book: Book, harm, *says: str):
    """Harm a chapter whose layout is otherwise that of a notebook just built."""

    def both(nb):
        done = harm(nb)
        identify(nb)
        return done

    return book.chapter(both), *says


@plants("generated")
def a_number_in_the_text_that_the_check_does_not_know(book):
    def harm(nb):
        for cell in nb.cells:
            changed = re.sub(r"\d( %<!-- = )", r"7\1", cell.source.replace("7 %<!--", "8 %<!--"), count=1)
            if cell.cell_type == "markdown" and changed != cell.source:
                cell.source = changed
                return True
        return False

    return rebuilt(book, harm, STALE)


@plants("generated")
def a_check_of_numbers_that_is_gone(book):
    def harm(nb):
        before = len(nb.cells)
        nb.cells = [cell for cell in nb.cells if "prose-check" not in tags(cell)]
        return len(nb.cells) < before

    return rebuilt(book, harm, "its outputs are older")


@plants("generated")
def a_changed_cell_that_was_not_executed(book):
    return rebuilt(book, lambda nb: any(source(r"\bseed = 0|\(0\)|= 0\b", "= 1")(c) for c in code_cells(nb)), STALE)


@plants("generated")
def a_leave_to_fail_that_was_added_without_executing(book):
    def harm(nb):
        return any(is_own(cell) and cell.metadata.update(tags=["raises-exception"]) is None for cell in code_cells(nb))

    return rebuilt(book, harm, STALE)


@plants("generated")
def a_set_up_cell_that_installs_something_else(book):
    return rebuilt(
        book,
        lambda nb: any(source(r"dlbook( @|\[)", r"other\1", has_tag("setup"))(cell) for cell in code_cells(nb)),
        LAYOUT,
    )


@plants("generated")
def a_package_that_does_something_else_than_when_the_outputs_were_made(book):
    page, name, path = listed(book)
    book.file(path, rf"(^(?:def|class) {name.rpartition('.')[2]}\b(?:.*\n)*?\s+return )", r"\g<1>2 * ")
    return page, STALE


@plants("generated")
def a_solution_that_is_open(book):
    return rebuilt(
        book, lambda nb: any(is_solution(c) and c.metadata.pop("jupyter", None) for c in code_cells(nb)), LAYOUT
    )


@plants("generated")
def cells_whose_ids_are_those_of_other_sources(book):
    return book.text(r"(?<=[a-z])\. (?=[A-Z])", ". And more. "), LAYOUT


# --- what a cell declares ---------------------------------------------------------------------------------------------


def retag(pattern, new):
    """Return what changes the first tag that matches a pattern."""

    def harm(cell):
        found = [re.sub(pattern, new, tag) for tag in tags(cell)]
        if changed := found != tags(cell) and bool(cell.outputs):
            cell.metadata.tags = found
        return changed

    return harm


plants("outputs", "a tolerance wider than what was measured")(
    code(retag(r"tolerance-[\d.]+$", "tolerance-50"), "declares absolute 50, may declare")
)
plants("outputs", "a relative tolerance wider than what was measured")(
    code(retag(r"tolerance-[\d.]+$", "tolerance-90pct"), "declares relative 0.9, may declare")
)
plants("outputs", "a limit for figures wider than what was measured")(
    code(retag(r"moves-\d", "pixels-250"), "declares pixels 250, may declare")
)
plants("outputs", "a tag that is misspelt")(
    code(retag(r"tolerance-[\d.]+$", "tolerance-1e-3"), "tag must read like tolerance-0.01")
)
plants("outputs", "an accuracy over examples that are not there")(
    code(retag(r"tolerance-[\d.]+$|accuracy-of-\d+", "accuracy-of-7"), "declares accuracies over 7 examples")
)
plants("outputs", "an instruction to the comparison in a comment")(
    code(source(r"\A", "# NBVAL_IGNORE_OUTPUT\n"), "by a tag, not by a comment")
)


@plants("outputs")
def a_sample_of_which_nothing_is_asserted(book):
    def harm(nb):
        cells = code_cells(nb)
        for number, cell in enumerate(cells[:-1]):
            if "sample" in tags(cell):
                cells[number + 1].source = "print(1)"
                return True
        return False

    return book.chapter(harm), "it is tagged `sample`", "assert a property of it"


@plants("outputs")
def a_tolerance_on_a_cell_whose_spread_nobody_measured(book):
    def harm(cell):
        plain = is_own(cell) and cell.outputs and not tags(cell)
        return plain and cell.metadata.update(tags=["tolerance-0.01"]) is None

    return book.code(harm), "its spread was not recorded"


@plants("outputs")
def a_result_that_is_not_compared(book):
    def harm(cell):
        plain = is_own(cell) and cell.outputs and not tags(cell)
        return plain and cell.metadata.update(tags=["nbval-ignore-output"]) is None

    return book.code(harm), "is tagged nbval-ignore-output, which is for times and memory"


@plants("outputs")
def a_chapter_whose_spread_nobody_measured(book):
    page = book.chapter(lambda nb: True)
    record = json.loads(book.read("book/spread.json"))
    del record[f"{page}.ipynb"]
    put(book.root / "book" / "spread.json", json.dumps(record))
    return page, "its spread was not recorded in book/spread.json"


@plants("outputs")
def most_cells_with_a_tolerance(book):
    def harm(nb):
        for cell in code_cells(nb):
            if cell.outputs and "prose-check" not in tags(cell):
                cell.metadata.tags = ["tolerance-0.01"]
        return True

    return book.chapter(harm), "at least two fifths of its compared cells must be exact"


# --- the package ------------------------------------------------------------------------------------------------------

API = "book/appendix/api"


@plants("api")
def a_module_without_a_page(book):
    put(book.root / "dlbook" / "novel.py", '"""New."""\n\n\ndef made():\n    """Return it."""\n')
    return (f"{API}/novel.md: must hold",)


@plants("api")
def a_page_of_a_module_that_is_gone(book):
    put(book.root / API / "novel.md", "# `dlbook.novel`\n")
    return (f"{API}/novel.md: must be the page of a module",)


plants("api", "a page of a module that no table of contents names")(
    file("_toc.yml", rf" +- file: {API}/losses\n", "", f"{API}/losses: must be in _toc.yml")
)
plants("api", "a page that says something else")(
    file(f"{API}/losses.md", r"\A# .*", "# Losses", f"{API}/losses.md: must hold")
)

LOSSES = "dlbook/losses.py"
NEW = r"\g<0>\n\ndef made({}):\n    {}\n"
plants("names", "a private name")(
    file(LOSSES, r"\Z", NEW.format("", '"""Return it."""\n    rivals = 1'), LOSSES, "baselines")
)
plants("names", "an argument by another name than the field's")(
    file(
        LOSSES,
        r"\Z",
        NEW.format("rate", '"""Return it.\n\n    Args:\n        rate: it.\n    """'),
        LOSSES,
        "`rate`",
        "lr",
    )
)
plants("names", "an argument that is not explained")(
    file(LOSSES, r"\Z", NEW.format("logits", '"""Return it."""'), LOSSES, "must explain under Args: logits")
)
plants("names", "a docstring in another form")(
    file(LOSSES, r"\Z", NEW.format("", '"""Gives it."""'), LOSSES, "must begin with the operation")
)
plants("names", "a line that the page cuts off")(
    file(LOSSES, r"\Z", rf"\n\n# {'long ' * 20}\n", LOSSES, "must have at most 88 columns")
)


@plants("reference_tests")
def a_function_that_nothing_compares(book):
    put(book.root / "dlbook" / "novel.py", '"""New."""\n\n\ndef made():\n    """Return it."""\n')
    return ("dlbook.novel.made: must have a reference test",)


@plants("reference_tests")
def a_layer_whose_reference_test_is_gone(book):
    pattern = r"^@reference\((?:[^()]|\([^()]*\))*\)\n"
    name = book.first("tests", pattern)
    text = book.read(name)
    put(book.root / name, re.sub(pattern, "", text, flags=re.M))
    return ("must have a reference test",)


@plants("reference_tests")
def a_reference_test_that_compares_with_something_else(book):
    pattern = r'^(@reference\([^()]*to=")[\w.]+'
    name = book.first("tests", pattern)
    book.file(name, pattern, r"\1ours.Layer")
    return name, "must compare with one of"
