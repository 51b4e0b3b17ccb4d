"""What a result depends on: the definitions that code uses, those that these name, and so on, as syntax trees.

Trees know no comments, blank space, docstrings and annotations here; imported names are resolved to what they mean, so
that a definition may move to another module. `uses`, for notebooks, keeps all else: a cell may show the message of an
error. `fingerprint`, for results that take long, also leaves out what cannot change what a finished run returned:
guards (`is_guard`), locals made for guards alone or read at once, decorators that check, and what LEFT_OUT names.
"""

import ast
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from authoring.book import ROOT

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
Imports = ast.Import | ast.ImportFrom
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
Term = tuple[Any, ...]  # (kind of node, its parts...); the kinds of names are explained in Reader

FOLLOWED = ("dlbook", "benchmarks")  # definitions of these count; of authoring, which makes no number, names do
LEFT_OUT = {  # modules, and definitions and methods by the end of their name
    "run.Run.save": "writes checkpoints: an uninterrupted run never reads them",
    "run.Run.resume": "reads checkpoints; tests hold that a resumed run is bitwise the same",
    "dlbook.training.checkpoint": "writes and reads files for these two",
    "dlbook.data.store": "fetches files, whose bytes the catalogue fixes by their checksums",
    "dlbook.data.sources": "is where it fetches them from",
    "benchmarks.store.run": "chooses rows, keeps them and writes them, as they were measured",
    "benchmarks.store.load": "reads them",
}
CHECKING = {"jaxtyped", "beartype", "typechecked", "_keeps_modes"}  # decorators that can only raise, or restore
EFFECTS = {"next", "pop", "popitem", "popleft", "send", "read", "write", "seed", "manual_seed", "append", "update"}
PURE = {"len", "min", "max", "any", "all", "int", "float", "str", "bool", "set", "tuple", "list", "dict", "sorted"} | {
    *("isinstance", "range", "sum", "zip", "enumerate", "getattr", "hasattr", "type", "abs", "repr", "join"),
    *("items", "values", "keys", "numel", "dim", "tolist", "parameters", "named_parameters", "state_dict"),
}
UNREAD = {"ctx", "type_comment", "kind", "type_params"}  # fields of nodes


# --- names ------------------------------------------------------------------------------------------------------------


def imports(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield all that Python code imports, anywhere in it, by absolute imports: its name there, its dotted name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((name.asname or name.name, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((name.asname or name.name, f"{node.module}.{name.name}") for name in node.names)


def imported(code: str) -> list[str]:
    """Return the dotted name of all that Python code imports, anywhere in it."""
    return [dotted for _, dotted in imports(ast.parse(code))]


def dotted_name(node: ast.AST) -> str:
    """Return `a.b.c` for such a chain of attributes, else nothing."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (front := dotted_name(node.value)):
        return f"{front}.{node.attr}"
    return ""


def called(node: ast.AST) -> set[str]:
    """Return the last part of the name of every function that is called in some code."""
    return {dotted_name(call.func).split(".")[-1] or "?" for call in ast.walk(node) if isinstance(call, ast.Call)} | {
        call.func.attr for call in ast.walk(node) if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)
    }


# --- what cannot change a result --------------------------------------------------------------------------------------


def is_harmless(node: ast.AST) -> bool:
    """Whether evaluating an expression changes nothing but names that it binds, as far as the names of calls tell."""
    if any(isinstance(part, ast.Yield | ast.YieldFrom | ast.Await) for part in ast.walk(node)):
        return False
    return not any(name in EFFECTS or name.endswith("_") or name.startswith("rand") for name in called(node))


def is_guard(node: ast.stmt) -> bool:
    """Whether a statement can only raise: if or for without else that ends in it, an assertion, a call of check_…."""
    if isinstance(node, ast.Assert):
        return is_harmless(node.test)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        name = dotted_name(node.value.func).split(".")[-1]
        return name.startswith(("check_", "_check_")) and is_harmless(node.value)
    if not isinstance(node, ast.If | ast.For) or node.orelse:
        return False
    if not node.body:  # it held nothing but guards; a loop may use up what it goes through
        return is_harmless(node.test) if isinstance(node, ast.If) else isinstance(node.iter, ast.Tuple | ast.List)
    if not isinstance(node.body[-1], ast.Raise):
        return False
    leaves = ast.Return | ast.Break | ast.Continue | ast.Yield | ast.YieldFrom
    return is_harmless(node.test if isinstance(node, ast.If) else node.iter) and not any(
        isinstance(part, leaves) for part in ast.walk(node)
    )


class Plain(ast.NodeTransformer):
    """Take docstrings out of a tree and, unless `whole`, all else that cannot change a result."""

    def __init__(self, whole: bool):
        self.whole, self.caught, self.in_class = whole, False, False
        self.read: Counter[str] = Counter()  # how often each name is read in the function around

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, ast.Pass):
            return None
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            return None
        outside, before = self.in_class, reads(node)
        if isinstance(node, Definition):
            self.in_class = isinstance(node, ast.ClassDef)
        node = super().visit(node)
        self.in_class = outside
        if not self.whole and not self.caught and isinstance(node, ast.stmt) and is_guard(node):
            bound = {part.target.id for part in ast.walk(node) if isinstance(part, ast.NamedExpr)}
            return None if all(before[name] == self.read[name] for name in bound) else node
        return node

    def visit_Try(self, node: ast.Try) -> ast.Try:
        """Keep guards whose error may be caught."""
        outside, self.caught = self.caught, self.caught or bool(node.handlers)
        self.generic_visit(node)
        self.caught = outside
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        """Drop decorators that only check, and what was made for guards alone."""
        around, before = self.read, reads(node)
        self.read = around or before
        self.generic_visit(node)
        self.read = around
        node.returns = None
        if not self.whole:
            node.decorator_list = [part for part in node.decorator_list if not CHECKING & {*names_in(part)}]
            drop_unused(node, {*before})
            inline(node)
        return node

    def visit_Raise(self, node: ast.Raise) -> ast.Raise:
        """Keep the kind of an error, not its words."""
        if not self.whole and isinstance(node.exc, ast.Call):
            node.exc, node.cause = node.exc.func, None
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        """Forget its annotation."""
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        """Forget what an annotation says; in a class, not that it is there, which makes a field of a dataclass."""
        self.generic_visit(node)
        if "ClassVar" in names_in(node.annotation):
            return node
        if not self.in_class:
            return node.value and ast.Assign([node.target], node.value)
        node.annotation = ast.Constant(...)
        return node


def reads(node: ast.AST) -> Counter[str]:
    """Count how often each name is read in some code."""
    names = [part for part in ast.walk(node) if isinstance(part, ast.Name)]
    return Counter(part.id for part in names if isinstance(part.ctx, ast.Load))


def names_in(node: ast.AST) -> list[str]:
    """Return all names and attributes in some code."""
    parts = list(ast.walk(node))
    return [part.id for part in parts if isinstance(part, ast.Name)] + [
        part.attr for part in parts if isinstance(part, ast.Attribute)
    ]


def drop_unused(function: ast.FunctionDef, read_before: set[str]) -> None:
    """Take out assignments of names that only guards read, if what they compute has no effect of its own."""

    class Drop(ast.NodeTransformer):
        def visit_Assign(self, node: ast.Assign) -> ast.Assign | None:
            made = {part.id for target in node.targets for part in ast.walk(target) if isinstance(part, ast.Name)}
            plain = all(isinstance(part, ast.Name | ast.Tuple) for part in node.targets) and made <= unused
            return None if plain and called(node.value) <= PURE and is_harmless(node.value) else node

    while True:
        parts = [part for part in ast.walk(function) if isinstance(part, ast.Name)]
        shared = [part.names for part in ast.walk(function) if isinstance(part, ast.Global | ast.Nonlocal)]
        unused = {part.id for part in parts if not_read(part)} & read_before - {*reads(function)}.union(*shared)
        Drop().visit(function)
        if len([part for part in ast.walk(function) if isinstance(part, ast.Name)]) == len(parts):
            return


def inline(function: ast.FunctionDef) -> None:
    """Put what a local is set to in the place where it is read, if that is one place, and comes next in any case."""
    parts = [part for part in ast.walk(function) if isinstance(part, ast.Name | ast.arg)]
    bound = Counter(part.arg if isinstance(part, ast.arg) else part.id for part in parts if not_read(part))
    shared = [part.names for part in ast.walk(function) if isinstance(part, ast.Global | ast.Nonlocal)]
    once = {name for name, count in reads(function).items() if count == bound[name] == 1}.difference(*shared)
    for owner in ast.walk(function):
        for body in (getattr(owner, name, None) for name in ("body", "orelse", "finalbody")):
            n = 0
            while isinstance(body, list) and n + 1 < len(body):
                match body[n]:
                    case ast.Assign(targets=[ast.Name(id=name)], value=value) if name in once:
                        if is_harmless(value) and read_first(start_of(body[n + 1]), name):
                            Put(name, value).visit(body[n + 1])
                            del body[n]
                            n = max(n - 2, -1)
                n += 1


class Put(ast.NodeTransformer):
    """Put an expression where a name is read."""

    def __init__(self, name: str, value: ast.expr):
        self.name, self.value = name, value

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self.value if node.id == self.name and not not_read(node) else node


def start_of(node: ast.stmt) -> ast.expr | None:
    """Return the expression that a statement begins with."""
    match node:
        case ast.Assign(value=value) | ast.Return(value=value) | ast.Expr(value=value):
            return value
        case ast.For(iter=value) | ast.If(test=value) | ast.AugAssign(target=ast.Name(), value=value):
            return value
        case ast.With(items=[ast.withitem(context_expr=value), *_]):
            return value
    return None


def read_first(node: ast.AST | None, name: str) -> bool | None:
    """Whether an expression always reads a name before it calls anything; None if it neither reads it nor calls."""
    match node:
        case ast.Name():
            return True if node.id == name else None
        case None | ast.Constant():
            return None
        case ast.BoolOp(values=[first, *_]) | ast.IfExp(test=first):
            return read_first(first, name) or False
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            return read_first(node.generators[0].iter, name) or False
        case ast.Call():
            parts = [node.func, *node.args, *node.keywords]
        case ast.Dict():
            parts = [part for pair in zip(node.keys, node.values, strict=True) for part in pair if part]
        case ast.Attribute() | ast.Subscript() | ast.BinOp() | ast.UnaryOp() | ast.Compare() | ast.Slice():
            parts = list(ast.iter_child_nodes(node))
        case ast.Tuple() | ast.List() | ast.Set() | ast.Starred() | ast.keyword() | ast.JoinedStr():
            parts = list(ast.iter_child_nodes(node))
        case ast.FormattedValue() | ast.operator() | ast.unaryop() | ast.cmpop() | ast.expr_context():
            parts = list(ast.iter_child_nodes(node))
        case _:
            return False
    for part in parts:
        if (found := read_first(part, name)) is not None:
            return found
    return False if isinstance(node, ast.Call) else None


# --- modules ----------------------------------------------------------------------------------------------------------


class Module:
    """A module: what it imports, and the statements at its top by the names that they define ("" for none)."""

    def __init__(self, text: str, whole: bool):
        tree = ast.parse(text)
        self.imports = dict(imports(tree))
        self.defined: dict[str, list[ast.stmt]] = {}
        for node in Plain(whole).visit(tree).body:
            if isinstance(node, Imports) or is_main(node):
                continue
            bound = {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and not_read(part)}
            for name in [node.name] if isinstance(node, Definition) else bound or {""}:
                self.defined.setdefault(name, []).append(node)


def not_read(name: ast.Name | ast.arg) -> bool:
    """Whether a name is bound where it stands."""
    return isinstance(name, ast.arg) or not isinstance(name.ctx, ast.Load)


def is_main(node: ast.stmt) -> bool:
    """Whether a statement is `if __name__ == "__main__":` or `if TYPE_CHECKING:`."""
    return isinstance(node, ast.If) and bool({"__name__", "TYPE_CHECKING"} & {*names_in(node.test)})


module_of = cache(Module)


class Package:
    """All modules below a folder whose definitions count, and perhaps one more file, as the module `script`."""

    def __init__(self, root: Path = ROOT, whole: bool = False, script: str | None = None):
        self.whole, self.texts = whole, {} if script is None else {"script": script}
        for folder in FOLLOWED:
            for path in (root / folder).rglob("*.py"):
                name = ".".join(path.relative_to(root).with_suffix("").parts)
                self.texts[name.removesuffix(".__init__")] = path.read_text(encoding="utf-8")
        self.read = cache(self._read)

    def module(self, name: str) -> Module:
        """Return a module by its dotted name."""
        return module_of(self.texts[name], self.whole)

    def find(self, dotted: str) -> Term:
        """Return what an absolute dotted name means: a name of a library, a definition or a module of ours."""
        parts = dotted.split(".")
        modules = [".".join(parts[:n]) for n in range(len(parts), 0, -1)]
        module = next((name for name in modules if name in self.texts), None)
        if module is None:
            return ("library", parts[-1] if parts[0] in ("authoring", "tools") else dotted)
        rest = parts[module.count(".") + 1 :]
        if not rest or rest == ["*"]:
            return ("module", module)
        source = self.module(module)
        if rest[0] not in source.defined and rest[0] in source.imports:
            return self.find(".".join([source.imports[rest[0]], *rest[1:]]))
        found: Term = ("package", f"{module}.{rest[0]}")
        for name in rest[1:]:
            owner = self.family(found[1]) if found[0] == "package" else ""
            found = ("Attribute", found, ("attribute", owner, name))
        return found

    def statements(self, name: str) -> list[ast.stmt]:
        """Return the statements that make a definition."""
        module, _, last = name.rpartition(".")
        return self.module(module).defined.get(last, [])

    def family(self, name: str) -> str:
        """Return the topmost class of ours from which a class inherits; nothing for what is no class."""
        node = next((node for node in self.statements(name) if isinstance(node, ast.ClassDef)), None)
        if node is None:
            return ""
        source = self.module(name.rpartition(".")[0])
        for base in filter(None, map(dotted_name, node.bases)):
            found = resolve(self, name.rpartition(".")[0], source, base)
            if found[0] == "package" and (above := self.family(found[1])):
                return above
        return name

    def _read(self, name: str) -> dict[str, list[Term]]:
        """Return the terms of a definition, by method where it is a class ("" for the rest of it)."""
        module = name.rpartition(".")[0]
        units: dict[str, list[Term]] = {"": []}
        for node in self.statements(name):
            if not isinstance(node, ast.ClassDef):
                units[""].append(Reader(self, module).statement(node))
                continue
            methods = [part for part in node.body if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)]
            units[""].append(Reader(self, module, name).head(node))
            for method in methods:
                if not self.is_left_out(f"{name}.{method.name}"):
                    units.setdefault(method.name, []).append(Reader(self, module, name).statement(method))
        return units

    def is_left_out(self, name: str) -> bool:
        """Whether a definition or a method does not count."""
        return not self.whole and (name.rpartition(".")[0] in LEFT_OUT or name.endswith(tuple(LEFT_OUT)))


def resolve(package: Package, module: str, source: Module, dotted: str) -> Term:
    """Return what a dotted name means at the top of a module."""
    parts = dotted.split(".")
    for n in range(len(parts), 0, -1):
        if (front := ".".join(parts[:n])) in source.imports:
            return package.find(".".join([source.imports[front], *parts[n:]]))
    if parts[0] in source.defined:
        return package.find(f"{module}.{dotted}")
    return ("library", dotted)  # of Python itself


# --- terms ------------------------------------------------------------------------------------------------------------


class Reader:
    """Write a statement as a term, in which each name says what it is.

    ("local", scope, name); ("package", definition), ("module", name), ("library", name);
    ("attribute", class or "" where that is not known, name); ("keyword", function or "", name); ("value", literal).
    """

    def __init__(self, package: Package, module: str, owner: str = ""):
        self.package, self.module, self.owner = package, module, owner
        self.source = package.module(module)
        self.scopes: list[tuple[int, set[str]]] = []
        self.count, self.me = 0, ""

    def head(self, node: ast.ClassDef) -> Term:
        """Write a class without its methods."""
        body = [part for part in node.body if not isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)]
        self.me = "in the class"
        return ("ClassDef", *map(self.term, (node.bases, node.keywords, node.decorator_list, body)))

    def statement(self, node: ast.stmt) -> Term:
        """Write a statement at the top of a module, or a method."""
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if self.owner and (names := node.args.posonlyargs + node.args.args):
                self.me = names[0].arg
            return self.function(node, ())
        return self.term(node)

    def term(self, node: Any) -> Any:
        """Write a node, a list of nodes or what stands in one."""
        match node:
            case list():
                return ("list", *(self.term(part) for part in node if not isinstance(part, Imports)))
            case ast.Name() | ast.Attribute():
                return self.name(node)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                return self.function(node, self.local(node.name))
            case ast.Lambda():
                return self.function(node, ())
            case ast.ClassDef():
                number, self.count = self.count, self.count + 1
                around = map(self.term, (node.bases, node.keywords, node.decorator_list))
                return ("ClassDef", self.local(node.name), *around, self.inside(node.body, set(), number))
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                return self.comprehension(node)
            case ast.Call():
                return self.call(node)
            case ast.Constant():
                return ("value", repr(node.value))
            case ast.ExceptHandler():
                name = node.name and self.local(node.name)
                return ("ExceptHandler", self.term(node.type), name, self.term(node.body))
            case ast.AST():
                fields = [field for field in node._fields if field not in UNREAD]
                return (type(node).__name__, *(self.term(getattr(node, field, None)) for field in fields))
        return None if node is None else ("value", repr(node))

    def local(self, name: str) -> Term:
        """Return a name in the scope where it is bound, or what it means outside of functions."""
        for number, bound in reversed(self.scopes):
            if name in bound:
                return ("local", number, name)
        if self.me == "in the class" and name in self.fields():
            return ("attribute", self.package.family(self.owner), name)
        return resolve(self.package, self.module, self.source, name)

    def fields(self) -> set[str]:
        """Return the names that the body of the class binds."""
        node = next(part for part in self.package.statements(self.owner) if isinstance(part, ast.ClassDef))
        return bound_in(node.body)

    def name(self, node: ast.Name | ast.Attribute) -> Term:
        """Resolve a name or a chain of attributes."""
        dotted = dotted_name(node)
        front = dotted.partition(".")[0]
        if isinstance(node, ast.Name):
            return self.local(node.id)
        if front and self.local(front)[0] not in ("local", "attribute"):
            return resolve(self.package, self.module, self.source, dotted)
        value = self.term(node.value)
        mine = value[0] == "local" and value[1:] == (0, self.me)
        return ("Attribute", value, ("attribute", self.package.family(self.owner) if mine else "", node.attr))

    def call(self, node: ast.Call) -> Term:
        """Write a call; its keywords are parameters of the function, also through functools.partial."""
        function, arguments = self.term(node.func), self.term(node.args)
        callee = arguments[1] if function == ("library", "functools.partial") and len(arguments) > 1 else function
        owner = callee[1] if callee[0] in ("package", "library") else ""
        owner = owner if callee[0] == "package" or not owner else f"library {owner}"
        keywords = [
            (keyword.arg and ("keyword", owner, keyword.arg), self.term(keyword.value)) for keyword in node.keywords
        ]
        return ("Call", function, arguments, ("list", *(("list", *keyword) for keyword in keywords)))

    def function(self, node: Any, name: Term) -> Term:
        """Write a function: its defaults belong to the scope around it."""
        number, self.count = self.count, self.count + 1  # a method's own scope is 0, whatever its defaults hold
        arguments, around = node.args, [getattr(node, "decorator_list", []), node.args.defaults, node.args.kw_defaults]
        outside = [self.term(part) for part in around]
        listed = arguments.posonlyargs + arguments.args
        names = [*listed, *arguments.kwonlyargs, *filter(None, (arguments.vararg, arguments.kwarg))]
        counts = (len(arguments.posonlyargs), len(listed), bool(arguments.vararg), bool(arguments.kwarg))
        body = [node.body] if isinstance(node, ast.Lambda) else node.body
        inside = self.inside(body, {part.arg for part in names}, number, [part.arg for part in names])
        return ("FunctionDef", name, ("value", repr(counts)), *outside, inside)

    def inside(self, body: list[Any], bound: set[str], number: int, first: Iterable[str] = ()) -> Term:
        """Write what stands in a scope of its own, the names `first` before all else."""
        self.scopes.append((number, bound | bound_in(body)))
        found = ("scope", *(self.local(name) for name in first), self.term(body))
        self.scopes.pop()
        return found

    def comprehension(self, node: Any) -> Term:
        """Write a comprehension, whose first iterable belongs to the scope around it."""
        number, self.count = self.count, self.count + 1
        first = self.term(node.generators[0].iter)
        values = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        rest: list[Any] = []
        for n, generator in enumerate(node.generators):
            rest += [generator.target, *([generator.iter] if n else []), generator.ifs]
        targets = {
            part.id
            for generator in node.generators
            for part in ast.walk(generator.target)
            if isinstance(part, ast.Name)
        }
        return (type(node).__name__, first, self.inside([*rest, *values], targets, number))


def bound_in(body: Iterable[Any]) -> set[str]:
    """Return the names that some code binds in its own scope, imports aside."""
    found: set[str] = set()
    outside: set[str] = set()
    waiting = list(body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += node
        elif isinstance(node, Definition):
            found.add(node.name)
            waiting += node.decorator_list
        elif isinstance(node, Comprehension):
            found |= {part.target.id for part in ast.walk(node) if isinstance(part, ast.NamedExpr)}
        elif isinstance(node, ast.Global):
            outside |= {*node.names}
        elif isinstance(node, ast.AST) and not isinstance(node, ast.Lambda):
            if isinstance(node, ast.Name) and not_read(node):
                found.add(node.id)
            if isinstance(node, ast.ExceptHandler) and node.name:
                found.add(node.name)
            waiting += ast.iter_child_nodes(node)
    return found - outside


def names_of(term: Any, kind: str) -> Iterator[Term]:
    """Yield all names of a kind in a term."""
    if isinstance(term, tuple):
        if term[:1] == (kind,):
            yield term
        else:
            for part in term:
                yield from names_of(part, kind)


def written(term: Any, short: dict[str, str]) -> str:
    """Write a term as text, the same in every version of Python; `short` are the names of definitions."""
    if not isinstance(term, tuple):
        return "" if term is None else str(term)
    kind, *parts = term or ("list",)
    if kind in ("local", "library", "module", "attribute", "keyword", "value"):
        return str(parts[-1])
    if kind == "package":
        return short.get(parts[0], parts[0].rpartition(".")[2])
    texts = [written(part, short) for part in parts]
    if kind == "Call":
        return f"{texts[0]}({', '.join(filter(None, (texts[1], texts[2])))})"
    if kind == "Attribute":
        return f"{texts[0]}.{texts[1]}"
    return ", ".join(texts) if kind == "list" else f"{kind}[{', '.join(texts)}]"


# --- what counts ------------------------------------------------------------------------------------------------------


def follow(package: Package, roots: Iterable[Term]) -> list[str]:
    """Return the definitions that some names lead to; a module that is used as such counts as a whole."""
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        kind, name, *_ = waiting.pop()
        if kind == "Attribute":
            waiting.append(name)
        elif kind == "module":
            waiting += [("package", f"{name}.{part}") for part in package.module(name).defined]
        elif kind == "package" and name not in found and not package.is_left_out(name):
            found.add(name)
            parts = name.split(".")[:-1]
            modules = [".".join(parts[: n + 1]) for n in range(len(parts))]
            waiting += [("package", f"{module}.") for module in modules if module in package.texts]
            for terms in package.read(name).values():
                waiting += [leaf for term in terms for kind in ("package", "module") for leaf in names_of(term, kind)]
    return sorted(found)


def describe(package: Package, roots: Iterable[Term]) -> list[str]:
    """Return definitions as text, sorted, a method by itself; two of one name are told apart by their modules."""
    found = follow(package, roots)
    lasts = [name.rpartition(".")[2] for name in found]
    short = {
        name: last if not last or lasts.count(last) == 1 else name for name, last in zip(found, lasts, strict=True)
    }
    return sorted(
        f"{short[name]}{unit and '.'}{unit} = {written(term, short)}"
        for name in found
        for unit, terms in package.read(name).items()
        for term in terms
    )


def uses(codes: Iterable[str], root: Path = ROOT) -> list[str]:
    """Return the definitions of the package that some pieces of code use, guards and all, as text."""
    package = Package(root, whole=True)
    return describe(package, [package.find(name) for code in codes for name in imported(code)])


def fingerprint(script: Path, root: Path = ROOT) -> str:
    """Return a fingerprint of a script and of all of ours that it uses, without what cannot change its results."""
    package = Package(root, script=script.read_text(encoding="utf-8"))
    whole = "\n".join(describe(package, [("module", "script")]))
    return hashlib.sha256(whole.encode()).hexdigest()[:16]
