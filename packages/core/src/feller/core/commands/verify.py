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


_FLAGS: tuple[tuple[str, Any, Any, str], ...] = (
    ("--path", str, None, "only this path: gaussian, geodesic, mixture, ... (default: all)"),
    ("--space", str, None, "only this space: euclidean, tokens, sphere, ... (default: all)"),
    ("--schedule", str, None, "condot, cosine, ... (default: the schedules of the examples)"),
    ("--kind", str, None, "a generator, or a sum: flow=.5,jump=.5; also backward-jump, langevin,"
     " corrector (default: each solution)"),
    ("--times", str, None, "times in (0, 1), separated by commas (default: random times)"),
    ("--moments", int, 3, "number of random times"),
    ("--directions", int, 2, "number of random directions of test functions"),
    ("--samples", int, 32768, "number of states at each time, if states are sampled"),
    ("--errors", float, 5.0, "residuals of up to this many standard errors pass"),
    ("--tolerance", float, 1e-5, "relative error allowed in addition"),
    ("--seed", int, None, "chooses times, directions and samples (default: another each run; it is"
     " printed)"),
    ("--plot", Path, None, "plot both sides to this file; needs matplotlib (default: no plot)"),
)  # fmt: skip
_SWITCHES = (
    ("--stationary", "test that the sum of --kind leaves the path unchanged"),
    ("--json", "print JSON, one row per solution"),
    ("--details", "show every time and function, not only the worst"),
)


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
    for name, read, default, what in _FLAGS:
        shown = "" if "(default" in what else f" (default: {default:g})"
        parser.add_argument(name, type=read, default=default, help=what + shown)
    for name, what in _SWITCHES:
        parser.add_argument(name, action="store_true", help=f"{what} (default: no)")
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
            except ValueError:  # a path that the schedule is not a mixing weight of
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
