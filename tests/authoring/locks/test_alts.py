"""Alt texts are written from templates whose marks are compared with the run, and hold no other measured number."""

import pytest

from authoring.build import prepare
from authoring.locks import alts
from authoring.locks.numbers import faults, rewrite
from tests.helpers.notebooks import code, notebook, printed, small_book

TEMPLATE = (
    "Two panels of `3 × 3`. Accuracy near 82<!-- = 100 * x ± 1 --> per cent, a third<!-- = y ± 0.02 --> of it late."
)
ALT = "Two panels of 3 × 3. Accuracy near 82 per cent, a third of it late."


def book(tmp_path, alt=ALT, template=TEMPLATE):
    """Make a book of one notebook with a figure, whose numbers were compared with its run."""
    described = {"image": {"alt": alt}} | ({"alt_from": template} if template else {})
    nb = notebook("# A", "It is 82 %<!-- = 100 * x -->.", code("x = 0.82\ny = 1 / 3", mystnb=described))
    assert rewrite(nb, tmp_path) == []
    nb.cells[-1].outputs = [printed("3 numbers in the text agree with this run.\n")]
    return nb


@pytest.fixture
def root(tmp_path):
    return small_book(tmp_path)


def test_an_alt_text_is_written_from_its_template(root):
    nb = book(root, alt="as it was before")
    assert nb.cells[2].metadata.mystnb.image.alt == ALT == alts.plain(TEMPLATE)
    assert '"Two panels of 3 × 3' not in nb.cells[-1].source
    assert "100 * x), 1)" in nb.cells[-1].source and "float(y), 0.02)" in nb.cells[-1].source
    small_book(root, a=nb)
    assert faults(root) == []


def test_an_alt_text_without_measured_numbers_needs_none(root):
    nb = book(root, alt="Three rows of eight pictures, in the lower half one boot.", template=None)
    small_book(root, a=nb)
    assert faults(root) == [] and prepare(nb, root) == []


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("near 82 per cent", "near 42 per cent", "must be that of its template alt_from: run `make notebooks`"),
        ("a third of it", "half of it", "must be that of its template alt_from"),
        (", a third", ", 5 seeds, a third", "must be that of its template"),
    ],
)
def test_a_changed_alt_text(root, old, new, message):
    nb = book(root)
    nb.cells[2].metadata.mystnb.image.alt = ALT.replace(old, new)
    small_book(root, a=nb)
    assert len(faults(root)) == 1 and message in faults(root)[0]


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("<!-- = 100 * x ± 1 -->", "", "a number must be marked, or be code, mathematics or words: got '82'"),
        ("<!-- = y ± 0.02 -->", "", "a quantity in words must be marked, or be digits: got 'a third of'"),
        ("82<", "many<", "a mark must follow a number directly"),
        ("= 100 * x", "= 100 *", "invalid syntax"),
        ("± 0.02", "", "must say how far the value may be off"),
        ("`3 × 3`", "3 × 3", "got '3'"),
    ],
)
def test_a_template_with_a_fault(root, old, new, message):
    nb = book(root)
    template = TEMPLATE.replace(old, new)
    nb.cells[2].metadata.mystnb.alt_from, nb.cells[2].metadata.mystnb.image.alt = template, alts.plain(template)
    small_book(root, a=nb)
    assert any(message in fault and "the alt text “Two panels" in fault for fault in faults(root)), faults(root)


@pytest.mark.parametrize(
    "alt, message",
    [
        ("One curve falls to 0.25 at the end of training.", "a number must be marked"),
        ("One curve falls by three orders of magnitude.", "a quantity in words must be marked"),
        (TEMPLATE, "would show its marks: put it into mystnb.alt_from"),
    ],
)
def test_measured_numbers_without_a_template(root, alt, message):
    nb = book(root)
    nb.cells[2].metadata.mystnb = {"image": {"alt": alt}}
    small_book(root, a=nb)
    assert any(message in fault for fault in faults(root))
