"""What a token sampler costs beside the network: the posterior is a table."""

from collections.abc import Iterator
from typing import Any

import torch
from peers.job import Job
from torch import Tensor, nn

from feller.core.discrete.models import Ids, TokenModel
from feller.core.discrete.solvers import Leap
from feller.core.grids import uniform_grid
from feller.core.paths import MixturePath
from feller.core.solvers import simulate
from feller.core.sources import Masked, UniformTokens
from feller.core.spaces import Tokens

__all__ = ["flow_matching"]

B, N, V, STEPS = 4, 128, 2_000, 32


class Given(TokenModel):
    """A model whose answers are made beforehand."""

    parametrization = "posterior"

    def __init__(self, masked: bool, logits: Tensor) -> None:
        self.vocabulary = Ids(V + masked, V, V if masked else None)
        self.path = MixturePath(Tokens(V + masked), Masked(V) if masked else UniformTokens(V))
        self.table = logits

    def logits(
        self, x: Tensor, kappa: Tensor, condition: None = None, *, where: Tensor | None = None
    ) -> Tensor:
        assert where is not None
        return self.table.flatten(0, 1)[: int(where.sum())]  # rows of chains that have jumps


def flow_matching() -> Iterator[Job]:
    from flow_matching.path import MixtureDiscreteProbPath
    from flow_matching.path.scheduler import CondOTScheduler
    from flow_matching.solver import MixtureDiscreteEulerSolver
    from flow_matching.utils import ModelWrapper

    logits = 3 * torch.randn(B, N, V, generator=torch.Generator().manual_seed(0))

    class Answer(ModelWrapper):
        """The same answers, for all positions, as the package asks for them."""

        def __init__(self, size: int) -> None:
            super().__init__(nn.Identity())
            self.table = nn.functional.pad(logits, (0, size - V), value=-torch.inf)

        def forward(self, x: Tensor, t: Tensor, **extras: Any) -> Tensor:
            return self.table.softmax(-1)

    for masked in (True, False):
        model, size = Given(masked, logits), V + masked
        x = model.path.sample_source((B, N), torch.Generator().manual_seed(0))
        solver = MixtureDiscreteEulerSolver(
            Answer(size), MixtureDiscreteProbPath(CondOTScheduler()), vocabulary_size=size
        )
        yield Job(
            part="Token sampler",
            name=f"{'mask' if masked else 'uniform'}, {B} x {N} of {V:,} tokens, {STEPS} steps",
            package="flow-matching",
            peer="MixtureDiscreteEulerSolver",
            ours=lambda m=model, x=x: simulate(m, x, uniform_grid(STEPS), Leap()),
            theirs=lambda s=solver, x=x: s.sample(x, step_size=1 / STEPS),
            rounds=9,
        )
