"""What a result depends on: the definitions that code uses, those that these name, and so on, as syntax trees.

Trees know no comments, blank space, docstrings and annotations; imported names are resolved to what they mean, so that
a definition may move to another module. For that, a module must import a name with one meaning, by an absolute import
of its own, and not define it too. What modules do when they are imported counts, in its order in each module.

`uses`, for notebooks, keeps all else but ALWAYS_LEFT_OUT: a cell may show the message of an error. `fingerprint`, for
results that take long, adds the checksums of the data that is fetched, and leaves out what cannot change what a
finished run returned: what LEFT_OUT names, the words of errors, what only these and guards read, and guards, which are

- `assert`, and calls of functions check_… or _check_… of ours;
- `if` and `for` around guards, or around statements that end in a `raise` of one of ERRORS and leave in no other way;

if they change nothing, and what they bind is read in them alone. Code changes nothing if it calls only functions whose
names are in PURE, and functions of ours that change nothing; if it assigns to local names only; and if it does not go
through what may be gone through once only: an argument annotated as Iterable and the like, or the result of a call
that is not in PURE. Attributes, operators and `len` are taken to change nothing, and libraries to catch no error of
ours. Where one of ours may catch the error of a guard, anywhere in what is used, all guards count, and all words.
"""

import ast
import hashlib
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from authoring.book import ROOT

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
Term = tuple[Any, ...]  # (kind of node, its parts...); the kinds of names are explained in Reader

FOLLOWED = ("dlbook", "benchmarks")  # definitions of these count; of authoring, which makes no number, names do
FETCHING = {"dlbook.data.store": "fetches files, whose checksums count", "dlbook.data.sources": "knows their sources"}
ALWAYS_LEFT_OUT = {**FETCHING, "dlbook._float64": "does nothing on a CPU, where the book is made"}
LEFT_OUT = {  # modules, and definitions and methods by the end of their name
    "run.Run.save": "writes checkpoints: an uninterrupted run never reads them",
    "run.Run.resume": "reads checkpoints; tests hold that a resumed run is bitwise the same",
    "dlbook.training.checkpoint": "writes and reads files for these two",
    **ALWAYS_LEFT_OUT,
    "benchmarks.store.run": "chooses rows, keeps them and writes them, as they were measured",
    "benchmarks.store.load": "reads them",
    "benchmarks.store.fresh": "reads them, for rows that depend on others of the same code",
}
FETCHED = re.compile(r"""\bfetch\((JoinedStr\[\[)?["']([\w-]+)["']""")  # a name, or what a computed one begins with
ERRORS = {"ValueError", "TypeError", "FloatingPointError", "PermissionError"}  # of guards: none ends a loop or the like
OTHERS = {"IndexError", "KeyError", "RuntimeError", "FileNotFoundError"}  # a handler of these catches none of them
STREAMS = {"iter", "map", "zip", "filter", "enumerate", "reversed"}  # give what can be gone through once
THROUGH = """iter map zip enumerate reversed list tuple set dict frozenset sorted Counter min max any all sum prod join
    fromkeys"""  # go through their arguments
PURE_NAMES = """isinstance len type hasattr getattr callable id repr range abs round int float bool str chr ord index
    items values keys split strip startswith endswith numel dim size tolist item nonzero flatten gather long modules
    parameters argmin amax aminmax as_tensor arange equal isqrt isfinite isnan isinf isposinf isneginf isnat diff device
    flatnonzero issubdtype datetime64 timedelta64 is_floating_point is_complex is_contiguous is_compiling category
    is_autocast_enabled signature is_dir exists resolve access Path compile maketrans no_grad inference_mode TypeVar
    dataclass field property staticmethod classmethod cache wraps overload contextmanager"""
PURE = ERRORS | {*THROUGH.split(), *PURE_NAMES.split()}
OPTIONS = {"out", "inplace", "key"}  # keywords with which these are not
CONTEXTS = {"no_grad", "inference_mode", "open", "ProcessPoolExecutor", "ThreadPoolExecutor"}  # these catch no error
LOUD = (  # kinds of nodes that may change something
    ast.AugAssign | ast.Delete | ast.With | ast.AsyncWith | ast.AsyncFor | ast.AsyncFunctionDef | ast.Match
    | ast.Global | ast.Nonlocal | ast.Import | ast.ImportFrom | ast.Yield | ast.YieldFrom | ast.Await
)  # fmt: skip
ONCE = re.compile(r"\b(Iterable|Iterator|Generator)\b")  # an argument that may be gone through once only
SEEN = {"__init__", "__post_init__", "__call__", "__iter__"}  # methods whose call shows in the code, unlike operators
LOOKERS = {"locals", "vars", "dir", "eval", "exec"}  # look at names
MAIN = "__name__ == '__main__'"
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


def last(dotted: str) -> str:
    """Return the last part of a dotted name."""
    return dotted.rpartition(".")[2]


def reads(node: ast.AST) -> Counter[str]:
    """Count how often each name is read in some code, or declared to be that of another scope."""
    found: Counter[str] = Counter()
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load):
            found[part.id] += 1
        elif isinstance(part, ast.Global | ast.Nonlocal):
            found.update(part.names)
    return found


def is_guard(node: ast.stmt) -> bool:
    """Whether a statement looks like a guard: whether it changes something is another question, for `Reader.quiet`."""
    if isinstance(node, ast.Assert):
        return True
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return last(dotted_name(node.value.func)).startswith(("check_", "_check_"))
    if isinstance(node, ast.For) and not node.orelse:
        return only_raises(node.body)
    return isinstance(node, ast.If) and only_raises(node.body) and (not node.orelse or only_raises(node.orelse))


def only_raises(body: list[ast.stmt]) -> bool:
    """Whether statements end in a raise, and in no other way, or are guards."""
    leaves = ast.Return | ast.Break | ast.Continue | ast.Yield | ast.YieldFrom
    parts = [part for node in body for part in ast.walk(node)]
    ends = isinstance(body[-1], ast.Raise) and not any(isinstance(part, leaves) for part in parts)
    return ends or all(map(is_guard, body))


def own(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield the nodes of a scope, without those of functions, classes and comprehensions in it."""
    waiting = list(body)
    while waiting:
        yield (node := waiting.pop())
        if isinstance(node, Definition):
            waiting += node.decorator_list
        elif not isinstance(node, Comprehension | ast.Lambda):
            waiting += ast.iter_child_nodes(node)


def bound_in(body: Iterable[ast.AST]) -> set[str]:
    """Return the names that some code binds in its own scope, imports aside."""
    found: set[str] = set()
    elsewhere: set[str] = set()
    for node in own(body):
        if isinstance(node, Definition) or (isinstance(node, ast.ExceptHandler) and node.name):
            found.add(node.name)  # type: ignore[arg-type]
        elif isinstance(node, Comprehension):
            found |= {part.target.id for part in ast.walk(node) if isinstance(part, ast.NamedExpr)}
        elif isinstance(node, ast.Global | ast.Nonlocal):
            elsewhere |= {*node.names}
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
    return found - elsewhere


# --- modules ----------------------------------------------------------------------------------------------------------


class Module:
    """A module: what it imports, the statements at its top, and those by the names that they bind."""

    def __init__(self, name: str, text: str, lenient: bool):
        tree = ast.parse(text)
        self.imports: dict[str, str] = {}
        for bound, dotted in imports(tree):
            if self.imports.setdefault(bound, dotted) != dotted and not lenient:
                raise ValueError(f"{name} must import {bound} with one meaning: got {self.imports[bound]} and {dotted}")
            self.imports[bound] = dotted
            if "." in bound:
                self.imports.setdefault(bound.partition(".")[0], bound.partition(".")[0])
        self.body = [node for node in tree.body if not is_nothing(node) and not is_if(node, "TYPE_CHECKING")]
        self.defined: dict[str, list[ast.stmt]] = {}
        for node in self.body:
            for bound in ["main"] if is_if(node, MAIN) else bound_in([node]):
                self.defined.setdefault(bound, []).append(node)
        relative = any(isinstance(node, ast.ImportFrom) and node.level for node in ast.walk(tree))
        if not lenient and (relative or "*" in self.imports or {*self.imports} & {*self.defined}):
            raise ValueError(f"{name} must import names one by one, by absolute imports, and not define them too")


def is_nothing(node: ast.AST) -> bool:
    """Whether a statement imports, or does nothing, as docstrings do."""
    text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    return text or isinstance(node, ast.Import | ast.ImportFrom | ast.Pass)


def is_if(node: ast.stmt, test: str) -> bool:
    """Whether a statement is an `if` with such a test and no else."""
    return isinstance(node, ast.If) and ast.unparse(node.test) == test and not node.orelse


def methods_of(node: ast.ClassDef) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Return the methods of a class whose names nothing else in it binds."""
    functions = [part for part in node.body if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)]
    other = bound_in(part for part in node.body if part not in functions)
    return [part for part in functions if part.name not in other]


module_of = cache(Module)


def sources(root: Path, folders: Iterable[str] = FOLLOWED) -> tuple[tuple[str, str], ...]:
    """Return the dotted name and the text of each module below some folders."""
    paths = [path for folder in folders for path in sorted((root / folder).rglob("*.py"))]
    names = [".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__") for path in paths]
    return tuple(zip(names, [path.read_text(encoding="utf-8") for path in paths], strict=True))


class Package:
    """All modules below a folder whose definitions count, and perhaps one more file, as the module `script`."""

    def __init__(self, root: Path = ROOT, whole: bool = False, script: str | None = None, guards: bool = False):
        self.root, self.whole, self.guards = root, whole, whole or guards  # whether all counts; whether guards do
        self.catches = False  # whether what was read may catch the error of a guard
        self.texts = ({} if script is None else {"script": script}) | dict(sources(root))
        self.methods = {*re.findall(r"^ +(?:async )?def (\w+)", "\n".join(self.texts.values()), re.M)}
        self.read, self.changes_nothing = cache(self._read), cache(self._changes_nothing)
        self.busy: set[str] = set()

    def module(self, name: str) -> Module:
        """Return a module by its dotted name."""
        return module_of(name, self.texts[name], name == "script" and self.whole)

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
        module, _, title = name.rpartition(".")
        return self.module(module).defined.get(title, [])

    def acts(self, module: str) -> list[ast.stmt]:
        """Return the statements at the top of a module that may change something, in order; all of a script."""
        source, reader = self.module(module), Reader(self, module)
        values = [name for name, nodes in source.defined.items() if not all(isinstance(n, Definition) for n in nodes)]
        doubt = any(len(source.defined[name]) > 1 for name in values)
        part = [node for node in source.body if module == "script" and not isinstance(node, Definition)]
        return [n for n in source.body if not is_if(n, MAIN) and (doubt or n in part or not reader.quiet(n))]

    def bases(self, name: str) -> list[str]:
        """Return the classes of ours from which a class inherits itself."""
        module = name.rpartition(".")[0]
        nodes = [node for node in self.statements(name) if isinstance(node, ast.ClassDef)]
        found = [resolve(self, module, dotted_name(base)) for node in nodes for base in node.bases]
        return [base[1] for base in found if base[0] == "package"]

    def family(self, name: str) -> str:
        """Return the topmost class of ours from which a class inherits; nothing for what is no class."""
        if not any(isinstance(node, ast.ClassDef) for node in self.statements(name)):
            return ""
        return next(filter(None, map(self.family, self.bases(name))), name)

    def _read(self, name: str) -> dict[str, list[Term]]:
        """Return the terms of a definition, by method where it is a class ("" for the rest of it)."""
        module, _, title = name.rpartition(".")
        if not title:
            acts = [Reader(self, module).statement(node) for node in self.acts(module)]
            return {"": [("list", *acts)] if acts else []}
        units: dict[str, list[Term]] = {"": []}
        for node in self.statements(name):
            if not isinstance(node, ast.ClassDef):
                units[""].append(Reader(self, module).statement(node))
                continue
            methods = methods_of(node)
            units[""].append(Reader(self, module, name, node).head(node))
            for method in methods:
                if not self.is_left_out(f"{name}.{method.name}"):
                    units.setdefault(method.name, []).append(Reader(self, module, name, node).statement(method))
        return units

    def _changes_nothing(self, name: str) -> bool:
        """Whether a definition is a function that changes nothing when it is called."""
        nodes = [] if name in self.busy else self.statements(name)
        if len(nodes) != 1 or not isinstance(nodes[0], ast.FunctionDef) or nodes[0].decorator_list:
            return False
        self.busy.add(name)
        reader = Reader(self, name.rpartition(".")[0])
        reader.enter(nodes[0], parameters(nodes[0]))
        reader.once = once(nodes[0], local=False)
        found = all(map(reader.quiet, nodes[0].body))
        self.busy.remove(name)
        return found

    def imported_with(self, name: str) -> list[str]:
        """Return the modules of ours that are imported with that of a definition: those above it, and its imports."""
        module = name.rpartition(".")[0]
        dotted = [module, *self.module(module).imports.values()]
        parts = [name.split(".") for name in dotted]
        return sorted({".".join(part[: n + 1]) for part in parts for n in range(len(part))} & {*self.texts})

    def is_left_out(self, name: str) -> bool:
        """Whether a definition or a method does not count."""
        left_out = ALWAYS_LEFT_OUT if self.whole else LEFT_OUT
        return name.rpartition(".")[0] in left_out or f".{name}".endswith(tuple(f".{left}" for left in left_out))


def resolve(package: Package, module: str, dotted: str) -> Term:
    """Return what a dotted name means at the top of a module."""
    source, parts = package.module(module), dotted.split(".")
    for n in range(len(parts), 0, -1):
        if (front := ".".join(parts[:n])) in source.imports:
            return package.find(".".join([source.imports[front], *parts[n:]]))
    if parts[0] in source.defined:
        return package.find(f"{module}.{dotted}")
    return ("library", dotted)  # of Python itself


# --- terms ------------------------------------------------------------------------------------------------------------


class Scope(NamedTuple):
    """A scope: its number in the definition, the names that it binds, those declared global, whether a class has it."""

    number: int
    names: set[str]
    outside: set[str] = set()
    of_class: bool = False


def parameters(node: Any) -> list[ast.arg]:
    """Return the parameters of a function, in order."""
    arguments = node.args
    starred = filter(None, (arguments.vararg, arguments.kwarg))
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *starred]


def once(node: Any, local: bool = True) -> set[str]:
    """Return the names in a function whose values one may go through only once: parameters, and `local` names."""
    listed = [part for part in parameters(node) if part not in (node.args.vararg, node.args.kwarg)]
    found = {part.arg for part in listed if part.annotation is None or ONCE.search(ast.unparse(part.annotation))}
    for part in ast.walk(node) if local else ():
        if isinstance(part, ast.Assign | ast.AnnAssign | ast.NamedExpr):
            call, targets = part.value, part.targets if isinstance(part, ast.Assign) else [part.target]
            name = function_name(call.func) if isinstance(call, ast.Call) else ""
            if isinstance(call, ast.GeneratorExp) or (name and (name in STREAMS or name not in PURE)):
                found |= bound_in(targets)
    return found


def function_name(node: ast.expr) -> str:
    """Return the last part of the name of what is called."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


class Reader:
    """Write a statement as a term, in which each name says what it is.

    ("local", scope, name); ("package", definition), ("module", name), ("library", name);
    ("attribute", class or "" where that is not known, name); ("value", literal);
    ("keyword", function, or "library" and its name, or "." and a method's, or "", name).
    """

    def __init__(self, package: Package, module: str, owner: str = "", node: ast.ClassDef | None = None):
        self.package, self.module, self.owner = package, module, owner
        self.family = package.family(owner) if owner else ""
        self.fields = bound_in(node.body) if node else set()  # seen in the body of the class alone
        self.scopes: list[Scope] = []
        self.count, self.me = 0, ""
        self.caught = self.hidden = False  # in a try, or a with; in a method that is called without a sign of a call
        self.reads: Counter[str] = Counter()  # in all of the statement
        self.gone: Counter[str] = Counter()  # in what is left out
        self.unread: set[str] = set()  # names that nothing else reads
        self.once: set[str] = set()

    def head(self, node: ast.ClassDef) -> Term:
        """Write a class without its methods."""
        methods, fields = methods_of(node), self.fields
        self.fields = set()
        around = [*map(self.term, (node.bases, node.keywords, node.decorator_list))]
        self.fields = fields
        return ("ClassDef", *around, self.term([part for part in node.body if part not in methods]))

    def statement(self, node: ast.stmt) -> Term:
        """Write a statement at the top of a module, or a method."""
        self.reads = reads(node)
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            return self.term(node)
        first = [part.arg for part in parameters(node)[:1] if self.owner]
        static = first and (first[0] in bound_in(node.body) or "staticmethod" in map(dotted_name, node.decorator_list))
        self.me = first[0] if first and not static else ""
        self.hidden = node.name.startswith("__") and node.name not in SEEN
        self.package.catches |= node.name == "__exit__" and any(map(self.swallows, ast.walk(node)))
        while True:  # what is left out may have been all that reads a name
            self.count, self.gone = 0, Counter()
            found = self.function(node, ())
            unread = {name for name, times in self.reads.items() if self.gone[name] == times}
            if unread == self.unread:
                return found
            self.unread = unread

    def term(self, node: Any) -> Any:
        """Write a node, a list of nodes or what stands in one."""
        match node:
            case list():
                return ("list", *(self.term(part) for part in node if not is_nothing(part) and not self.left_out(part)))
            case ast.Name() | ast.Attribute():
                return self.name(node)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                return self.function(node, self.local(node.name))
            case ast.Lambda():
                return self.function(node, ())
            case ast.ClassDef():
                around = map(self.term, (node.bases, node.keywords, node.decorator_list))
                scope = Scope(self.number(), bound_in(node.body), of_class=True)
                return ("ClassDef", self.local(node.name), *around, self.inside(scope, node.body))
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                return self.comprehension(node)
            case ast.Call():
                return self.call(node)
            case ast.Constant():
                return ("value", repr(node.value))
            case ast.Global() | ast.Nonlocal():
                return (type(node).__name__, *map(self.local, sorted(node.names)))
            case ast.ExceptHandler():
                name = node.name and self.local(node.name)
                return ("ExceptHandler", self.term(node.type), name, self.term(node.body))
            case ast.AnnAssign():
                return self.annotated(node)
            case ast.Raise(exc=ast.Call(func=kind)) | ast.Raise(exc=kind) if not (self.package.guards or self.caught):
                self.gone.update(reads(node) - reads(kind) if kind else ())
                return ("Raise", self.term(kind))  # the kind of an error, not its words
            case ast.Try() | ast.TryStar() | ast.With() | ast.AsyncWith():
                outside, self.caught = self.caught, self.caught or self.may_catch(node)
                found = self.plain(node)
                self.caught = outside
                return found
            case ast.AST():
                return self.plain(node)
        return None if node is None else ("value", repr(node))

    def plain(self, node: ast.AST) -> Term:
        """Write a node part by part."""
        fields = [field for field in node._fields if field not in UNREAD]
        return (type(node).__name__, *(self.term(getattr(node, field, None)) for field in fields))

    def number(self) -> int:
        """Number a scope."""
        self.count += 1
        return self.count - 1

    def local(self, name: str) -> Term:
        """Return a name in the scope where it is bound, or what it means outside of functions."""
        for scope in reversed(self.scopes):
            if name in scope.outside:
                return resolve(self.package, self.module, name)
            if name in scope.names and (not scope.of_class or scope is self.scopes[-1]):
                return ("value", name) if scope.of_class else ("local", scope.number, name)
        if not self.scopes and name in self.fields:
            return ("attribute", self.family, name)
        return resolve(self.package, self.module, name)

    def name(self, node: ast.Name | ast.Attribute) -> Term:
        """Resolve a name or a chain of attributes."""
        dotted = dotted_name(node)
        if isinstance(node, ast.Name):
            found = self.local(node.id)
        elif dotted and self.local(dotted.partition(".")[0])[0] not in ("local", "attribute", "value"):
            found = resolve(self.package, self.module, dotted)
        else:
            value = self.term(node.value)
            mine = bool(self.me) and value == ("local", 0, self.me)
            return ("Attribute", value, ("attribute", self.family if mine else "", node.attr))
        if found == ("library", "contextlib.suppress"):
            self.package.catches = True
        return found

    def call(self, node: ast.Call) -> Term:
        """Write a call; its keywords are parameters of the function, also through functools.partial."""
        function, arguments = self.term(node.func), self.term(node.args)
        callee = arguments[1] if function == ("library", "functools.partial") and len(arguments) > 1 else function
        kind, *rest = callee
        owner = {"package": rest[0], "library": f"library {rest[0]}", "Attribute": f".{rest[-1][-1]}"}.get(kind, "")
        keywords = [("=", part.arg and ("keyword", owner, part.arg), self.term(part.value)) for part in node.keywords]
        return ("Call", function, arguments, ("list", *keywords))

    def annotated(self, node: ast.AnnAssign) -> Term:
        """Forget what an annotation says; in a class, not that it is there, which makes a field of a dataclass."""
        written = ast.unparse(node.annotation)
        if self.scopes[-1].of_class if self.scopes else self.fields:
            kind = ("value", written) if re.search("ClassVar|InitVar|KW_ONLY", written) else None
            return ("AnnAssign", self.term(node.target), kind, self.term(node.value))
        return ("Assign", ("list", self.term(node.target)), self.term(node.value))

    def function(self, node: Any, name: Term) -> Term:
        """Write a function: its defaults belong to the scope around it."""
        number = self.number()  # a method's own scope is 0, whatever its defaults hold
        arguments = node.args
        decorators = [part for part in getattr(node, "decorator_list", []) if not self.is_left_out(part)]
        around = [decorators, arguments.defaults, arguments.kw_defaults]
        outside = [self.term(part) for part in around]
        listed, stars = arguments.posonlyargs + arguments.args, (bool(arguments.vararg), bool(arguments.kwarg))
        counts = ("value", repr((len(arguments.posonlyargs), len(listed), *stars)))
        self.enter(node, names := parameters(node), number)
        first = ("list", *(self.local(part.arg) for part in names))
        body = self.term(node.body)
        self.scopes.pop()
        return (type(node).__name__, name, counts, *outside, first, body)

    def enter(self, node: Any, names: list[ast.arg], number: int = 0) -> None:
        """Enter the scope of a function."""
        body = [node.body] if isinstance(node, ast.Lambda) else node.body
        outside = {name for part in own(body) if isinstance(part, ast.Global) for name in part.names}
        self.scopes.append(Scope(number, {part.arg for part in names} | bound_in(body), outside))
        self.once |= set() if isinstance(node, ast.Lambda) else once(node)

    def inside(self, scope: Scope, body: list[Any]) -> Term:
        """Write what stands in a scope of its own."""
        self.scopes.append(scope)
        found = self.term(body)
        self.scopes.pop()
        return found

    def comprehension(self, node: Any) -> Term:
        """Write a comprehension, whose first iterable belongs to the scope around it."""
        number, first = self.number(), self.term(node.generators[0].iter)
        parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        for n, generator in enumerate(node.generators):
            parts += [generator.target, *([generator.iter] if n else []), generator.ifs]
        targets = bound_in(generator.target for generator in node.generators)
        shape = repr([(len(generator.ifs), generator.is_async) for generator in node.generators])
        return (type(node).__name__, ("value", shape), first, self.inside(Scope(number, targets), parts))

    # --- what cannot change a result ---

    def is_left_out(self, decorator: ast.expr) -> bool:
        """Whether a decorator does not count."""
        named = self.name(decorator) if isinstance(decorator, ast.Name | ast.Attribute) else ()
        return named[:1] == ("package",) and self.package.is_left_out(named[1])

    def left_out(self, node: Any) -> bool:
        """Whether a statement of a function does not count: a guard, or an assignment of what guards alone read."""
        inside = self.scopes and not self.scopes[-1].of_class
        counted = self.package.guards or self.caught or self.hidden or LOOKERS & {*self.reads}
        if (
            counted
            or not inside
            or not isinstance(node, ast.stmt)
            or not (isinstance(node, ast.Assign) or is_guard(node))
        ):
            return False
        number, here, bound = self.count, reads(node), bound_in([node])
        alone = {name for name in bound if is_guard(node) and here[name] == self.reads[name]}
        found = bool(bound or is_guard(node)) and bound <= alone | self.unread and self.quiet(node)
        self.count = number  # of scopes: none was written
        self.gone.update(here if found else ())
        return found

    def quiet(self, node: ast.AST) -> bool:
        """Whether running some code changes nothing but names, and raises none but ERRORS."""
        through: list[ast.expr] = []
        match node:
            case ast.Raise(exc=ast.Call(func=kind)) | ast.Raise(exc=ast.Name() as kind):
                return isinstance(kind, ast.Name) and kind.id in ERRORS and self.local(kind.id) == ("library", kind.id)
            case ast.FunctionDef():
                defaults = [*node.args.defaults, *filter(None, node.args.kw_defaults)]
                return all(map(self.pure, node.decorator_list)) and all(map(self.quiet, defaults))
            case ast.ClassDef():
                hooked = node.keywords or (node.bases and "__init_subclass__" in self.package.methods)
                return not hooked and all(map(self.pure, node.decorator_list)) and all(map(self.quiet, node.body))
            case ast.Call():
                function = node.args[0] if function_name(node.func) == "map" else node.func
                library = self.term(function)[0] != "package"
                if not self.pure(function) or library and OPTIONS & {part.arg for part in node.keywords}:
                    return False
                through = node.args if function_name(node.func) in THROUGH.split() else []
            case ast.Attribute(ctx=ast.Store()) | ast.Subscript(ctx=ast.Store()) | ast.Raise():
                return False
            case ast.comprehension(iter=part) | ast.For(iter=part) | ast.Starred(value=part):
                through = [part]
            case ast.Compare() if any(type(part).__name__.endswith("In") for part in node.ops):
                through = node.comparators
        if isinstance(node, LOUD) or any(isinstance(part, ast.Name) and part.id in self.once for part in through):
            return False
        if isinstance(node, Comprehension | ast.Lambda):
            inner = [part.target for part in node.generators] if isinstance(node, Comprehension) else parameters(node)
            self.scopes.append(Scope(-1, bound_in(inner) | {part.arg for part in inner if isinstance(part, ast.arg)}))
            found = all(map(self.quiet, ast.iter_child_nodes(node)))
            self.scopes.pop()
            return found
        return all(map(self.quiet, ast.iter_child_nodes(node)))

    def pure(self, function: ast.expr) -> bool:
        """Whether calling a function changes nothing, as far as its name tells, or what it does if it is ours."""
        if isinstance(function, ast.Call):  # a decorator with settings
            return self.quiet(function)
        match self.term(function):
            case ("library", name):
                return last(name) in PURE
            case ("package", name):
                return self.package.changes_nothing(name)
            case ("Attribute", _, ("attribute", "", name)):
                return name in PURE and name not in self.package.methods
        return False

    def may_catch(self, node: ast.Try | ast.TryStar | ast.With | ast.AsyncWith) -> bool:
        """Whether a statement may catch the error of a guard; noted for the package if that is in what it calls."""
        if isinstance(node, ast.With | ast.AsyncWith):
            calls = [part.context_expr for part in node.items if isinstance(part.context_expr, ast.Call)]
            known = [function_name(c.func) in CONTEXTS or self.term(c.func)[0] == "package" for c in calls]
            found = not all(known) or len(known) < len(node.items)
            self.package.catches |= found
            return found
        kinds = [handler.type or ast.Tuple([]) for handler in node.handlers if not only_raises(handler.body)]
        names = [part.elts if isinstance(part, ast.Tuple) else [part] for part in kinds]
        found = not all(name and {*map(dotted_name, name)} <= OTHERS for name in names)
        self.package.catches |= found and not all(self.quiet(part) and not self.may_call(part) for part in node.body)
        return found

    def may_call(self, node: ast.AST) -> bool:
        """Whether some code that changes nothing may call what is ours: by name, or by going through it."""
        if isinstance(node, ast.Call) and self.term(node.func)[0] == "package":
            return True
        return isinstance(node, ast.For | ast.comprehension | ast.Starred) or any(
            map(self.may_call, ast.iter_child_nodes(node))
        )

    def swallows(self, node: ast.AST) -> bool:
        """Whether a part of a method __exit__ may return that an error was dealt with, but one of a class of ours."""
        match node:
            case ast.Return(value=None | ast.Constant(value=None | False)):
                return False
            case ast.Return(value=ast.Compare(ops=[ast.Is()], comparators=[kind])):
                return self.term(kind)[0] != "package"
        return isinstance(node, ast.Return)


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
    kind, *parts = term or ("nothing",)
    if kind in ("local", "library", "module", "attribute", "keyword", "value"):
        return str(parts[-1])
    if kind == "package":
        return short.get(parts[0], last(parts[0]))
    if kind == "Call":
        arguments = [written(part, short) for part in parts[1][1:]]
        keywords = [f"{written(name, short) or '**'}={written(value, short)}" for _, name, value in parts[2][1:]]
        return f"{written(parts[0], short)}({', '.join(arguments + keywords)})"
    texts = [written(part, short) for part in parts]
    return ".".join(texts) if kind == "Attribute" else f"{'' if kind == 'list' else kind}[{', '.join(texts)}]"


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
            waiting.append(("package", f"{name}."))
        elif kind == "package" and name not in found and not package.is_left_out(name):
            found.add(name)
            waiting += [("package", f"{module}.") for module in package.imported_with(name)]
            for terms in package.read(name).values():
                waiting += [leaf for term in terms for kind in ("package", "module") for leaf in names_of(term, kind)]
    return sorted(found)


def describe(package: Package, roots: Iterable[Term]) -> list[str]:
    """Return definitions as text, sorted, a method by itself; two of one name are told apart by their modules."""
    found = follow(package, roots)
    lasts = Counter(map(last, found))
    short = {name: last(name) if not last(name) or lasts[last(name)] == 1 else name for name in found}
    return sorted(
        f"{short[name]}{unit and '.'}{unit} = {'; '.join(written(term, short) for term in terms)}"
        for name in found
        for unit, terms in package.read(name).items()
        if terms
    )


@lru_cache(maxsize=1)
def whole_package(root: Path, texts: tuple[tuple[str, str], ...]) -> Package:
    """Return the package with these texts, in which all counts; what it read for one notebook serves the next."""
    return Package(root, whole=True)


def uses(codes: Iterable[str], root: Path = ROOT) -> list[str]:
    """Return the definitions of the package that some pieces of code use, guards and all, as text."""
    package = whole_package(root, sources(root))
    return describe(package, [package.find(name) for code in codes for name in imported(code)])


def measured(script: Path, root: Path = ROOT, guards: bool = False) -> tuple[Package, list[str]]:
    """Return a script with all of ours that it uses, as modules and as text; with guards if these may be caught."""
    package = Package(root, script=script.read_text(encoding="utf-8"), guards=guards)
    texts = describe(package, [("module", "script")])
    return measured(script, root, guards=True) if package.catches and not guards else (package, texts)


def checksums(texts: list[str], root: Path = ROOT) -> list[str]:
    """Return what the catalogue says of the files of each data set that is fetched in some definitions."""
    whole, path = "\n".join(texts), root / "dlbook" / "data" / "catalog.toml"
    catalog = tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    found = FETCHED.findall(whole)
    names = [
        name for computed, start in found for name in catalog if name == start or computed and name.startswith(start)
    ]
    names = names if len(found) == len(re.findall(r"\bfetch\(", whole)) else [*catalog]
    return [f"{name} {file['file']} {file['sha256']}" for name in sorted({*names}) for file in catalog[name]["members"]]


def fingerprint(script: Path, root: Path = ROOT) -> str:
    """Return a fingerprint of a script and of all of ours that it uses, without what cannot change its results."""
    _, texts = measured(script, root)
    return hashlib.sha256("\n".join(texts + checksums(texts, root)).encode()).hexdigest()[:16]
