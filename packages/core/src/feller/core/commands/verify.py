"""`feller verify [MODEL]`: hold solutions, or a trained model, against the forward equation.

Without a model every entry of the table of solutions is verified; flags pick one. With a model the
flags are those of its domain: `feller verify MODEL --help` names them.
"""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from feller.core.commands.dispatch import domain_command

__all__ = ["run"]


def run(argv: Sequence[str]) -> int:
    """Verify, and return 0 when all pass, 1 when something does not."""
    if argv and not argv[0].startswith("-"):
        return domain_command("verify", argv) or 0
    return _solutions(_parser().parse_args(argv))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "feller verify",
        usage="feller verify MODEL [flags] | feller verify [--path NAME ...] [flags]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--path", help="only this path: gaussian, geodesic, mixture, ...")
    add("--space", help="only this space: euclidean, tokens, sphere, ...")
    add("--schedule", help="this schedule in place of the examples' own: condot, cosine, ...")
    add("--kind", help="one or a sum: flow=.5,jump=.5; also backward-jump, langevin, corrector")
    add("--stationary", action="store_true", help="the sum of --kind leaves the path alone")
    add("--times", help="times between 0 and 1, with commas (default: random ones)")
    add("--moments", type=int, default=3, help="how many random times (default 3)")
    add(
        "--directions",
        type=int,
        default=2,
        help="how many random directions test functions have (default 2)",
    )
    add("--samples", type=int, default=32768, help="states, where they are drawn (default 32768)")
    add(
        "--errors",
        type=float,
        default=5.0,
        help="standard errors that a residual may be off (default 5)",
    )
    add("--tolerance", type=float, default=1e-5, help="how much more (default 0.00001)")
    add(
        "--seed",
        type=int,
        help="chooses times, directions and samples (default: another each run; it is printed)",
    )
    add("--json", action="store_true", help="print JSON, one row a solution")
    add("--details", action="store_true", help="show every time and function, not the worst alone")
    add("--plot", type=Path, metavar="FILE", help="draw both sides; needs matplotlib")
    return parser


def _solutions(options: argparse.Namespace) -> int:
    from feller.core.verify import Plan, verify_case
    from feller.core.verify.plan import fresh_seed
    from feller.core.verify.report import Output, report

    plan = Plan(
        moments=options.moments,
        directions=options.directions,
        samples=options.samples,
        errors=options.errors,
        tolerance=options.tolerance,
        seed=fresh_seed() if options.seed is None else options.seed,
    )
    if options.times:
        plan = replace(plan, times=tuple(_number(t, "--times") for t in options.times.split(",")))
    chosen = list(_chosen(options))
    if not chosen:
        raise ValueError("no example of that: `feller verify` lists all there is")
    with _one_thread():
        found = [verify_case(case, plan) for case in chosen]
    return report(found, Output(options.json, options.details, options.plot))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep torch to one thread: tensors are so small that a second only waits for the first."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _chosen(options: argparse.Namespace) -> Iterator[Any]:
    """Yield the cases that the flags ask for."""
    from feller.core.verify import cases
    from feller.core.verify.rows import combined

    terms = None if options.kind is None else _terms(options.kind)
    if terms is None and options.stationary:
        raise ValueError("--stationary is said of the sum that --kind names")
    role = "stationary" if options.stationary else "forward"
    every = cases() if terms is None else combined(terms, role=role)
    if terms and not options.stationary and all(t.role() == "stationary" for t in terms):
        raise ValueError(f"--kind {options.kind} leaves the path alone: add --stationary")
    chosen, seen = _schedule(options.schedule) if options.schedule else None, []
    for case in every:
        labels = case.labels()
        wanted = (options.path, labels["path"]), (options.space, labels["space"].split()[0])
        if any(asked is not None and asked != name for asked, name in wanted):
            continue
        if chosen is not None:
            try:
                case = replace(case, path=replace(case.path, schedule=chosen))
            except ValueError:  # a path that the schedule is no mixing weight of
                if options.path:
                    raise
                continue
        if (case.labels(), case.role) not in seen:
            seen.append((case.labels(), case.role))
            yield case


def _terms(text: str) -> tuple[Any, ...]:
    """Read `flow=.5,backward-jump=.5`."""
    from feller.core.solutions import solved
    from feller.core.verify.examples import correctors
    from feller.core.verify.rows import Term

    stationary = correctors()
    forward, back = (
        dict.fromkeys(k.__name__.lower() for _, k in solved(backward=b)) for b in (False, True)
    )
    names = [*forward, *(f"backward-{name}" for name in back), *stationary]
    terms = []
    for part in text.split(","):
        name, _, weight = part.strip().partition("=")
        if name not in names:
            raise ValueError(f"unknown kind {name!r} in --kind; there are {', '.join(names)}")
        value = _number(weight, "--kind") if weight else 1.0
        plain = name.removeprefix("backward-")
        terms.append(Term(plain, value, backward=plain != name))
    return tuple(terms)


def _schedule(name: str) -> Any:
    from feller.core import schedules

    classes = schedules.Schedule.__subclasses__()
    known = {c.__name__.lower(): c for c in classes if c.__module__ == schedules.__name__}
    if name.lower() not in known:
        raise ValueError(f"unknown schedule {name!r}; there are {', '.join(known)}")
    return known[name.lower()]()


def _number(text: str, flag: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{flag} holds numbers, not {text!r}") from None
