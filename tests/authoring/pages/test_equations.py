"""The page of equations."""

import re

from authoring.locks.equations import ledger
from authoring.pages.equations import equations


def test_the_page_of_a_small_book(book, file_regression):
    file_regression.check(equations(book) + "\n", extension=".md")


def test_an_equation_of_something_outside_the_package_leads_to_its_code(book):
    (book / "benchmarks" / "pairs.py").write_text("def pairs(): ...\n")
    test = book / "tests" / "test_layers.py"
    test.write_text(test.read_text().replace("dlbook.layers.Dense.forward", "benchmarks.pairs.pairs"))
    address = "https://example.org/o/r/blob/main/benchmarks/pairs.py#L1"
    assert f"[`benchmarks.pairs.pairs`]({address}), executed from its page and compared" in equations(book)


def test_every_equation_is_there():
    page = equations()
    rows, _ = ledger()
    tags = re.findall(r"\\tag\{(.+?)\}", page)
    assert tags == list(dict.fromkeys(tag for tag, *_ in rows)) and len(tags) > 80
    assert page.count(" and compared by [") == len(rows)
    assert page.count("$$") == 2 * len(tags)
