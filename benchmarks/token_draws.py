"""What a step of a token chain costs beside the network: who jumps, and to which token.

    python benchmarks/token_draws.py [--threads 1]

Beside the library stand the fewest lines that draw the same (jumps first, then a uniform a row
through the inverse of a distribution function), a draw for every row that is masked, and what is
usual: a draw for every position at every step, and a table of all rates. That too is our own.
"""

import argparse
import resource
from collections.abc import Callable

import torch
from paired import compare
from torch import Tensor

from feller.core.discrete.categorical import draw_weighted
from feller.core.discrete.models import Ids, TokenModel
from feller.core.discrete.solvers import Leap
from feller.core.grids import uniform_grid
from feller.core.paths import MixturePath
from feller.core.solvers import simulate
from feller.core.sources import Masked, UniformTokens
from feller.core.spaces import Tokens

B, N, V, STEPS = 8, 256, 50_257, 32


class Given(TokenModel):
    """A model whose answers are made beforehand: rows of one table of logits."""

    parametrization = "posterior"

    def __init__(self, noise: str, logits: Tensor) -> None:
        has_mask = noise == "mask"
        self.vocabulary = Ids(V + has_mask, V, V if has_mask else None)
        source = Masked(V) if has_mask else UniformTokens(V)
        self.path = MixturePath(Tokens(V + has_mask), source)
        self.table = logits

    def logits(
        self, x: Tensor, kappa: Tensor, condition: None = None, *, where: Tensor | None = None
    ) -> Tensor:
        """Return rows of the table, as a head that sees only these positions would."""
        assert where is not None
        return self.table.flatten(0, 1)[: int(where.sum())]


def step_with_rates(model: Given, probabilities: Tensor, rng: torch.Generator) -> Tensor:
    """Take one step, from pure noise at t = 1/2, with every rate in memory."""
    x, size = model.path.sample_source((B, N), rng), model.vocabulary.size
    posterior = torch.nn.functional.pad(probabilities, (0, size - V))
    target = posterior.flatten(0, 1).multinomial(1, generator=rng).view(B, N)
    rates = torch.nn.functional.one_hot(target, size).float() / (1 - 0.5)
    rates = rates.masked_fill(torch.nn.functional.one_hot(x, size).bool(), 0)
    total = rates.sum(-1)
    jumps = torch.rand(total.shape, generator=rng) < -torch.expm1(-total / STEPS)
    x[jumps] = rates[jumps].multinomial(1, generator=rng)[:, 0]
    return x


def by_hand(model: Given, probabilities: Tensor, rng: torch.Generator) -> Tensor:
    """Simulate in the fewest lines that are exact, probabilities given."""
    x = model.path.sample_source((B, N), rng)
    flat = probabilities.flatten(0, 1)
    for i in range(STEPS):
        fired = torch.rand(x.shape, generator=rng) < 1 / (STEPS - i)
        if model.vocabulary.mask is not None:
            fired &= x == model.vocabulary.mask
        rows = flat[: int(fired.sum())]
        u = torch.rand(len(rows), generator=rng, dtype=torch.float64)
        x[fired] = draw_weighted(rows, u)
    return x


def every_masked_row(probabilities: Tensor, rng: torch.Generator) -> None:
    """Draw a token for every row that is masked, at each step, as confident orders may ask."""
    flat = probabilities.flatten(0, 1)
    for i in range(STEPS):
        rows = flat[: round(len(flat) * (1 - i / STEPS))]
        draw_weighted(rows, torch.rand(len(rows), generator=rng, dtype=torch.float64))


def memory() -> float:
    """Return the most memory this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def measure(noise: str, logits: Tensor, probabilities: Tensor, rounds: int) -> None:
    """Time a source."""
    rng, model = torch.Generator().manual_seed(0), Given(noise, logits)
    x, times = model.path.sample_source((B, N), rng), uniform_grid(STEPS)

    def ours() -> Tensor:
        return simulate(model, x, times, Leap(), rng).state

    before = memory()
    assert bool((ours() < V).all())
    print(f"\n{noise}, ms a step; {memory() - before:.0f} MB beyond the logits")
    contestants: dict[str, Callable[[], object]] = {
        "feller": ours,
        "by hand": lambda: by_hand(model, probabilities, rng),
    }
    if noise == "mask":
        contestants["every masked row drawn"] = lambda: every_masked_row(probabilities, rng)
    for name, (seconds, ratio) in compare(contestants, rounds=rounds).items():
        print(f"  {name:28} {seconds / STEPS * 1e3:10.1f}  {ratio:6.2f} x")
    usual: dict[str, Callable[[], object]] = {
        "feller": ours,
        "a step": lambda: step_with_rates(model, probabilities, rng),
    }
    seconds, ratio = compare(usual, rounds=3)["a step"]
    print(f"  {'a table of rates':28} {seconds * 1e3:10.1f}  {ratio * STEPS:6.2f} x (bar: 50 x)")


def main() -> None:
    """Time both sources."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    logits = 3 * torch.randn(B, N, V, generator=torch.Generator().manual_seed(0))
    probabilities = logits.softmax(-1)
    print(f"{B} x {N} tokens out of {V}, {STEPS} steps, {arguments.threads} thread(s)")
    for noise in ("mask", "uniform"):
        measure(noise, logits, probabilities, arguments.rounds)


if __name__ == "__main__":
    main()
