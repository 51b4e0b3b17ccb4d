"""The real repository: what every chapter has, that every lock looks at every chapter, and who may import whom."""

import ast
import re
import subprocess
import sys
from collections import Counter

import pytest
from notebooks import code, notebook, printed, shown

from equation_lock import displayed, ledger
from tools.book import ROOT, notebooks, pages, read, tags
from tools.build import build
from tools.definitions import imported
from tools.execute import is_executed
from tools.listings import MARK, listing
from tools.prose import PARSER, examine

NOTEBOOKS = notebooks()
NUMBERS = {
    "book/intro": "",
    "book/background/background": "1",
    "book/background/deep-learning-today": "1.1",
    "book/background/workflow": "1.2",
    "book/concepts/connections": "2",
    "book/algorithms/algorithms": "3",
    "book/algorithms/neural-networks": "3.1",
    "book/algorithms/forward": "3.1.1",
    "book/algorithms/backpropagation": "3.1.2",
    "book/algorithms/gradient-descent": "3.1.3",
    "book/algorithms/convolutional-networks": "3.2",
    "book/algorithms/convolution": "3.2.1",
    "book/algorithms/pooling": "3.2.2",
    "book/algorithms/recurrent-networks": "3.3",
    "book/algorithms/hidden-state": "3.3.1",
    "book/algorithms/output-state": "3.3.2",
    "book/algorithms/gates": "3.3.3",
    "book/algorithms/language": "3.4",
    "book/algorithms/word-embeddings": "3.4.1",
    "book/algorithms/text-generation": "3.4.2",
    "book/algorithms/self-attention": "3.4.3",
    "book/algorithms/transformer": "3.4.4",
    "book/algorithms/text-classification": "3.4.5",
    "book/algorithms/machine-translation": "3.4.6",
    "book/examples/examples": "4",
    "book/examples/neural-network": "4.1",
    "book/examples/convolutional-network": "4.2",
    "book/examples/recurrent-network": "4.3",
    "book/challenges/challenges": "5",
    "book/faq/faq": "6",
    "book/faq/deep-or-classical": "6.1",
    "book/faq/activations": "6.2",
    "book/faq/overfitting": "6.3",
    "book/faq/losses": "6.4",
    "book/faq/evaluation": "6.5",
    "book/conclusion": "",
    "book/appendix/notation": "",
    "book/appendix/corrections": "",
    "book/appendix/equations": "",
    "book/appendix/datasets": "",
    "book/appendix/speed": "",
    "book/appendix/api": "",
    "book/appendix/glossary": "",
    "book/appendix/references": "",
}
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.relative_to(ROOT / "book").as_posix())


def markdown(nb):
    return [cell.source for cell in nb.cells if cell.cell_type == "markdown"]


def code_cells(nb):
    return [cell for cell in nb.cells if cell.cell_type == "code"]


def without_header(path):
    return re.sub(r"\A---\n.*?\n---\n", "", path.read_text(encoding="utf-8"), flags=re.S)


def test_section_numbers_are_the_articles():
    assert {page: number for page, (_, number) in pages().items()} == NUMBERS
    assert [path.relative_to(ROOT).with_suffix("").as_posix() for path in NOTEBOOKS] == [
        page for page, (path, _) in pages().items() if path.suffix == ".ipynb"
    ]
    assert len(NOTEBOOKS) >= 4


def test_every_notebook_is_in_the_table_of_contents():
    found = [path for path in (ROOT / "book").rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts]
    assert sorted(found) == sorted(NOTEBOOKS)


@pytest.mark.parametrize("page", [page for page, (path, number) in pages().items() if path.suffix == ".md" and number])
def test_openers_have_one_heading(page):
    headings = [token.tag for token in PARSER.parse(without_header(pages()[page][0])) if token.type == "heading_open"]
    assert headings == ["h1"], "an opener has one H1 and no other heading: they would take the numbers of its sections"


# --- portable Markdown ------------------------------------------------------------------------------------------------

MYST = {
    "role": r"(?<!`)\{[\w:+-]+\}`",
    "directive": r"^\s*(?:`{3,}|~{3,}|:{3,})\s*\{",
    "label": r"^\([\w-]+\)=\s*$",
    "footnote": r"\[\^[^\]]+\]",
    "substitution": r"\{\{.+?\}\}",
    "comment": r"^%\s",
    "attributes": r"^\{[.#][^}]*\}\s*$|\]\{[.#\w]|\)\{[.#]|`\{[.#][^}]*\}",
    "block break": r"^\+\+\+",
}


def unportable(text):
    """Name what only the published site would understand in a Markdown cell."""
    plain = re.sub(r"^(```|~~~)(?!\s*\{).*?^\1", "", text, flags=re.M | re.S)  # code shown as code
    plain = re.sub(r"\$\$.+?\$\$|\$[^$\n]+\$", "$", plain, flags=re.S)
    return [
        f"write portable Markdown, not a MyST {name}: got {match[0].strip()!r}"
        for name, pattern in MYST.items()
        if (match := re.search(pattern, plain, re.M))
    ]


@pytest.mark.parametrize(
    "text, name",
    [
        ("See {ref}`attention`.", "role"),
        ("Cite {cite:p}`vaswani2017`.", "role"),
        ("```{note}\nText\n```", "directive"),
        (":::{note}\nText\n:::", "directive"),
        ("(attention)=\n## Attention", "label"),
        ("As said[^1].", "footnote"),
        ("{{ book }}", "substitution"),
        ("% a remark", "comment"),
        ("![x](y.png){.photo}", "attributes"),
        ("+++", "block break"),
    ],
)
def test_planted_myst(text, name):
    faults = unportable(text)
    assert len(faults) == 1 and f"not a MyST {name}" in faults[0]


@pytest.mark.parametrize(
    "text",
    ["$\\mathbf{x}_{i}$ `{x}` a {b} 5 % of", "```python\nf'{x}`'\n% y\n```", "$$\n{a}\n\\tag{3.1a}\n$$", "(a) = b"],
)
def test_portable_markdown_is_left_alone(text):
    assert unportable(text) == []


@each_notebook
def test_markdown_is_portable(path):
    cells = markdown(read(path))
    assert len(cells) >= 10
    assert [fault for cell in cells for fault in unportable(cell)] == []


# --- what a chapter holds ---------------------------------------------------------------------------------------------


def stored_faults(nb):
    """Say what is wrong with the stored state of a notebook."""
    faults = (
        [] if is_executed(nb) else ["its code cells must be executed in order, counts 1 to n: run `make notebooks`"]
    )
    for cell in code_cells(nb):
        where = f"the cell that begins {cell.source[:40]!r}"
        if any(output.get("name") == "stderr" for output in cell.outputs):
            faults.append(f"{where} must not store stderr")
        pictures = sum("image/png" in output.get("data", {}) for output in cell.outputs)
        alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
        if pictures and len(alt) < 20:
            faults.append(f"{where} must say what its figure shows: metadata mystnb.image.alt")
    return faults


def test_planted_faults_in_what_is_stored():
    alt = {"image": {"alt": "A curve that falls from one to zero."}}
    assert stored_faults(notebook(code("plot()", shown(image_png="iVBO"), mystnb=alt), code("1", printed("1\n")))) == []
    assert "metadata mystnb.image.alt" in stored_faults(notebook(code("plot()", shown(image_png="iVBO"))))[0]
    assert "must not store stderr" in stored_faults(notebook(code("1", printed("w", name="stderr"))))[0]
    stripped = notebook(code("1"))
    stripped.cells[0].execution_count = None
    assert "must be executed in order" in stored_faults(stripped)[0]


def exercise_faults(nb):
    """Say what is missing in the exercises: four or more, each with a hint and a solution that asserts."""
    start = next((n for n, cell in enumerate(nb.cells) if cell.source.startswith("## Exercises")), None)
    if start is None:  # the checks of the text's numbers stand right before it
        return ["a cell must begin with ## Exercises (two blank lines before it in the text view)"]
    faults, text, count = [], "", 0
    for cell in nb.cells[start:]:
        if cell.cell_type == "markdown":
            text += cell.source + "\n"
        elif "hide-cell" in tags(cell) and cell.source.startswith("# @title Solution"):
            count += 1
            if not cell.source.startswith(f"# @title Solution {count}\n"):
                faults.append(f"solutions must be numbered from 1 on: got {cell.source[:30]!r} as number {count}")
            if "<summary>Hint</summary>" not in text:
                faults.append(f"exercise {count} must have a hint: <details><summary>Hint</summary>…</details>")
            if not re.search(r"^\s*(?:assert\b|(?:[\w.]+\.)?assert_\w+\()", cell.source, re.M):
                faults.append(f"solution {count} must assert that it is right")
            text = ""
    return faults + [f"there must be at least four exercises with solutions: got {count}"] * (count < 4)


def test_planted_faults_in_exercises():
    def chapter(hint="<details><summary>Hint</summary>…</details>", number=4, check="assert x", tag="hide-cell"):
        pairs = [(f"### Exercise {n}\n\n{hint if n == 4 else text}", code(body, tags=(tag,))) for n, text, body in rows]
        pairs[3][1].source = f"# @title Solution {number}\n{check}"
        return exercise_faults(notebook("# A", "## Exercises", *(cell for pair in pairs for cell in pair)))

    rows = [
        (n, "<details><summary>Hint</summary>…</details>", f"# @title Solution {n}\nassert_close(a, b)")
        for n in range(1, 5)
    ]
    assert chapter() == []
    assert "two blank lines before it" in exercise_faults(notebook("# A\n\n## Exercises"))[0]
    assert chapter(hint="") == ["exercise 4 must have a hint: <details><summary>Hint</summary>…</details>"]
    assert chapter(check="x = 1  # assert") == ["solution 4 must assert that it is right"]
    assert "numbered from 1 on" in chapter(number=5)[0]
    assert chapter(tag="hide-input") == ["there must be at least four exercises with solutions: got 0"]


@each_notebook
def test_what_is_stored(path):
    nb = read(path)
    figures = sum("image/png" in output.get("data", {}) for cell in code_cells(nb) for output in cell.outputs)
    assert stored_faults(nb) == [] and exercise_faults(nb) == []
    assert figures >= 3, "a chapter has at least three figures"
    assert path.stat().st_size < 800_000, "a notebook has less than 800 KB"


@each_notebook
def test_code_is_plain_python(path):
    for cell in code_cells(read(path)):
        if "setup" in tags(cell):
            continue
        tree = ast.parse(cell.source)  # a magic is a syntax error
        stars = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.names[0].name == "*"]
        assert not stars, f"name what is imported in the cell that begins {cell.source[:40]!r}"
        assert "get_ipython" not in cell.source, f"no magics in the cell that begins {cell.source[:40]!r}"


@each_notebook
def test_links_lead_somewhere(path):
    links = []
    for cell in markdown(read(path)):
        children = [child for token in PARSER.parse(cell) for child in token.children or []]
        links += [str(child.attrs[name]) for child in children for name in ("href", "src") if name in child.attrs]
    local = [link.partition("#")[0] for link in links if not re.match(r"\w+:|#", link)]
    assert links and [link for link in local if not (path.parent / link).is_file()] == []


def needed(path):
    """Return the chapters that a chapter's "You need" names."""
    text = next(cell for cell in markdown(read(path)) if "**You need**" in cell)
    paragraph = re.search(r"\*\*You need\*\*.*?(?=\n\n|\Z)", text, re.S)[0]
    return {(path.parent / link).resolve().stem for link in re.findall(r"\]\(([^)]+\.ipynb)\)", paragraph)}


def behind(edges, chapter):
    """Return all that stands before a chapter, directly or not."""
    return {one for first, last in edges if last == chapter for one in {first} | behind(edges, first)}


def test_the_map_of_prerequisites_is_that_of_the_chapters():
    page = (ROOT / "book" / "intro.md").read_text(encoding="utf-8")
    drawn = re.findall(r'data-from="([\w-]+)" data-to="([\w-]+)"', page)
    linked = re.findall(r'<a href="([\w/-]+)\.html"><rect', page)
    assert {ROOT / "book" / f"{link}.ipynb" for link in linked} == set(NOTEBOOKS)
    said = [(first, path.stem) for path in NOTEBOOKS for first in needed(path)]
    assert {path.stem: behind(drawn, path.stem) for path in NOTEBOOKS} == {
        path.stem: behind(said, path.stem) for path in NOTEBOOKS
    }


# --- every lock looks at every chapter --------------------------------------------------------------------------------


def listed(path):
    firsts = [cell.source.partition("\n")[0] for cell in code_cells(read(path))]
    return [first.removeprefix(MARK) for first in firsts if first.startswith(MARK)]


@each_notebook
def test_listings_hold_the_packages_source(path):
    cells = [cell.source.partition("\n") for cell in code_cells(read(path)) if cell.source.startswith(MARK)]
    assert cells or path.stem == "deep-learning-today", "a chapter but the first lists something of the package"
    assert [first for first, _, body in cells if body != listing(first.removeprefix(MARK))] == []


def test_each_object_is_listed_once():
    homes = Counter(name for path in NOTEBOOKS for name in listed(path))
    assert [name for name, count in homes.items() if count > 1] == [], "list it once, import it elsewhere"


@each_notebook
def test_numbers_in_the_text_are_accounted_for(path):
    examined = [examine(cell) for cell in markdown(read(path))]
    assert [fault for _, faults in examined for fault in faults] == []
    assert sum(len(marks) for marks, _ in examined) >= 1, "a chapter quotes at least one number of its run"
    checks = [cell for cell in code_cells(read(path)) if "prose-check" in tags(cell)]
    assert len(checks) == 1 and "agree" in checks[0].outputs[0].text


@pytest.mark.parametrize("page", [page for page, (path, _) in pages().items() if path.suffix == ".md"])
def test_numbers_on_pages_without_code(page):
    marks, faults = examine(without_header(pages()[page][0]))
    assert faults == []
    assert marks == [], "a page without code computes nothing: use from: or bench:"


def test_equations_and_their_tests():
    rows, faults = ledger()
    assert faults == []
    tagged = Counter(page for page in displayed()[0].values())
    assert set(tagged) == {path.relative_to(ROOT).with_suffix("").as_posix() for path in NOTEBOOKS}
    assert len(rows) >= len(NOTEBOOKS)


@each_notebook
def test_generated_cells_and_outputs_are_current(path):
    assert build(path, check=True) == "up to date"


# --- who may import whom ----------------------------------------------------------------------------------------------

MODEL = {"torch", "jaxtyping"}
STANDALONE = (
    "interpret",
    "transfer",
    "compress",
    "privacy",
    "fairness",
    "evaluate",
    "ranking",
    "calibration",
    "resample",
    "penalties",
    "text",
    "bpe",
    "ngram",
    "augment",
)
ORDER = [
    "activations",
    "losses",
    "network",
    "optim",
    "conv",
    "cnn",
    "recurrent",
    "through_time",
    "forecast",
    "embedding",
    "language",
    "positions",
    "attention",
    "blocks",
    "transformer",
    "lexicon",
    "seq2seq",
]
MAY_IMPORT = {
    "__init__": set(),
    "reference": set(),
    "autograd": set(),
    **{name: MODEL | {f"dlbook.{earlier}" for earlier in ORDER[:n]} for n, name in enumerate(ORDER)},
    **dict.fromkeys(STANDALONE, MODEL),
    "decode": MODEL,
    "devices": MODEL,
    "run": MODEL | {"tqdm", "dlbook.devices"},
    "train": MODEL | {"numpy", "tqdm", "dlbook.devices", "dlbook.run"},
    "plot": {"matplotlib", "numpy"},
    "data": MODEL | {"numpy", "platformdirs", "pooch", "filelock", "dlbook.data"},
}


def foreign(module, source):
    """Return what a module of the package imports and may not."""
    found = {name if name.startswith(("dlbook.", "None.")) else name.partition(".")[0] for name in imported(source)}
    others = {name for name in found if name not in sys.stdlib_module_names}
    return {name for name in others if not any(f"{name}.".startswith(f"{may}.") for may in MAY_IMPORT[module])}


MODULES = sorted((ROOT / "dlbook").rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports(path):
    module = path.relative_to(ROOT / "dlbook").with_suffix("").parts[0]
    assert module in MAY_IMPORT, f"say in the table what {module} may import"
    assert foreign(module, path.read_text(encoding="utf-8")) == set()


@pytest.mark.parametrize(
    "module, source, found",
    [
        ("network", "from dlbook.optim import Adam", {"dlbook.optim.Adam"}),
        ("network", "from dlbook import train", {"dlbook.train"}),
        ("network", "from . import plot", {"None.plot"}),  # the package's own imports are absolute
        ("network", "def f():\n    import numpy.linalg", {"numpy"}),
        ("train", "from dlbook.network import MLP", {"dlbook.network.MLP"}),
        ("plot", "import torch", {"torch"}),
        ("data", "import tools.book, tests", {"tools", "tests"}),
        ("data", "from dlbook.data.store import fetch\nimport os, numpy", set()),
        ("network", "from dlbook.activations import relu\nimport torch.nn, math", set()),
    ],
)
def test_planted_imports(module, source, found):
    assert foreign(module, source) == found


def test_importing_the_package_costs_nothing():
    program = "import sys, dlbook; print({'torch', 'numpy', 'matplotlib', 'sklearn'} & set(sys.modules))"
    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "set()\n"
    )


def test_the_tools_stay_small():
    lines = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / "tools").glob("*.py")}
    assert sum(lines.values()) < 750, lines
