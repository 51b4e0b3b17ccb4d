"""The package speaks the field's language: no private names, docstrings in one form, lines that fit on the page."""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

from authoring.book import ROOT

LONGEST = 88  # columns: the site cuts off more
EVERYWHERE = {  # names of anything, and what to say instead
    **dict.fromkeys(("keras_start_", "torch_start_"), "keras_init_, torch_init_"),
    "remember": "project_kv",
    **dict.fromkeys(("enter", "around"), "forward(x, sublayer)"),
    "shrink_": "soft_threshold_",
    "penalised": "regularized",
    "price": "strength",
    "keep_nucleus": "top_p",
    "Lexicon": "IBMModel1",
    "reestimate": "em_step",
    "reliability": "calibration_curve",
    **dict.fromkeys(("said", "was", "happened"), "confidence, outcome"),
    "area_under_roc": "roc_auc",
    "add_up": "all_reduce_sum",
    "weigh": "scale_loss",
    "leave": "destroy; post-norm",
    "processes": "rank_and_world_size",
    "share_buffers": "broadcast_buffers",
    "sameness": "dedup_key",
    "unequivocal": "drop_conflicting_duplicates",
    "descend_": "sgd_step_",
    "machine": "svm",
    "straight": "identity",
    "judge": "evaluate",
    "rivals": "baselines",
    "held": "validation",
}
NOT_LOCAL = {  # names of functions, arguments and attributes; a local variable may have them
    **dict.fromkeys(("ask", "seen", "past"), "project_query, kv, kv_cache, offset"),
    "held_out": "test_fraction, test_size",
    "neighbours": "most_similar",
}
PARAMETERS = {  # names that only an argument must not have, what to say instead, and where they are right
    "scores": ("logits", ("dlbook/metrics/ranking.py",)),
    "start": ("init, offset, first", ()),
    "steps": ("length, max_length", ("dlbook/training/",)),
    "rate": ("lr, p", ()),
    "share": ("test_fraction, lam", ()),
}
COUNTS = {  # names that an argument which is an int must not have
    **dict.fromkeys(("words", "symbols", "vocabulary", "sources"), "vocab_size"),
    **dict.fromkeys(("size", "batch"), "batch_size"),
}
SIZES = {"output_size"}  # the functions whose `size` is one, in pixels
METHODS = {"scale": "transform", "restore": "inverse_transform"}
OPENINGS = re.compile(r"(?:Give|Gives|Say|Says|Tell|Tells|Put|Puts)\b|Makes? the (?:layers?|model)\b")
FORM = "begin with the operation and its standard name, such as “Return …”"

Function = ast.FunctionDef | ast.AsyncFunctionDef


def names(tree: ast.AST) -> Iterator[tuple[int, str, bool]]:
    """Yield each name that some code gives to something: its line, the name, whether it is that of a variable."""
    for node in ast.walk(tree):
        if isinstance(node, Function | ast.ClassDef):
            yield node.lineno, node.name, False
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg, False
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr, False
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id, True
        elif isinstance(node, ast.alias) and node.asname:
            yield node.lineno, node.asname, True


def arguments(function: Function) -> list[ast.arg]:
    """Return all arguments of a function but the object itself."""
    listed = function.args
    found = [*listed.posonlyargs, *listed.args, *filter(None, [listed.vararg]), *listed.kwonlyargs]
    found += filter(None, [listed.kwarg])
    return [argument for argument in found if argument.arg not in ("self", "cls")]


def old_names(tree: ast.AST, path: str) -> Iterator[tuple[int, str]]:
    """Yield the names that are not the field's, by line, with what to say instead."""
    for line, name, variable in names(tree):
        instead = EVERYWHERE.get(name) or ("" if variable else NOT_LOCAL.get(name, ""))
        if "picture" in name.lower():
            instead = "image"
        if instead:
            yield line, f"`{name}` must be named in the field's words: {instead}"
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            methods = [part for part in node.body if isinstance(part, Function) and part.name in METHODS]
            yield from ((part.lineno, f"the method `{part.name}` must be {METHODS[part.name]}") for part in methods)
        if isinstance(node, Function):
            yield from old_arguments(node, path)


def old_arguments(function: Function, path: str) -> Iterator[tuple[int, str]]:
    """Yield the arguments of a function whose names are wrong there, by line."""
    for argument in arguments(function):
        name, annotation = argument.arg, argument.annotation
        if name in PARAMETERS:
            instead, right = PARAMETERS[name]
            if not any(path.startswith(place) for place in right):
                yield argument.lineno, f"the argument `{name}` must be named in the field's words: {instead}"
        count = isinstance(annotation, ast.Name) and annotation.id == "int"
        if count and name in COUNTS and function.name not in SIZES:
            yield argument.lineno, f"the argument `{name}`, a count, must be {COUNTS[name]}"


def documented(docstring: str) -> set[str]:
    """Return the names that the sections Args and Attributes of a docstring explain."""
    found: set[str] = set()
    for section in re.findall(r"^(?:Args|Attributes):\n((?:(?: +.*)?\n)+)", docstring + "\n", re.M):
        for names in re.findall(r"^ {4}(\*{0,2}\w+(?:, \*{0,2}\w+)*)(?: \(.*?\))?:", section, re.M):
            found |= {name.strip("* ") for name in names.split(",")}
    return found


def definitions(tree: ast.Module) -> Iterator[tuple[Function | ast.ClassDef, str]]:
    """Yield functions, classes and their methods, each with the name of the class around it."""
    for node in tree.body:
        if isinstance(node, Function | ast.ClassDef):
            yield node, ""
        if isinstance(node, ast.ClassDef):
            yield from ((part, node.name) for part in node.body if isinstance(part, Function))


def is_public(name: str) -> bool:
    """Whether readers use a name; of those with two underscores, the two that take arguments of theirs."""
    return not name.startswith("_") or name in ("__init__", "__call__")


def docstrings(tree: ast.Module, private: bool) -> Iterator[tuple[int, str]]:
    """Yield what is wrong with the docstrings of a module, by line."""
    of_classes = {node.name: ast.get_docstring(node) or "" for node in tree.body if isinstance(node, ast.ClassDef)}
    bases = {
        node.name: [base.id for base in node.bases if isinstance(base, ast.Name)]
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }
    overridden = {
        (owner, node.name): documented(ast.get_docstring(node) or "")
        for node, owner in definitions(tree)
        if isinstance(node, Function) and owner
    }
    for node, owner in definitions(tree):
        docstring = ast.get_docstring(node) or ""
        if OPENINGS.match(docstring):
            first = docstring.partition("\n")[0]
            yield node.lineno, f"the docstring of {node.name} must {FORM}: got {first!r}"
        if re.search(r"^\s*Errors:", docstring, re.M):
            yield node.lineno, f"the docstring of {node.name} must have Raises: in place of Errors:"
        if isinstance(node, Function) and not private and is_public(node.name) and is_public(owner):
            known = documented(docstring)
            if node.name == "__init__":
                known |= documented(of_classes[owner])
            for base in bases.get(owner, []):  # a method that only overrides need not explain again
                known |= overridden.get((base, node.name), set())
            missing = [argument.arg for argument in arguments(node) if argument.arg not in known]
            if missing:
                wanted = ", ".join(missing)
                yield node.lineno, f"the docstring of {node.name} must explain under Args: {wanted}"


@functools.cache
def examined(page: str, text: str) -> tuple[int, list[tuple[int, str]]]:
    """Return how many definitions stand in a module, and what is wrong in it, by line."""
    tree = ast.parse(text)
    count = sum(isinstance(node, Function | ast.ClassDef) for node in tree.body)
    wrong = [*old_names(tree, page), *docstrings(tree, private=page.rpartition("/")[2].startswith("_"))]
    wrong += [
        (number, f"must have at most {LONGEST} columns: got {len(line)}")
        for number, line in enumerate(text.splitlines(), 1)
        if len(line) > LONGEST
    ]
    return count, sorted(wrong)


def faults(root: Path = ROOT) -> list[str]:
    """Return the private names, docstrings in another form and long lines of the package."""
    found, looked_at = [], 0
    for path in sorted((root / "dlbook").rglob("*.py")):
        page, text = path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")
        count, wrong = examined(page, text)
        looked_at += count
        found += [f"{page}, line {line}: {what}" for line, what in wrong]
    return found if looked_at else ["dlbook: the lock found no definition in it: mend the lock"]
