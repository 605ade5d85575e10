"""diffusers' schedulers of tokens, in the loop of their pipelines, at temperature 1.

Step i of n of `DiscreteDDIMScheduler` is at kappa = i / n; `VQDiffusionScheduler` counts down, and
its state is a token with probability exp(log_cumprod_at), the mask with exp(log_cumprod_ct), else
any token: without its small uniform part here, so that it is the mask source.
"""

from collections.abc import Iterator
from functools import partial

import diffusers
import torch
from problems import Sequences
from sampler import Sampler
from torch import Tensor

__all__ = ["samplers"]


def samplers() -> Iterator[Sampler]:
    """Yield the schedulers."""
    for selection in (None, "random", "lowest_log_margin"):
        problem = Sequences()
        name = "DiscreteDDIM" + (f", corrector {selection}" if selection else "")
        draw = partial(ddim, problem, selection)
        like = "corrected, uniform" if selection else "ancestral, uniform"
        yield Sampler("diffusers", name, problem, draw, like)
    problem = Sequences()
    yield Sampler("diffusers", "VQDiffusion", problem, partial(vq, problem), "ancestral, mask")
    for temperature in (0, 2):
        problem = Sequences()
        name = f"Amused, choice temperature {temperature}"
        draw = partial(amused, problem, temperature)
        yield Sampler("diffusers", name, problem, draw, "confidence, mask")
    problem = Sequences()
    draw = partial(block, problem, 0.95)
    yield Sampler("diffusers", "BlockRefinement", problem, draw, "confidence, mask", most=1024)
    problem = Sequences()
    draw = partial(entropy, problem, {})
    yield Sampler("diffusers", "EntropyBound", problem, draw, "entropy, mask")
    problem = Sequences()
    draw = partial(entropy, problem, {"t_min": 1.0, "t_max": 1.0, "entropy_bound": 0.0})
    name = "EntropyBound, temperature 1, bound 0"
    yield Sampler("diffusers", name, problem, draw, "entropy, mask")


def masks(problem: Sequences, samples: int) -> Tensor:
    """Return sequences of masks."""
    return torch.full((samples, problem.length), problem.mask)


def noise(problem: Sequences, samples: int) -> Tensor:
    """Return uniform tokens."""
    return torch.randint(problem.tokens, (samples, problem.length))


def ddim(problem: Sequences, selection: str | None, samples: int, steps: int) -> Tensor:
    """Reverse the uniform noise; a corrector sweeps after each step but the last."""
    extra = {} if selection is None else {"corrector_selection": selection}
    rule = diffusers.DiscreteDDIMScheduler(corrector_steps=len(extra), **extra)
    rule.set_timesteps(steps)
    x = noise(problem, samples)
    for i in range(steps):
        x = rule.step(problem.logits(x, i / steps, "uniform"), i, x, temperature=1.0).prev_sample
        if selection and i < steps - 1:
            x = rule.step_correct(problem.logits(x, (i + 1) / steps, "uniform"), i, x).prev_sample
    return x


def vq(problem: Sequences, samples: int, steps: int) -> Tensor:
    """Reverse the masking in as many steps as there are of training."""
    ends = {"alpha_cum_start": 1 - 1e-5, "alpha_cum_end": 1e-5}
    rule = diffusers.VQDiffusionScheduler(
        problem.tokens + 1, steps, **ends, gamma_cum_start=1e-5 / 2, gamma_cum_end=1 - 2e-5
    )
    rule.set_timesteps(steps)
    x = masks(problem, samples)
    for t in rule.timesteps:
        x = rule.step(problem.logits(x).transpose(1, 2), t, x).prev_sample
    return x


def amused(problem: Sequences, temperature: int, samples: int, steps: int) -> Tensor:
    """Reveal by confidence, with Gumbel noise of the temperature, which falls to 0."""
    rule = diffusers.AmusedScheduler(mask_token_id=problem.mask)
    rule.set_timesteps(steps, temperature=(temperature, 0))
    x = masks(problem, samples)
    for t in rule.timesteps:
        x = rule.step(problem.logits(x), t, x).prev_sample
    return x


def block(problem: Sequences, threshold: float, samples: int, steps: int) -> Tensor:
    """Reveal a token a step, or all above a threshold; a step more has nothing to do."""
    steps = min(steps, problem.length)
    rule = diffusers.BlockRefinementScheduler(problem.length, steps, threshold)
    rule.set_timesteps(steps, block_length=problem.length)
    x = masks(problem, samples)
    for i in range(steps):
        logits = problem.logits(x)
        x = rule.step(logits, i, x, mask_token_id=problem.mask, temperature=1.0).prev_sample
    return x


def entropy(problem: Sequences, settings: dict[str, float], samples: int, steps: int) -> Tensor:
    """Accept what is sure, draw the rest uniformly again; the last prediction is kept.

    A canvas does not say how noisy it is: the network is asked at the fraction of steps done.
    """
    rule = diffusers.EntropyBoundScheduler(**settings)
    rule.set_timesteps(steps)
    x = last = noise(problem, samples)
    for i in range(steps):
        made = rule.step(problem.logits(x, i / steps, "uniform"), i, x)
        x, last = made.prev_sample, made.sampled_tokens
    return last
