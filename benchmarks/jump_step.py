"""What a jump step costs beside one by hand, over a network's output that is given.

    python benchmarks/jump_step.py [--threads 2] [--coordinates 1000000] [--bins 64]

By hand: a Bernoulli draw for each coordinate, then `torch.multinomial` over the softmax of the rows
where it fired. The other way, which peers take, draws for every coordinate and keeps what fired.
"""

import argparse

import torch
from paired import compare, show
from torch import Tensor

from feller.core.generators import Binned, Categorical, Jump
from feller.core.spaces import Euclidean, Tokens

FRACTIONS = (0.02, 0.2, 1.0)


def by_hand(x: Tensor, intensity: Tensor, logits: Tensor, edges: Tensor | None) -> Tensor:
    """Take a Bernoulli and multinomial step where events fire."""
    fired = torch.rand_like(intensity) < 1 - torch.exp(-intensity)
    chosen = torch.multinomial(logits[fired].softmax(-1), 1).squeeze(-1)
    if edges is None:
        landed = chosen
    else:
        width = edges[1] - edges[0]
        landed = edges[chosen] + width * torch.rand(len(chosen))
    x = x.clone()
    x[fired] = landed
    return x


def everywhere(x: Tensor, intensity: Tensor, logits: Tensor, edges: Tensor | None) -> Tensor:
    """Draw for every coordinate, and keep what fired."""
    fired = torch.rand_like(intensity) < 1 - torch.exp(-intensity)
    chosen = torch.multinomial(logits.softmax(-1), 1).squeeze(-1)
    landed = chosen
    if edges is not None:
        landed = edges[chosen] + (edges[1] - edges[0]) * torch.rand(len(chosen))
    return torch.where(fired, landed, x)


def main() -> None:
    """Time each fraction of events, on bins and on tokens."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--coordinates", type=int, default=1_000_000)
    parser.add_argument("--bins", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rng = torch.Generator().manual_seed(0)
    n, k = options.coordinates, options.bins
    logits = torch.randn(1, n, k, generator=rng)
    edges = torch.linspace(-1, 1, k + 1)
    cases = {
        "bins": (torch.zeros(1, n), Binned(logits, edges), edges, Euclidean()),
        "tokens": (torch.zeros(1, n, dtype=torch.int64), Categorical(logits), None, Tokens(k)),
    }
    for name, (x, destination, edges_of, space) in cases.items():
        for fraction in FRACTIONS:
            rate = float("inf") if fraction == 1 else -torch.log1p(torch.tensor(-fraction)).item()
            jump = Jump(torch.full((1, n), rate), destination)
            flat = (x[0], jump.intensity[0], logits[0], edges_of)
            contestants = {
                "by hand": lambda flat=flat: by_hand(*flat),
                "feller": lambda jump=jump, x=x, space=space: jump.step(space, x, 1.0, None),
                "drawn everywhere": lambda flat=flat: everywhere(*flat),
            }
            title = f"{name}, {n:,} x {k}, {fraction:.0%} jump, {options.threads} threads, ms"
            show(title, 1e-3, compare(contestants, rounds=options.rounds), 3.0)


if __name__ == "__main__":
    main()
