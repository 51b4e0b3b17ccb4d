"""LaTeX to tree: lark reads the notation of `grammar.lark`, `reading` what it means."""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput

from authoring.formulas.errors import ParseError
from authoring.formulas.reading import Reader
from authoring.formulas.tree import Node

GRAMMAR = Path(__file__).with_name("grammar.lark")
KNOWN = "exp log tanh sin cos max min sigma Phi erf softmax ReLU sign diag Var E"


class Bars:
    """Tell a bar that opens from one that closes what was opened last."""

    always_accept = ("BAR",)
    opening = {"LBRACE", "LPAR", "LSQB", "BEGIN", r"\{", r"\lVert", r"\lfloor"}
    closing = {"RBRACE", "RPAR", "RSQB", "END", r"\}", r"\rVert", r"\rfloor"}

    def process(self, tokens: Iterator[Token]) -> Iterator[Token]:
        """Yield the tokens, each BAR as LBAR or RBAR."""
        opened: list[str] = []
        for token in tokens:
            if token.type == "BAR":
                closes = opened and opened[-1] == "|"
                token.type = "RBAR" if closes else "LBAR"
                opened = opened[:-1] if closes else [*opened, "|"]
            elif {token.type, token.value} & self.opening:
                opened.append(token.value)
            elif {token.type, token.value} & self.closing and opened:
                opened.pop()
            yield token


@cache
def grammar() -> Lark:
    """Return the parser of the grammar."""
    return Lark(
        GRAMMAR.read_text(encoding="utf-8"),
        start="formula",
        parser="lalr",
        lexer="basic",
        postlex=Bars(),
        propagate_positions=True,
        maybe_placeholders=False,
    )


def bare(source: str) -> str:
    r"""Blank out what is layout: the tag, quotation marks, `aligned` and its columns.

    Every character keeps its place. Each line of `aligned` is a statement, but one
    that begins with a relation goes on with the line before.
    """

    def blank(found: re.Match[str]) -> str:
        return " " * len(found[0])

    source = re.sub(r"\\tag\{.*?\}|^> ?", blank, source, flags=re.M)
    if r"\begin{aligned}" in source:
        source = re.sub(r"\\(begin|end)\{aligned\}", blank, source)
        source = re.sub(r"&&\s*\\text\{[^}]*\}", blank, source)
        source = re.sub(r"\\\\(?=\s*&?\s*=)|&", blank, source)
    return source


def parse(source: str, functions: Iterable[str] = ()) -> Node:
    """Return the tree of a formula: a node "formula" with one relation a statement.

    Args:
        source: its LaTeX, with or without its tag.
        functions: the plain names of the functions, beside the known ones and those
            that the formula itself defines.

    Raises:
        ParseError: The notation is unknown, or ambiguous.
    """
    return _parse(source, frozenset(functions))


@cache
def _parse(source: str, functions: frozenset[str]) -> Node:
    try:
        tree = grammar().parse(bare(source))
    except UnexpectedInput as error:
        ended = getattr(getattr(error, "token", None), "type", "") == "$END"
        at = len(source.rstrip()) if ended else getattr(error, "pos_in_stream", None)
        raise ParseError(
            "the notation is unknown from here on", source, at or 0
        ) from None
    reader = Reader(source, {*KNOWN.split(), *functions})
    trees = [part for part in tree.children if isinstance(part, Tree)]
    for statement in trees:
        reader.functions |= reader.defined(statement)
    statements = [reader.relation(part) for part in trees]
    return Node("formula", tuple(statements), "", 0)
