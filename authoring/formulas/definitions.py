r"""What a statement defines: the left side of `y_{ij} = …` or `p(c \mid w) = …`."""

from dataclasses import dataclass, field

from authoring.formulas.tree import Node, latex, number, plain, stem

NAMED = ("name", "word", "derivative", "call")
DEFINING = ("=", r"\leftarrow", r"\approx")


@dataclass(eq=False)
class Definition:
    """A statement, read as a definition.

    Attributes:
        key: the plain name of what it defines, without indices.
        whole: the same with its scripts: "h_t".
        items: its indices.
        free: those names of its indices and arguments that run over a range.
        arguments: the names of the arguments, if it defines a function.
        left: the left side.
        rights: the right sides; the first is the value.
        assigns: whether it gives a new value to what has one already.
        place: its place in the formula.
        squared: whether it defines a square.
    """

    key: str
    whole: str
    items: list[Node]
    free: list[str]
    arguments: list[Node]
    left: Node | None
    rights: list[Node]
    assigns: bool = False
    place: int = 0
    squared: bool = False
    symbols: set[str] = field(default_factory=set)

    @property
    def title(self) -> str:
        """The name of its value among the results."""
        return (self.whole if self.items and not self.free else self.key) or "value"

    @property
    def computed(self) -> bool:
        """Whether an index that runs over a range is no bare name, such as 2i."""
        bare = all(is_leaf(item) and key(item) in self.free for item in self.items)
        return bool(self.free) and not bare and not self.arguments


def key(node: Node) -> str:
    """Return the plain name of a node, kept on it: it is asked for often."""
    found = node.__dict__.get("_key")
    if found is None:
        found = plain(latex(node))
        object.__setattr__(node, "_key", found)
    return found


def is_leaf(node: Node) -> bool:
    """Whether a node is a name without scripts."""
    return node.kind in ("name", "word")


def names_in(node: Node) -> list[str]:
    """Return the plain names in a node, each once."""
    return list(dict.fromkeys(key(part) for part in node.walk() if is_leaf(part)))


def split(items: Node) -> list[Node]:
    """Return the indices of a script: letters side by side are one index each.

    A number before a letter, as in `2i`, stays a product.
    """
    found: list[Node] = []
    for item in items.parts if items.kind == "list" else (items,):
        letters = item.kind == "product" and item.parts[0].kind != "number"
        found += item.parts if letters else (item,)
    return found


def scripts(node: Node) -> tuple[str, list[Node], list[Node]]:
    """Take a name with scripts apart: its plain name, lower and upper indices.

    The indices of a derivative are those of both its sides; one that stands on both
    counts once.
    """
    lower: list[Node] = []
    upper: list[Node] = []
    while node.kind in ("sub", "sup"):
        if node.kind == "sub" and node.parts[1].kind == "word":
            break  # a label, such as that of `p_{\text{keep}}`
        if node.kind == "sub":
            lower = split(node.parts[1])
        else:
            upper = split(node.parts[1])
        node = node.parts[0]
    if node.kind == "derivative":
        sides = [scripts(side.parts[0]) for side in node.parts]
        bare = "/".join("d" + side[0] for side in sides)
        return bare, list(dict.fromkeys([*sides[0][1], *sides[1][1]])), upper
    return key(node), lower, upper


def definition(statement: Node, place: int, ranges: set[str]) -> Definition:
    """Read a statement.

    Args:
        statement: its tree; one without a relation defines the value "".
        place: its place in the formula.
        ranges: the plain names that run over a range.
    """
    signs = statement.text.split()
    if statement.kind != "relation" or signs[0] not in DEFINING:
        return Definition("", "", [], [], [], None, [statement], place=place)
    left, *rights = statement.parts
    target, squared = left, False
    if target.kind == "sup" and target.parts[1] == Node("number", (), "2"):
        target, squared = target.parts[0], True
    arguments: list[Node] = []
    head = target
    while head.kind in ("sub", "sup"):
        head = head.parts[0]
    if head.kind == "call":
        listed = head.parts[1]
        arguments = list(listed.parts if listed.kind == "list" else (listed,))
        outer = target if head is not target else None
        _, lower, upper = scripts(outer) if outer else ("", [], [])
        bare, *own = scripts(head.parts[0])
        lower, upper = [*own[0], *lower], [*own[1], *upper]
        whole = key(head.parts[0])
    else:
        bare, lower, upper = scripts(target)
        whole = key(target)
    if upper and not any(set(names_in(item)) & ranges for item in upper):
        bare, upper = f"{bare}^{''.join(map(key, upper))}", []
    items = [*upper, *lower]
    named = all(map(is_leaf, arguments)) and stem(target).kind in NAMED
    free = [name for item in items for name in names_in(item) if name in ranges]
    if not named:
        bare, arguments = key(stem(target)), []
    free += [key(argument) for argument in arguments if key(argument) in ranges]
    bare += "^" if upper else ""
    return Definition(
        bare,
        whole,
        items,
        list(dict.fromkeys(free)),
        arguments,
        left,
        rights,
        signs[0] == r"\leftarrow",
        place,
        squared,
    )


def apart(statement: Node) -> list[Node]:
    """Return a statement about a column of names as one about each of them."""
    if statement.kind != "relation" or statement.parts[0].kind != "pmatrix":
        return [statement]
    left, *rights = statement.parts
    return [
        statement.changed(
            parts=(
                row.parts[0],
                *(Node("sub", (r, number(n)), "", r.at) for r in rights),
            )
        )
        for n, row in enumerate(left.parts, 1)
    ]
