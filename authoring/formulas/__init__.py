r"""The formula on the page is what runs: LaTeX is read, executed and changed.

    from authoring.formulas import evaluate, mutants, parse

    tree = parse(r"z_i = \sum_j w_{ij}\, a_j + b_i")
    evaluate(tree, {"w": w, "a": a, "b": b}, {"i": 4, "j": 3})["z"]   # array over i
    [str(mutant) for mutant in mutants(tree)]                    # wrong variants of it

`grammar.lark` is the notation; `parse` makes trees with it, `reading` says what stands
side by side, `tree` prints trees again. `definitions` reads left sides, `bounds` what
sums run over. An evaluation is built up from `scope` (names), `statements`, `nodes`,
`lists` and `calls`; `values` is its arithmetic. `changes` and `mutants` make variants.

Indices count from one. Nothing is guessed: what is not supplied, or has no one meaning,
is an error that shows the formula with a caret.
"""

from authoring.formulas.errors import EvaluationError, FormulaError, ParseError
from authoring.formulas.evaluate import evaluate
from authoring.formulas.mutants import Mutant, mutants
from authoring.formulas.parse import parse
from authoring.formulas.tree import Node, latex, plain

__all__ = [
    "EvaluationError",
    "FormulaError",
    "Mutant",
    "Node",
    "ParseError",
    "evaluate",
    "latex",
    "mutants",
    "parse",
    "plain",
]
