"""Measures of how modules hang together: questions for types, import circles, nameless pairs.

Syntax trees go in; names come out. `tests/workspace/test_structure.py` holds the limits. The
standard library is enough.
"""

import ast
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from types import MappingProxyType

__all__ = ["circles", "imports", "mixed_tuples", "type_questions"]

QUESTIONS = {"isinstance", "issubclass", "is_tensor", "is_dataclass"}


def type_questions(tree: ast.AST) -> list[ast.AST]:
    """Return where a type is asked for: isinstance, a comparison of `type(x)`, a class pattern."""
    return [node for node in ast.walk(tree) if _asks(node)]


def _asks(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return _name(node.func) in QUESTIONS
    if isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        return any(isinstance(s, ast.Call) and _name(s.func) == "type" for s in sides)
    return isinstance(node, ast.MatchClass)


def _name(function: ast.expr) -> str:
    return getattr(function, "id", getattr(function, "attr", ""))


def imports(tree: ast.Module, modules: Mapping[str, ast.Module]) -> set[str]:
    """Return which of some modules one imports, at once or later in a function.

    A name of a package counts as the package, a module of it as the module.
    """
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in modules else str(node.module) for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & modules.keys()


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Return circles of a graph, sorted, one for each tangle; none if there is an order."""
    found, left = [], {name: set(edges) for name, edges in graph.items()}
    while True:
        try:
            TopologicalSorter(left).prepare()
        except CycleError as error:
            circle = error.args[1][1:]
            found.append(sorted(circle))
            for name in circle:
                left.pop(name)
            left = {name: edges - set(circle) for name, edges in left.items()}
        else:
            return found


def mixed_tuples(
    tree: ast.Module, modules: Mapping[str, ast.Module] = MappingProxyType({})
) -> list[tuple[str, str]]:
    """Return the arguments of functions that are tuples of unlike things: (function, argument).

    Args:
        tree: A module.
        modules: Others by name, from which it may import an alias of such a tuple.
    """
    aliases = _mixed_aliases(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and str(node.module) in modules:
            theirs = _mixed_aliases(modules[str(node.module)])
            aliases |= {name.asname or name.name for name in node.names if name.name in theirs}
    return [
        (node.name, argument.arg)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for argument in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        if argument.annotation is not None and _is_mixed(argument.annotation, aliases)
    ]


def _mixed_aliases(tree: ast.Module) -> set[str]:
    values = (node for node in tree.body if isinstance(node, ast.Assign))
    return {_name(node.targets[0]) for node in values if _is_mixed(node.value, set())}


def _is_mixed(annotation: ast.expr, aliases: set[str]) -> bool:
    """Say whether an annotation is, or may be, a tuple whose items have other types."""
    if isinstance(annotation, ast.BinOp):
        return any(_is_mixed(side, aliases) for side in (annotation.left, annotation.right))
    if isinstance(annotation, ast.Name):
        return annotation.id in aliases
    written = annotation.value if isinstance(annotation, ast.Constant) else None
    if isinstance(written, str) and written.startswith("tuple["):
        return _is_mixed(ast.parse(written, mode="eval").body, aliases)
    if not isinstance(annotation, ast.Subscript) or not isinstance(annotation.slice, ast.Tuple):
        return False
    kinds = {ast.unparse(kind) for kind in annotation.slice.elts} - {"..."}
    return _name(annotation.value) == "tuple" and len(kinds) > 1
