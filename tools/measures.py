"""Measures of Python source: what the house rules of CONTRIBUTING.md count, as short functions.

Text or a syntax tree goes in; numbers, names or faults come out. `tests/workspace/test_layout.py`
holds the limits. The standard library is enough.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterable

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
DEFINITIONS = (*FUNCTIONS, ast.ClassDef)
HARMLESS = (*DEFINITIONS, ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign)
NOT_OUR_WORDS = {"sampler", "timestep", "denoiser", "util", "helper"}
NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef


def nodes(tree: ast.AST, kinds: type | tuple[type, ...]) -> list:
    """Return every node of some kinds, in breadth-first order."""
    return [node for node in ast.walk(tree) if isinstance(node, kinds)]


def docstring_lines(tree: ast.Module) -> set[int]:
    """Return the numbers of the lines that docstrings take."""
    lines = set()
    for node in [tree, *nodes(tree, DEFINITIONS)]:
        if ast.get_docstring(node, clean=False) is not None:
            lines |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return lines


def code_lines(text: str) -> set[int]:
    """Return the numbers of the lines that are neither blank, nor comment, nor docstring."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    spans = [(t.start[0], t.end[0]) for t in tokens if t.type not in NO_CODE]
    lines = {line for start, end in spans for line in range(start, end + 1)}
    return lines - docstring_lines(ast.parse(text))


def function_lengths(text: str) -> list[tuple[str, int]]:
    """Return (name, lines of code from its `def` on) of each function."""
    lines = code_lines(text)
    return [
        (f.name, len(lines.intersection(range(f.lineno, f.end_lineno + 1))))
        for f in nodes(ast.parse(text), FUNCTIONS)
    ]


def decorators(node: Definition) -> set[str]:
    """Return the last part of each decorator's name: `abstractmethod` for `abc.abstractmethod`."""
    return {ast.unparse(d).partition("(")[0].rpartition(".")[2] for d in node.decorator_list}


def methods(node: ast.ClassDef) -> list[Function]:
    """Return the functions of a class body."""
    return [member for member in node.body if isinstance(member, FUNCTIONS)]


def parameter_counts(tree: ast.Module) -> list[tuple[str, int]]:
    """Return (name, parameters without self, cls, * and **) of each function."""
    bound = {
        id(method)
        for node in nodes(tree, ast.ClassDef)
        for method in methods(node)
        if "staticmethod" not in decorators(method)
    }
    return [
        (f.name, len(f.args.posonlyargs + f.args.args + f.args.kwonlyargs) - (id(f) in bound))
        for f in nodes(tree, FUNCTIONS)
    ]


def public_methods(node: ast.ClassDef) -> set[str]:
    """Return the names of the methods and properties without a leading underscore."""
    return {method.name for method in methods(node) if not method.name.startswith("_")}


def abstract_methods(node: ast.ClassDef) -> set[str]:
    """Return the names of the methods that the class itself declares abstract."""
    return {method.name for method in methods(node) if "abstractmethod" in decorators(method)}


def base_names(node: ast.ClassDef) -> set[str]:
    """Return the last part of each base's name: `Shape` for `shapes.Shape[int]`.

    Those of torch are left out: its `torch.optim.Optimizer` is not a class of ours.
    """
    written = [ast.unparse(base).partition("[")[0] for base in node.bases]
    return {name.rpartition(".")[2] for name in written if not name.startswith("torch.")}


def inheritance(trees: Iterable[ast.Module]) -> dict[str, set[str]]:
    """Return class name -> the names of its bases, for every class of some modules."""
    found: dict[str, set[str]] = {}
    for tree in trees:
        for node in nodes(tree, ast.ClassDef):
            found.setdefault(node.name, set()).update(base_names(node) - {node.name})
    return found


def depth(name: str, bases: dict[str, set[str]]) -> int:
    """Return how many steps of inheritance within those modules lie above a class."""
    ours = bases[name] & bases.keys()
    return max((1 + depth(base, bases) for base in ours), default=0)


def undocumented(tree: ast.Module) -> list[str]:
    """Return the public module, classes, functions and methods that have no docstring."""
    found = [] if ast.get_docstring(tree) else ["the module"]
    public = [n for n in tree.body if isinstance(n, DEFINITIONS) and not n.name.startswith("_")]
    for node in public:
        members = methods(node) if isinstance(node, ast.ClassDef) else []
        shown = [m for m in members if not m.name.startswith("_")]
        found += [n.name for n in [node, *shown] if needs_docstring(n)]
    return found


def needs_docstring(node: Definition) -> bool:
    """Whether a definition must have a docstring and has none."""
    return not decorators(node) & {"overload", "override", "setter"} and not ast.get_docstring(node)


def identifiers(tree: ast.Module) -> set[str]:
    """Return every name that the module itself gives: not what it imports, not what it calls."""
    names = {node.name for node in nodes(tree, DEFINITIONS)}
    names |= {node.arg for node in nodes(tree, ast.arg)}
    stored = [n for n in nodes(tree, (ast.Name, ast.Attribute)) if isinstance(n.ctx, ast.Store)]
    return names | {n.id if isinstance(n, ast.Name) else n.attr for n in stored}


def words(identifier: str) -> set[str]:
    """Return the lower-case words of a snake_case or CamelCase name, without a plural's s."""
    found = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", identifier)
    return {word.lower().removesuffix("s") for word in found}


def foreign_names(names: Iterable[str]) -> set[str]:
    """Return those names that hold a word which the glossary rules out."""
    return {name for name in names if words(name) & NOT_OUR_WORDS}


def is_harmless(statement: ast.stmt) -> bool:
    """Whether a statement at module level only defines, assigns or imports."""
    if isinstance(statement, ast.If):
        return ast.unparse(statement.test) in ("TYPE_CHECKING", "__name__ == '__main__'")
    docstring = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return docstring or isinstance(statement, HARMLESS)


def side_effects(tree: ast.Module) -> list[int]:
    """Return the lines of the statements that do more than define, assign or import."""
    return [statement.lineno for statement in tree.body if not is_harmless(statement)]
