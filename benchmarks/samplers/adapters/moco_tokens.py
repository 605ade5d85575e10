"""bionemo-moco's token interpolants, stepped by their own `step` methods.

`MDLM` and `D3PM` count time down to the data, `DiscreteFlowMatcher` up. Logits are given anew at
each call, since some steps write into them.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from bionemo.moco.distributions.prior import DiscreteMaskedPrior, DiscreteUniformPrior
from bionemo.moco.distributions.time import UniformTimeDistribution
from bionemo.moco.interpolants import D3PM, MDLM, DiscreteFlowMatcher
from bionemo.moco.schedules.noise.continuous_noise_transforms import LogLinearExpNoiseTransform
from bionemo.moco.schedules.noise.discrete_noise_schedules import DiscreteCosineNoiseSchedule
from problems import Sequences
from sampler import Sampler
from torch import Tensor
from torch.nn.functional import pad

__all__ = ["samplers"]


def samplers() -> Iterator[Sampler]:
    """Yield the steps."""
    for source in ("mask", "uniform"):
        for noise in (0.0, 1.0):
            problem = Sequences()
            draw = partial(flow, problem, source, noise)
            name = f"DiscreteFlowMatcher, {source}, stochasticity {noise:g}"
            yield Sampler("bionemo-moco", name, problem, draw, f"leap, {source}")
    problem = Sequences()
    draw = partial(purity, problem)
    name = "DiscreteFlowMatcher, purity, stochasticity 0"
    yield Sampler("bionemo-moco", name, problem, draw, "confidence, mask")
    problem = Sequences()
    yield Sampler("bionemo-moco", "MDLM", problem, partial(mdlm, problem), "ancestral, mask")
    for randomness in (1.0, 0.0):
        problem = Sequences()
        name = f"MDLM, confidence, randomness {randomness:g}"
        draw = partial(confidence, problem, randomness)
        yield Sampler("bionemo-moco", name, problem, draw, "confidence, mask")
    for loo in (False, True):
        problem = Sequences()
        name = "D3PM, uniform" + (", leave-one-out prediction" if loo else "")
        draw = partial(d3pm, problem, loo)
        yield Sampler("bionemo-moco", name, problem, draw, "ancestral, uniform")


def answer(problem: Sequences, x: Tensor, kappa: float = 0.0, source: str = "mask") -> Tensor:
    """Return logits of four tokens, and of the mask where there is one."""
    logits = problem.logits(x, kappa, source)
    return pad(logits, (0, 1), value=-1e4) if source == "mask" else logits


def interpolant(problem: Sequences, source: str) -> Any:
    """Return the flow matcher of a source."""
    mask = DiscreteMaskedPrior(num_classes=problem.tokens + 1, inclusive=True)
    prior = mask if source == "mask" else DiscreteUniformPrior(num_classes=problem.tokens)
    return DiscreteFlowMatcher(UniformTimeDistribution(), prior)


def flow(problem: Sequences, source: str, noise: float, samples: int, steps: int) -> Tensor:
    """Take Euler steps up to t = 1; what is masked still is drawn from the last prediction."""
    rule, h = interpolant(problem, source), 1 / steps
    x = rule.sample_prior((samples, problem.length))
    for i in range(steps):
        t = torch.full((samples,), i * h)
        logits = answer(problem, x, i * h, source)
        x = rule.step(logits, t, x, h, stochasticity=noise)
    return x


def purity(problem: Sequences, samples: int, steps: int) -> Tensor:
    """Reveal the surest first, as many as the chain would."""
    rule, h = interpolant(problem, "mask"), 1 / steps
    x = rule.sample_prior((samples, problem.length))
    for i in range(steps):
        t, dt = torch.full((samples,), i * h), torch.full((samples,), h)
        x = rule.step_purity(answer(problem, x), t, x, dt, stochasticity=0.0)
    return x


def masked(problem: Sequences) -> Any:
    """Return the masked interpolant."""
    prior = DiscreteMaskedPrior(num_classes=problem.tokens + 1, inclusive=True)
    return MDLM(UniformTimeDistribution(), prior, LogLinearExpNoiseTransform())


def mdlm(problem: Sequences, samples: int, steps: int) -> Tensor:
    """Take the steps of the reversed chain, from t = 1 to 0."""
    rule, h = masked(problem), torch.full((samples,), 1 / steps)
    x = rule.sample_prior((samples, problem.length))
    for i in range(steps):
        x = rule.step(answer(problem, x), 1 - i * h, x, h)
    return x


def confidence(problem: Sequences, randomness: float, samples: int, steps: int) -> Tensor:
    """Reveal a token a step; the number of steps is that of tokens."""
    rule = masked(problem)
    x = rule.sample_prior((samples, problem.length))
    for i in range(problem.length):
        x = rule.step_confidence(answer(problem, x), x, i, problem.length, randomness=randomness)
    return x


def d3pm(problem: Sequences, loo: bool, samples: int, steps: int) -> Tensor:
    """Reverse the uniform noise step by step; perhaps with the leave-one-out prediction."""
    prior = DiscreteUniformPrior(num_classes=problem.tokens)
    rule = D3PM(UniformTimeDistribution(), prior, DiscreteCosineNoiseSchedule(steps))
    x = rule.sample_prior((samples, problem.length))
    for i in reversed(range(steps)):
        kappa = float(rule._Qt_bar[i, 0, 0] - rule._Qt_bar[i, 0, 1])
        logits = problem.logits(x, kappa, "uniform")
        if loo and i:
            own = torch.log(torch.tensor(1 + problem.tokens * kappa / (1 - kappa)))
            logits = logits.scatter_add(-1, x[..., None], -own.expand(*x.shape, 1))
        x = rule.step(logits, torch.full((samples,), i), x)
    return x
