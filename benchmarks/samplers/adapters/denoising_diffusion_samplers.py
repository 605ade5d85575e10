"""denoising-diffusion-pytorch: images in [-1, 1], here of two channels and one pixel.

Data are a third of the problem's, so that they are inside; what comes back is in [0, 1].
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from denoising_diffusion_pytorch import ElucidatedDiffusion, GaussianDiffusion
from problems import Points
from sampler import Sampler
from torch import Tensor, nn

__all__ = ["samplers"]

SCALE = 3.0


class Network(nn.Module):
    """What the classes read of their Unet, and the exact answer."""

    channels, out_dim, self_condition = 2, 2, False

    def __init__(self, elucidated: bool = False) -> None:
        super().__init__()
        self.random_or_learned_sinusoidal_cond = elucidated  # each class insists on its own
        self.nothing = nn.Parameter(torch.zeros(1))
        self.answer: Callable[[Tensor, Tensor], Tensor] = lambda x, t: x

    def forward(self, x: Tensor, t: Tensor, *args: Any) -> Tensor:
        """Return the answer."""
        return self.answer(x, t)


def samplers() -> Iterator[Sampler]:
    """Yield both classes, each with its two samplers."""
    for name, like in (
        ("GaussianDiffusion, DDPM", "ddpm, flow"),
        ("GaussianDiffusion, DDIM", "ddim, flow"),
    ):
        problem = Points()
        draw = partial(gaussian, problem, name.endswith("DDIM"))
        yield Sampler("denoising-diffusion-pytorch", name, problem, draw, like)
    for name, like in (
        ("ElucidatedDiffusion, stochastic Heun", "heun, flow"),
        ("ElucidatedDiffusion, DPM-Solver++ 2M", "dpm++, flow"),
    ):
        problem = Points()
        draw = partial(elucidated, problem, name.endswith("2M"))
        yield Sampler("denoising-diffusion-pytorch", name, problem, draw, like)


def gaussian(problem: Points, ddim: bool, samples: int, steps: int) -> Tensor:
    """Take the chain of that many steps, or a DDIM of as many out of 1,000."""
    network = Network()
    rule = GaussianDiffusion(
        network, image_size=1, timesteps=1000 if ddim else steps, sampling_timesteps=steps
    )

    def answer(x: Tensor, t: Tensor) -> Tensor:
        kept = rule.alphas_cumprod[t[0]].double()
        alpha, sigma = kept.sqrt(), (1 - kept).sqrt()
        mean = problem.mean(x, alpha / SCALE, sigma) / SCALE
        return (x * alpha.to(x.dtype).reciprocal() - mean) * (alpha / sigma).to(x.dtype)

    network.answer = answer
    if rule.objective != "pred_noise":  # the default is v = alpha e - sigma z
        network.answer = partial(_velocity, rule, answer)
    return _back(rule.sample(batch_size=samples))


def _velocity(rule: Any, noise: Callable[[Tensor, Tensor], Tensor], x: Tensor, t: Tensor) -> Tensor:
    kept = rule.alphas_cumprod[t[0]]
    e = noise(x, t)
    mean = (x - (1 - kept).sqrt() * e) / kept.sqrt()
    return kept.sqrt() * e - (1 - kept).sqrt() * mean


def elucidated(problem: Points, multistep: bool, samples: int, steps: int) -> Tensor:
    """Sample on Karras' grid from 80 to 0.002, with churn 80 by Heun's method."""
    network = Network(elucidated=True)
    rule = ElucidatedDiffusion(network, image_size=1, channels=2, num_sample_steps=steps)

    def answer(x: Tensor, t: Tensor) -> Tensor:
        sigma = (4 * t.double()).exp()[0]
        state = x / rule.c_in(sigma).to(x.dtype)
        mean = problem.mean(state, 1 / SCALE, sigma) / SCALE
        return (mean - rule.c_skip(sigma).to(x.dtype) * state) / rule.c_out(sigma).to(x.dtype)

    network.answer = answer
    draw = rule.sample_using_dpmpp if multistep else rule.sample
    return _back(draw(batch_size=samples))


def _back(images: Tensor) -> Tensor:
    return (images * 2 - 1).flatten(1) * SCALE
