"""Each thing to remember carries a claim that must be True in the run; a comparison rests on an interval of its sense.

    - Counting was ahead. <!-- claim: lead.above(0) -->                     the run: an expression over its variables
    - Ours is ahead. <!-- claim: bench: min(language["race"]["ours"]) -->   an expression over benchmarks/results
    - Softmax gives probabilities. <!-- claim: equation 3.4.1a -->          a tag of the chapter that a test holds

In force where a notebook's metadata say `"dlbook": {"edition": 2}`: for each bullet under *What to remember*, and each
sentence of *In short* that compares. `python -m authoring.build` collects the claims into the cell before the exercises
that checks the numbers; those on stored results are checked at once.

A claim must be able to fail: it names something that the run computed, or a stored result. A word that compares needs
an interval from dlbook.metrics, by itself, in `and` or in `all(… for …)`, and one of its methods with a number:

    better, more, higher, beats, …          .above(0)     or fisher_exact(…, alternative="greater") < 0.05
    worse, less, fewer, lower, …            .below(0)     or fisher_exact(…, alternative="less") < 0.05
    at least as good as, no worse           .above(-0.01), .above(0) or .within(0.01)
    no better, not more                     .below(0.01), .below(0) or .within(0.01)
    as good as, no difference               .within(0.01)
    not separated, no difference that …     .contains(0)  or fisher_exact(…) > 0.05, which support nothing else

Form the difference so that the word of the sentence is its sign: in errors, those of the worse method come first.
"""

import ast
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from markdown_it.token import Token
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from authoring.book import (
    PARSER,
    ROOT,
    chapters,
    code_cells,
    formatted,
    markdown_cells,
    parsed_json,
    tags,
    texts_of_results,
)
from authoring.locks import unseen
from authoring.locks.equations import proofs

CLAIM = re.compile(r"<!--\s*claim:\s*(.*?)\s*-->", re.S)
COMMENT = re.compile(r"<!--.*?-->", re.S)
QUIET = re.compile(r"`[^`]*`|\$[^$]*\$")  # code and formulas compare nothing
SENTENCES = re.compile(r"(?<=[.!?])([*_”\"’)]*(?:\s*\x00\d+\x00)*)\s+(?=[^\s\x00])")
TAGGED = re.compile(r"equations?\s+(\d[\w.]*(?:(?:,|\s+and)\s+\d[\w.]*)*)")

PAIRED = {
    "difference_over_examples",
    "difference_over_seeds",
    "difference_over_pairs",
    "difference_over_examples_and_seeds",
    "difference_over_time",
}
FUNCTIONS = PAIRED | {"clopper_pearson", "fisher_exact", "newcombe"}
METHODS = {"above", "below", "contains", "within"}

UP = (
    "better|best|more|higher|highest|greater|greatest|larger|largest|bigger|biggest|stronger|strongest|faster|fastest|"
    "sooner|earlier|cheaper|cheapest|easier|ahead|beats?|beaten|outperform(?:s|ed)?|surpass(?:es|ed)?|exceed(?:s|ed)?|"
    "improve[sd]?|raise[sd]?|wins?|won"
)
DOWN = (
    "worse|worst|less|fewer|fewest|lower|lowers|lowered|lowest|smaller|smallest|weaker|weakest|slower|slowest|harder|"
    "behind|los(?:es?|t) to"
)
DEGREE = "good|accurate|fast|high|low|large|strong|much|many|often"
NOT = r"(?:no|not|never|nor|neither|hardly)\s(?:\w+\s)?"
ALIKE = rf"as (?:{DEGREE}) as|(?:do|does|did|works?|worked|perform(?:s|ed)?) (?:\w+ )?as well as"
SHOWN = "found|seen|shown|measured|visible"
WORDINGS = [  # and the senses of an interval that support each; taken out of a sentence in this order
    (rf"not (?:be )?separated|no difference that|no difference (?:was|is) (?:{SHOWN})|not be told apart", {"contains"}),
    (rf"at least (?:{ALIKE})|{NOT}(?:{DOWN})", {"above", "no worse", "within"}),
    (rf"{NOT}(?:{UP})|at most (?:{ALIKE})", {"below", "no better", "within"}),
    (rf"{ALIKE}|no difference|equally (?:{DEGREE}|well)", {"within"}),
    (UP, {"above"}),
    (DOWN, {"below"}),
]
WAYS = {
    "above": ".above(0)",
    "below": ".below(0)",
    "no worse": ".above(-margin)",
    "no better": ".below(margin)",
    "within": ".within(margin)",
    "contains": ".contains(0)",
}
Row = tuple[str, str]  # the first words of a sentence, and an expression over the run


class Sentence(NamedTuple):
    """A sentence that may claim something."""

    words: str  # its beginning, for messages
    text: str  # without comments, code and formulas
    claims: list[str]
    must: bool  # carry a claim even if it compares nothing


# --- the sentences ----------------------------------------------------------------------------------------------------


# Chapters that are in the second edition, so that none falls back unnoticed.
SECOND = {
    "book/algorithms/backpropagation",
    "book/algorithms/convolution",
    "book/algorithms/forward",
    "book/algorithms/gradient-descent",
    "book/algorithms/pooling",
    "book/algorithms/word-embeddings",
    "book/challenges/deployment-cost",
    "book/challenges/fairness",
    "book/challenges/interpretability",
    "book/challenges/little-data",
    "book/challenges/poor-data",
    "book/challenges/privacy",
    "book/challenges/training-cost",
    "book/challenges/transfer",
    "book/challenges/zero-shot",
    "book/faq/evaluation",
}


def edition(nb: NotebookNode) -> int:
    """Return the edition that a notebook is written for."""
    return int(nb.metadata.get("dlbook", {}).get("edition", 1))


def sentence(raw: str, must: bool) -> Sentence:
    """Return a part of the text as a sentence."""
    claims = [" ".join(claim.split()) for claim in CLAIM.findall(raw)]
    plain = " ".join(COMMENT.sub("", raw).split())
    return Sentence(" ".join(plain.replace("*", "").split()[:8]), QUIET.sub("", plain), claims, must)


def split(paragraph: str) -> list[str]:
    """Cut a paragraph into sentences; a comment belongs to the sentence before it."""
    comments: list[str] = []

    def hide(found: re.Match[str]) -> str:
        comments.append(found[0])
        return f"\x00{len(comments) - 1}\x00"

    parts = SENTENCES.sub(r"\1\n\n", " ".join(COMMENT.sub(hide, paragraph).split())).split("\n\n")
    return [re.sub(r"\x00(\d+)\x00", lambda found: comments[int(found[1])], part) for part in parts]


def sections(tokens: list[Token]) -> Iterator[tuple[str, Token, int]]:
    """Yield the tokens that hold text, each with its heading and the number of its bullet (0: in none)."""
    heading, in_heading, bullet, level = "", False, 0, 0
    for token in tokens:
        if token.type == "heading_open":
            in_heading = True
        elif token.type == "inline" and in_heading:
            heading, in_heading = token.content.strip(), False
        elif token.type == "list_item_open":
            bullet, level = (bullet, level + 1) if level else (bullet + 1, 1)
        elif token.type == "list_item_close":
            level -= 1
        elif token.type in ("inline", "html_block", "fence", "code_block"):
            yield heading, token, bullet if level else 0


def sentences(nb: NotebookNode) -> tuple[list[Sentence], list[str]]:
    """Return the sentences of a notebook that may claim, and what is wrong with where claims stand."""
    markdown = "\n\n".join(cell.source for cell in markdown_cells(nb))
    found, wrong = [], []
    bullets: dict[int, str] = defaultdict(str)
    short = ""
    for heading, token, bullet in sections(PARSER.parse(markdown)):
        if heading == "What to remember" and bullet:
            bullets[bullet] += " " + token.content
        elif heading == "In short" or re.match(r"\*{0,2}In short\b", token.content):
            short += " " + token.content
        elif heading == "What to remember" and COMMENT.sub("", token.content).strip():
            wrong.append(f"under What to remember, all must stand in bullets: got “{token.content[:60]}”")
        elif claims := CLAIM.findall(token.content):
            wrong.append(f"a claim must stand in a bullet under What to remember, or in In short: got {claims[0]!r}")
    found += [sentence(raw, must=False) for raw in split(short) if short]
    found += [sentence(raw, must=True) for raw in bullets.values()]
    if not bullets:
        wrong.append("must have bullets under ## What to remember")
    return found, wrong


# --- what the run computes --------------------------------------------------------------------------------------------


class Run:
    """What the code cells of a notebook bind: which names are results, and which of these are intervals."""

    def __init__(self, nb: NotebookNode):
        self.functions: dict[str, str] = {}  # the name of each that gives an interval, and of what kind it is
        self.intervals: dict[str, str] = {}  # the name of each interval, or of each collection of them
        self.bound: dict[str, list[ast.expr | None]] = defaultdict(list)  # None: to something else
        self.wrappers: list[ast.FunctionDef] = []
        for cell in before_exercises(nb):
            self.read(cell)
        size = -1
        while size != len(self.functions) + len(self.intervals):  # one may be made from another
            size = len(self.functions) + len(self.intervals)
            self.follow()

    def read(self, cell: NotebookNode) -> None:
        """Take up what a code cell binds."""
        listed = re.match(r"# Listing(?:, shortened)?: dlbook\.metrics\.", cell.source)
        for node in walk(ast.parse(re.sub(r"^(\s*)[%!].*", r"\1pass", cell.source, flags=re.M))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dlbook.metrics."):
                kinds = {alias.asname or alias.name: alias.name for alias in node.names if alias.name in FUNCTIONS}
                self.functions |= kinds
            elif isinstance(node, ast.FunctionDef):
                if listed and node.name in FUNCTIONS:
                    self.functions[node.name] = node.name
                elif not listed:
                    self.functions.pop(node.name, None)
                    self.wrappers.append(node)
            for target, value in bindings(node):
                self.bound[target].append(value)

    def follow(self) -> None:
        """Find the functions that return intervals, and the names that are bound to nothing else."""
        for function in self.wrappers:
            returned = [node.value for node in ast.walk(function) if isinstance(node, ast.Return)]
            kinds = {self.kind(value) for value in returned}
            if len(kinds) == 1 and (kind := kinds.pop()):
                self.functions[function.name] = kind
        for name, values in self.bound.items():
            kinds = {self.kind(value) for value in values if not is_empty(value)}
            if len(kinds) == 1 and (kind := kinds.pop()):
                self.intervals[name] = kind

    def kind(self, node: ast.AST | None) -> str | None:
        """Return the function of dlbook.metrics that gives the interval, or the intervals, in an expression."""
        if isinstance(node, ast.Name):
            return self.intervals.get(node.id)
        if isinstance(node, ast.Subscript):
            return self.kind(node.value)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            return self.functions.get(node.func.id)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            return self.kind(node.func.value) if node.func.attr in ("values", "items") else None
        if isinstance(node, ast.DictComp):
            return self.kind(node.value)
        if isinstance(node, ast.ListComp | ast.GeneratorExp):
            return self.kind(node.elt)
        parts = node.values if isinstance(node, ast.Dict) else getattr(node, "elts", [])
        kinds = {self.kind(part) for part in parts}
        return kinds.pop() if len(kinds) == 1 else None

    def results(self) -> set[str]:
        """Return the names of what is computed: not those of modules, functions and constants alone."""
        return {name for name, values in self.bound.items() if not all(map(is_constant, values))}

    def alternative(self, node: ast.expr) -> str | None:
        """Return which side a call of fisher_exact asks for; a name may be bound to one call only."""
        if isinstance(node, ast.Name) and len(self.bound[node.id]) == 1:
            node = self.bound[node.id][0] or node
        if not isinstance(node, ast.Call):
            return None
        given = [*node.args[1:], *(word.value for word in node.keywords if word.arg == "alternative")]
        return ast.literal_eval(given[0]) if given and isinstance(given[0], ast.Constant) else "two-sided"


def before_exercises(nb: NotebookNode) -> list[NotebookNode]:
    """Return the code cells whose names a claim may use: the author's, before the exercises."""
    cells = [cell for cell in nb.cells[: first_exercise(nb)] if cell.cell_type == "code"]
    return [cell for cell in cells if not {"setup", "prose-check"} & set(tags(cell))]


def first_exercise(nb: NotebookNode) -> int:
    """Return where the exercises of a notebook begin."""
    sources = [cell.source if cell.cell_type == "markdown" else "" for cell in nb.cells]
    found = [position for position, source in enumerate(sources) if re.search("^## Exercises", source, re.M)]
    return [*found, len(nb.cells)][0]


def walk(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a cell that bind names of the notebook: not those within functions and comprehensions."""
    yield node
    inner = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda
    if not isinstance(node, inner | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        for child in ast.iter_child_nodes(node):
            yield from walk(child)


def bindings(node: ast.AST) -> Iterator[tuple[str, ast.expr | None]]:
    """Yield the names that a statement binds, each with the expression that it is bound to, where that is known."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            yield from unpacked(target, node.value)
    elif isinstance(node, ast.AnnAssign | ast.NamedExpr):
        yield from unpacked(node.target, node.value)
    elif isinstance(node, ast.AugAssign):
        yield from unpacked(node.target, ast.Compare(node.value, [], []))  # neither an interval nor a constant
    elif isinstance(node, ast.For):
        yield from unpacked(node.target, node.iter)
    elif isinstance(node, ast.withitem) and node.optional_vars:
        yield from unpacked(node.optional_vars, node.context_expr)


def unpacked(target: ast.expr, value: ast.expr | None) -> Iterator[tuple[str, ast.expr | None]]:
    """Yield the names in a target with their parts of the value; `x[k] = …` binds a part of x."""
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, ast.Subscript | ast.Attribute | ast.Starred):
        yield from unpacked(target.value, value)
    elif isinstance(target, ast.Tuple | ast.List):
        parts = value.elts if isinstance(value, ast.Tuple | ast.List) else []
        matched = parts if len(parts) == len(target.elts) else [value and ast.List([value]) for _ in target.elts]
        for inner, part in zip(target.elts, matched, strict=True):
            yield from unpacked(inner, part)


def is_constant(value: ast.expr | None) -> bool:
    """Return whether an expression is a constant, or a container of constants."""
    try:
        ast.literal_eval(value or ast.Constant(None))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return True


def is_empty(value: ast.expr | None) -> bool:
    """Return whether an expression is a container without anything in it, which a loop may fill."""
    if isinstance(value, ast.Dict):
        return not value.keys
    return isinstance(value, ast.List) and not value.elts


# --- one claim --------------------------------------------------------------------------------------------------------


def terms(node: ast.expr, run: Run) -> Iterator[ast.expr]:
    """Yield what must hold by itself for a claim to hold: the parts of `and`, what `all` says of each."""
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
        for part in node.values:
            yield from terms(part, run)
        return
    inner = node.args[0] if isinstance(node, ast.Call) and len(node.args) == 1 else None
    called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "all"
    if not called or not isinstance(inner, ast.GeneratorExp | ast.ListComp) or any(one.ifs for one in inner.generators):
        yield node
        return
    for one in inner.generators:
        if kind := run.kind(one.iter):
            names = [name.id for name in ast.walk(one.target) if isinstance(name, ast.Name)]
            run.intervals |= dict.fromkeys(names, kind)
    yield from terms(inner.elt, run)


def number(node: ast.expr) -> float | None:
    """Return the number that stands in the code, if one does."""
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError):
        return None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def sense(node: ast.expr, run: Run) -> str | None:
    """Return what a term says of an interval, or of Fisher's test: one of WAYS."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and run.kind(node.left) == "fisher_exact":
        limit, low = number(node.comparators[0]), isinstance(node.ops[0], ast.Lt | ast.LtE)
        if limit is not None and low and limit <= 0.05:
            return {"greater": "above", "less": "below"}.get(run.alternative(node.left) or "")
        return "contains" if limit is not None and limit >= 0.05 and isinstance(node.ops[0], ast.Gt | ast.GtE) else None
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in METHODS):
        return None
    kind, value = run.kind(node.func.value), number(node.args[0]) if len(node.args) == 1 else None
    method, counted = node.func.attr, kind == "clopper_pearson"
    if kind is None or kind == "fisher_exact" or value is None:
        return None
    if method == "above":
        return "above" if counted or value >= 0 else "no worse"
    if method == "below":
        return "below" if counted or value <= 0 else "no better"
    return method if method == "within" or counted or value == 0 else None


def cannot_fail(tree: ast.expr) -> bool:
    """Return whether an expression is true whatever its names mean: x == x, … or True."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], ast.Eq | ast.LtE | ast.GtE):
            if ast.dump(node.left) == ast.dump(node.comparators[0]):
                return True
        elif isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or) and any(map(is_constant, node.values)):
            return True
    return False


@cache
def functions() -> dict[str, Any]:
    """Return what a claim on stored results may use beside them: the intervals of dlbook.metrics."""
    import torch

    from dlbook.metrics import counts, paired

    found: dict[str, Any] = {name: getattr(paired, name) for name in PAIRED}
    found |= {name: getattr(counts, name) for name in FUNCTIONS - PAIRED}
    found["tensor"] = lambda values: torch.tensor(values, dtype=torch.float64)
    return found


@cache
def of_results(expression: str, texts: tuple[tuple[str, str], ...]) -> Any:
    """Return the value of a claim on those stored results, or the error that it raises; once for each state of them."""
    try:
        return eval(expression, functions() | {name: parsed_json(text) for name, text in texts})
    except Exception as error:  # whatever the author's expression may raise
        return error


def equation_faults(cited: str, held: Callable[[], tuple[set[str], set[str]]]) -> list[str]:
    """Return which equations of a claim the chapter does not show, or no test holds."""
    shown, tested = held()
    wanted = re.findall(r"\d[\w.]*\w", cited)
    wrong = [f"equation {tag} must have its \\tag in this chapter" for tag in wanted if tag not in shown]
    return wrong + [f"equation {tag} must be held by a test" for tag in wanted if tag in shown - tested]


def needs(text: str) -> list[tuple[str, set[str]]]:
    """Return the words of a sentence that compare, each with the senses that support it."""
    found = []
    for wording, senses in WORDINGS:
        pattern = re.compile(rf"\b(?:{wording})\b", re.I)
        found += [(match[0], senses) for match in pattern.finditer(text)]
        text = pattern.sub("…", text)
    if any(senses == {"above"} for _, senses in found) and any(senses == {"below"} for _, senses in found):
        both = {"above", "below"}  # “better, with fewer errors”: one interval cannot lie on both sides
        found = [(word, both if senses <= both else senses) for word, senses in found]
    return found


def judge(said: Sentence, run: Run, root: Path, held: Callable[[], tuple[set[str], set[str]]]) -> Iterator[str | Row]:
    """Yield what is wrong with the claims of a sentence, and the expressions that the run must make True."""
    compared, senses, mute = needs(said.text), set(), not said.claims
    if not said.claims and (said.must or compared):
        yield "must carry a claim, <!-- claim: expression --> or <!-- claim: equation TAG -->"
    for claim in said.claims:
        if cited := TAGGED.fullmatch(claim):
            yield from equation_faults(cited[1], held)
            continue
        on_results = claim.startswith("bench:")
        expression = claim.removeprefix("bench:").strip()
        try:
            tree = ast.parse(expression, mode="eval").body
        except SyntaxError as error:
            yield f"the claim must be an expression of Python, {error.msg}: got {claim!r}"
            mute = True
            continue
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
        texts = texts_of_results(root) if on_results else {}
        known = set(texts) if on_results else run.results()
        if not names & known or cannot_fail(tree):
            what = "a result in benchmarks/results" if on_results else "something that the run computes"
            yield f"the claim must be able to fail, and name {what}: got {claim!r}"
        if on_results:
            own = Run(NotebookNode(cells=[]))
            own.functions = {name: name for name in FUNCTIONS}
        else:
            own = run
        scope = dict(own.intervals)
        parts = list(terms(tree, own))
        said_of = [(part, sense(part, own)) for part in parts]
        loose = [part for part, way in said_of if not way and uses_interval(part, own)]
        own.intervals = scope
        senses |= {way for _, way in said_of if way}
        for part in loose:
            ways = ", ".join(f".{name}(number)" for name in sorted(METHODS))
            fisher = 'of fisher_exact < 0.05 with alternative="greater" or "less", or > 0.05'
            yield f"a claim must use {ways} of an interval, or {fisher}, by itself: got {ast.unparse(part)!r}"
            mute = True
        if not on_results:
            yield said.words, expression
            continue
        if (value := of_results(expression, tuple((name, texts[name]) for name in sorted(names & known)))) is not True:
            yield f"the claim must be True: got {value!r} for {claim!r}"
    if mute:
        return
    for word, wanted in compared:
        if not senses & wanted:
            ways = " or ".join(WAYS[way] for way in sorted(wanted))
            got = ", ".join(WAYS[way] for way in sorted(senses)) or "no interval from dlbook.metrics"
            yield f"“{word}” must rest on an interval, by {ways}: got {got}"
    if "contains" in senses and not any("contains" in wanted for _, wanted in compared):
        yield "an interval that contains 0 supports “not separated” and nothing else: say so"


def uses_interval(node: ast.expr, run: Run) -> bool:
    """Return whether an interval is somewhere in an expression."""
    return any(run.kind(part) for part in ast.walk(node) if isinstance(part, ast.Name | ast.Call))


# --- a notebook -------------------------------------------------------------------------------------------------------


def examine(nb: NotebookNode, root: Path = ROOT) -> tuple[list[Row], list[str]]:
    """Return the claims that the run must make True, and what is wrong with those of the text."""
    if edition(nb) < 2:
        return [], []
    said, wrong = sentences(nb)
    run, rows = Run(nb), []
    cache: list[tuple[set[str], set[str]]] = []

    def held() -> tuple[set[str], set[str]]:
        """Return the tags of the chapter, and those that a test holds; read once, and only where a claim asks."""
        if not cache:
            shown = {tag for cell in markdown_cells(nb) for tag in re.findall(r"\\tag\{(.+?)\}", cell.source)}
            cache.append((shown, {proof.tag for proof in proofs(root)[0]}))
        return cache[0]

    for one in said:
        for found in judge(one, run, root, held):
            if isinstance(found, str):
                wrong.append(f"“{one.words} …”: {found}")
            else:
                rows.append(found)
    return rows, wrong


def cell_source(rows: list[Row]) -> str:
    """Write the code that checks the claims in the run, as the formatter would."""
    listed = ", ".join(f"({json.dumps(words, ensure_ascii=False)}, {expression})" for words, expression in rows)
    source = f"""\
# The claims of this chapter, checked. Written by authoring/locks/claims.py.
from dlbook.metrics._claims import check_claims

check_claims({listed},)
"""
    return formatted(source)


def rewrite(nb: NotebookNode, root: Path = ROOT) -> list[str]:
    """Add the claims to the cell that checks the numbers of a notebook, just written; return what is wrong with them.

    A notebook without such a cell gets one, before its exercises.
    """
    rows, wrong = examine(nb, root)
    if rows:
        checks = [cell for cell in code_cells(nb) if "prose-check" in tags(cell)]
        if not checks:
            cell = new_code_cell(metadata={"tags": ["hide-input", "prose-check"]})
            nb.cells.insert(first_exercise(nb), cell)
            checks = [cell]
        checks[0].source = f"{checks[0].source}\n\n{cell_source(rows)}".strip()
    return wrong


def faults(root: Path = ROOT) -> list[str]:
    """Return what is wrong with the claims of the chapters of edition 2, and which were not checked in their run."""
    found, looked_at = [], {}
    for page, nb in chapters(root):
        rows, wrong = examine(nb, root)
        if page in SECOND and edition(nb) < 2:
            wrong.append("must stay in edition 2, as SECOND in authoring/locks/claims.py says")
        looked_at[page] = sum(len(one.claims) for one in sentences(nb)[0]) if edition(nb) > 1 else 0
        found += [f"{page}: {fault}" for fault in wrong]
        checks = [cell for cell in code_cells(nb) if "prose-check" in tags(cell)]
        printed = "".join(output.get("text", "") for cell in checks for output in cell.outputs)
        if rows and not re.search(rf"^{len(rows)} claims? holds? in this run", printed, re.M):
            found.append(f"{page}: must have checked its {len(rows)} claims in the run: run `make notebooks`")
    return found + unseen(looked_at, "claims", root)
