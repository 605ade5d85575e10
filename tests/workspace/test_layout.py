"""The house rules that a machine can hold: budgets, names, docstrings, one test file per module."""

import ast
import statistics
from functools import cache
from pathlib import Path, PurePosixPath

import pytest

import measures

ROOT = Path(__file__).parents[2]

LONG_FILES = {}  # path -> why its lines belong together; the hard limit holds for them too
UNTESTED = {}  # path -> where it is tested instead

ABSTRACT_BASES = {"ABC", "Protocol"}
ABSTRACT_METHODS = {"Manifold": 5}  # exceptions to the budget of three
NOT_OUR_FILES = {"utils.py", "helpers.py", "common.py", "misc.py"}


@cache
def sources():
    """Path from the root -> text, of every module of every package."""
    found = sorted((ROOT / "packages").glob("*/src/**/*.py"))
    return {path.relative_to(ROOT).as_posix(): path.read_text() for path in found}


@cache
def trees():
    return {path: ast.parse(text) for path, text in sources().items()}


def classes():
    return [(path, c) for path, t in trees().items() for c in measures.nodes(t, ast.ClassDef)]


def faulty(measure):
    """Path -> what the measure finds in its tree, where it finds something."""
    found = {path: measure(tree) for path, tree in trees().items()}
    return {path: faults for path, faults in found.items() if faults}


def mirror_of(path):
    """packages/P/src/feller/P/a/b.py -> tests/P/a/test_b.py."""
    _, package, _, _, _, *folders, name = PurePosixPath(path).parts
    return PurePosixPath("tests", package, *folders, f"test_{name}")


def test_there_is_a_house():
    assert sources()


def test_files_are_short():
    lengths = {path: text.count("\n") for path, text in sources().items()}
    long = {path: n for path, n in lengths.items() if n > (400 if path in LONG_FILES else 300)}
    assert not long


def test_functions_are_short():
    lengths = [(p, *entry) for p, t in sources().items() for entry in measures.function_lengths(t)]
    long = [entry for entry in lengths if entry[-1] > 40]
    assert not long
    assert statistics.median([0, *(entry[-1] for entry in lengths)]) <= 8


def test_functions_take_few_parameters():
    counts = [(p, *entry) for p, t in trees().items() for entry in measures.parameter_counts(t)]
    many = [entry for entry in counts if entry[-1] > 6]
    assert not many


def test_classes_have_few_public_methods():
    large = [(path, c.name) for path, c in classes() if len(measures.public_methods(c)) > 8]
    assert not large


def test_abstract_classes_ask_for_few_methods():
    counts = [(path, c.name, len(measures.abstract_methods(c))) for path, c in classes()]
    assert not [entry for entry in counts if entry[-1] > ABSTRACT_METHODS.get(entry[1], 3)]


def test_inheritance_is_shallow():
    bases = measures.inheritance(trees().values())
    depths = {name: measures.depth(name, bases) for name in bases}
    assert not {name: depth for name, depth in depths.items() if depth > 2}


def test_a_class_is_abstract_or_final():
    bases = measures.inheritance(trees().values())
    inherited = {base for names in bases.values() for base in names & bases.keys()}
    abstract = {c.name for _, c in classes() if measures.abstract_methods(c)}
    abstract |= {name for name, names in bases.items() if names & ABSTRACT_BASES}
    concrete = {name for name in inherited - abstract if not name.endswith("Error")}
    assert not concrete


def test_public_things_have_docstrings():
    assert not faulty(measures.undocumented)


def test_names_are_those_of_the_glossary():
    assert not faulty(lambda tree: measures.foreign_names(measures.identifiers(tree)))
    paths = [PurePosixPath(path) for path in sources()]
    assert not measures.foreign_names(path.stem for path in paths)
    assert not [path for path in paths if path.name in NOT_OUR_FILES]


def test_annotations_are_evaluated():
    assert not [path for path, text in sources().items() if "from __future__" in text]


def test_modules_have_no_side_effects():
    assert not faulty(measures.side_effects)


def test_feller_is_a_namespace_package():
    assert not [path for path in sources() if path.endswith("/src/feller/__init__.py")]


IN_EVERY_DOMAIN = (
    *(f"commands/{command}.py" for command in ("sample", "evaluate", "verify", "demo", "app")),
    *("codec.py", "models.py", "recipes.py", "sampling.py", "plots.py"),
    *("metrics/report.py", "networks/__init__.py"),
)


def test_domains_keep_one_layout():
    """Who knows one domain knows where to look in the next."""
    folders = [path.parent for path in (ROOT / "packages").glob("*/src/feller/*/__init__.py")]
    domains = [folder for folder in folders if folder.name != "core"]
    assert len(domains) >= 3
    missing = [f for d in domains for f in (d / name for name in IN_EVERY_DOMAIN) if not f.exists()]
    assert not missing
    datasets = [any((d / f).exists() for f in ("data.py", "data/dataset.py")) for d in domains]
    assert all(datasets)


CORES_OWN = {"Solver", "TokenSolver", "SuperposedModel", "Superposition", "Trace"}


def test_text_has_no_loop_solver_likelihood_or_superposition_of_its_own():
    """It calls those of the core: `follow_turns` for the loop, `elbo` for the likelihood."""
    text = {path: tree for path, tree in trees().items() if path.startswith("packages/text/")}
    assert text
    for path, tree in text.items():
        own = [c.name for c in measures.nodes(tree, ast.ClassDef) if bases_of(c) & CORES_OWN]
        assert not own, path
        asked = {n.attr for n in measures.nodes(tree, ast.Attribute)} & {"move", "step"}
        assert asked <= ({"step"} if "training" in path else set()), path
        for name in ("simulate", "follow", "upper_bound", "elbo", "log_likelihood"):
            made = [f for f in measures.nodes(tree, ast.FunctionDef) if f.name == name]
            assert not made, path
    names = {PurePosixPath(path).stem for path in text}
    assert not names & {"solvers", "simulation", "likelihood", "superposition", "kernel", "draws"}


def bases_of(node):
    return {ast.unparse(base).split("[")[0].split(".")[-1] for base in node.bases}


def test_the_mirror():
    path = "packages/core/src/feller/core/solvers/euler.py"
    assert mirror_of(path).as_posix() == "tests/core/solvers/test_euler.py"


def test_every_module_has_its_test_file():
    defining = faulty(lambda tree: [n for n in tree.body if isinstance(n, measures.DEFINITIONS)])
    modules = [path for path in defining if not PurePosixPath(path).name.startswith("__")]
    missing = {path for path in modules if not (ROOT / mirror_of(path)).exists()}
    assert missing == set(UNTESTED)


@pytest.mark.parametrize("allowed", [LONG_FILES, UNTESTED], ids=["long files", "untested"])
def test_every_exception_has_a_reason_and_exists(allowed):
    assert all(allowed.values())
    assert allowed.keys() <= sources().keys()
