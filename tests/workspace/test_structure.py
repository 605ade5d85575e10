"""What holds the house together: who asks for types, who imports whom, who has its own loop."""

import ast
from functools import cache
from pathlib import Path

import pytest

import measures
import structure

ROOT = Path(__file__).parents[2]
PACKAGES = ("core", "images", "proteins", "text")

TYPE_QUESTIONS = 6.0
"""How often the core may ask what type a value is, in 1,000 lines."""

# What is not yet as it should be: these lists only shrink.
OWN_MACHINERY: set[str] = set()


@cache
def modules(package):
    """Dotted name -> tree, of every module of a package."""
    home = ROOT / "packages" / package / "src"
    found = {}
    for path in sorted(home.rglob("*.py")):
        parts = path.relative_to(home).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text())
    return found


def test_core_seldom_asks_for_types():
    count = sum(len(structure.type_questions(tree)) for tree in modules("core").values())
    files = (ROOT / "packages/core/src").rglob("*.py")
    lines = sum(path.read_text().count("\n") for path in files)
    assert 1000 * count / lines <= TYPE_QUESTIONS


@pytest.mark.parametrize(
    "code",
    ["isinstance(a, B)", "issubclass(A, B)", "type(a) is B", "type(a) in (A, B)", "type(a) == B",
     "torch.is_tensor(a)", "match a:\n    case B(): pass"],
)  # fmt: skip
def test_every_way_to_ask_counts(code):
    assert len(structure.type_questions(ast.parse(code))) == 1


@pytest.mark.parametrize("code", ["type(a).__name__", "table[type(a)]", "hasattr(a, 'b')"])
def test_what_is_no_question(code):
    assert not structure.type_questions(ast.parse(code))


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_run_in_no_circle(package):
    """Not even with what functions import when they are called."""
    found = modules(package)
    graph = {name: structure.imports(tree, found) for name, tree in found.items()}
    assert not structure.circles(graph)


def test_a_circle_is_found():
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}
    assert structure.circles(graph) == [["a", "b", "c"]]


@pytest.mark.parametrize("package", PACKAGES)
def test_arguments_are_values_with_names(package):
    """No argument is a tuple of unlike things: `how: tuple[Solver, int]` says nothing."""
    trees = modules("core") | modules(package)
    found = {
        f"{name}.{function}({argument})"
        for name, tree in modules(package).items()
        for function, argument in structure.mixed_tuples(tree, trees)
    }
    assert not found


def test_a_mixed_tuple_is_found():
    code = (
        "At = tuple[A, B]\n"
        "def f(a: tuple[int, str], b: tuple[int, ...], c: 'tuple[A, B] | None', d: tuple[A, A],"
        " e: At): 0"
    )
    tree, user = ast.parse(code), ast.parse("from m import At\ndef g(a: At): 0")
    assert structure.mixed_tuples(tree) == [("f", "a"), ("f", "c"), ("f", "e")]
    assert structure.mixed_tuples(user, {"m": tree}) == [("g", "a")]


BASES = {"Solver", "SuperposedModel", "Superposition"}
LOOPS = {"simulate", "follow", "log_likelihood", "evidence_bound"}


@pytest.mark.parametrize("package", ["proteins", "text"])
def test_domains_have_no_machinery_of_their_own(package):
    """A solver, a simulation loop, a likelihood or a superposition is the core's."""
    found = {
        f"{name}.{node.name}"
        for name, tree in modules(package).items()
        for node in ast.walk(tree)
        if is_machinery(node)
    }
    assert found == {own for own in OWN_MACHINERY if own.startswith(f"feller.{package}.")}


def is_machinery(node):
    """A class of a core base, a function named as the core's loops, or a loop over a grid of times.

    The last is a `for` over `pairwise`, as that of two neighbouring times.
    """
    if isinstance(node, ast.ClassDef):
        return bool(BASES & measures.base_names(node))
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    loops = (n for n in ast.walk(node) if isinstance(n, ast.For))
    steps = any("pairwise(" in ast.unparse(n.iter) and "step" in ast.unparse(n) for n in loops)
    return node.name in LOOPS or steps


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("class Mine(Solver): pass", True),
        ("class Both(base.SuperposedModel): pass", True),
        ("def simulate(model): pass", True),
        ("def f(m, x):\n    for t, s in pairwise(times):\n        x = m.step(x, t, s)", True),
        ("class Turn(Generator): pass", False),
        ("def f(trace):\n    for a, b in pairwise(trace):\n        draw(a, b)", False),
    ],
)
def test_machinery_is_found(code, expected):
    assert is_machinery(ast.parse(code).body[0]) == expected
