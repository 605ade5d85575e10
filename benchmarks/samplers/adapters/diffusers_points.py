"""diffusers' continuous schedulers, in the loop of their documentation.

Time runs from 999 (noise) to 0 (data). A network is given the scaled state, of variance 1, and the
time, and answers with the noise; at a time between two of training sigma is interpolated in its
logarithm. Flow schedulers have time = 1000 sigma, x = (1 - sigma) z + sigma e, and want e - z. Data
are not images, so `clip_sample` is off; else settings are the defaults, or said in the name.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import diffusers
import torch
from problems import Points
from sampler import Sampler
from torch import Tensor

__all__ = ["samplers"]

NOISE = (
    # name, scheduler, settings, feller's of the same kind
    ("DDPM", "DDPMScheduler", {"clip_sample": False}, "ddpm, flow"),
    (
        "DDPM, fixed_large",
        "DDPMScheduler",
        {"clip_sample": False, "variance_type": "fixed_large"},
        "ddpm, flow",
    ),
    (
        "DDPM, trailing",
        "DDPMScheduler",
        {"clip_sample": False, "timestep_spacing": "trailing"},
        "ddpm, flow",
    ),
    ("DDIM", "DDIMScheduler", {"clip_sample": False}, "ddim, flow"),
    (
        "DDIM, trailing",
        "DDIMScheduler",
        {"clip_sample": False, "timestep_spacing": "trailing"},
        "ddim, flow",
    ),
    ("DDIM, eta 1", "DDIMScheduler", {"clip_sample": False, "eta": 1.0}, "ddpm, flow"),
    ("PNDM", "PNDMScheduler", {}, "dpm++, flow"),
    ("DPM-Solver++ 2M", "DPMSolverMultistepScheduler", {}, "dpm++, flow"),
    ("DPM-Solver++ 3M", "DPMSolverMultistepScheduler", {"solver_order": 3}, "dpm++, flow"),
    (
        "SDE-DPM-Solver++ 2M",
        "DPMSolverMultistepScheduler",
        {"algorithm_type": "sde-dpmsolver++"},
        "ddpm, flow",
    ),
    ("DPM-Solver++ 2S", "DPMSolverSinglestepScheduler", {}, "dpm++, flow"),
    ("DPM-Solver SDE", "DPMSolverSDEScheduler", {}, "ddpm, flow"),
    ("DEIS", "DEISMultistepScheduler", {}, "dpm++, flow"),
    ("UniPC", "UniPCMultistepScheduler", {}, "dpm++, flow"),
    ("SA-Solver", "SASolverScheduler", {}, "ddpm, flow"),
    ("Euler", "EulerDiscreteScheduler", {}, "ddim, flow"),
    ("Euler, Karras", "EulerDiscreteScheduler", {"use_karras_sigmas": True}, "ddim, flow"),
    ("Euler ancestral", "EulerAncestralDiscreteScheduler", {}, "ddpm, flow"),
    ("Heun", "HeunDiscreteScheduler", {}, "heun, flow"),
    ("KDPM2", "KDPM2DiscreteScheduler", {}, "midpoint, flow"),
    ("KDPM2 ancestral", "KDPM2AncestralDiscreteScheduler", {}, "ddpm, flow"),
    ("LMS", "LMSDiscreteScheduler", {}, "dpm++, flow"),
)
EDM = (
    ("EDM Euler", "EDMEulerScheduler", {}, "ddim, flow"),
    ("EDM DPM-Solver++ 2M", "EDMDPMSolverMultistepScheduler", {}, "dpm++, flow"),
)
FLOW = (
    ("FlowMatchEuler", "FlowMatchEulerDiscreteScheduler", {}, "euler, flow"),
    ("FlowMatchEuler, shift 3", "FlowMatchEulerDiscreteScheduler", {"shift": 3.0}, "euler, flow"),
    ("FlowMatchHeun", "FlowMatchHeunDiscreteScheduler", {}, "heun, flow"),
    ("LTX Euler ancestral", "LTXEulerAncestralRFScheduler", {}, "euler_maruyama, diffusion"),
    (
        "DPM-Solver++ 2M, flow",
        "DPMSolverMultistepScheduler",
        {"use_flow_sigmas": True, "prediction_type": "flow_prediction"},
        "dpm++, flow",
    ),
    (
        "UniPC, flow",
        "UniPCMultistepScheduler",
        {"use_flow_sigmas": True, "prediction_type": "flow_prediction"},
        "dpm++, flow",
    ),
)


def samplers() -> Iterator[Sampler]:
    """Yield the schedulers."""
    for group, answer in ((NOISE, noise), (EDM, edm), (FLOW, flow)):
        for name, scheduler, settings, like in group:
            yield _sampler(name, like, partial(loop, scheduler, settings, answer))
    yield _sampler("ScoreSdeVe, one corrector step", "euler_maruyama, diffusion", score_sde)


def _sampler(name: str, like: str, draw: Callable[[Points, int, int], Tensor]) -> Sampler:
    problem = Points()
    return Sampler("diffusers", name, problem, partial(draw, problem), like)


def loop(
    scheduler: str,
    settings: dict[str, Any],
    answer: Callable[..., Tensor],
    problem: Points,
    samples: int,
    steps: int,
) -> Tensor:
    """Follow a scheduler's times, as a pipeline does; `eta` is DDIM's, given at each step."""
    extra = {"eta": settings["eta"]} if "eta" in settings else {}
    rule = getattr(diffusers, scheduler)(**{k: settings[k] for k in settings.keys() - {"eta"}})
    rule.set_timesteps(steps)
    x = torch.randn(samples, 2, 1, 1)
    x = x if answer is flow else x * rule.init_noise_sigma
    for t in rule.timesteps:
        given = x if answer is flow else rule.scale_model_input(x, t)
        x = rule.step(answer(rule, problem, given, t), t, x, **extra).prev_sample
    return x


def noise(rule: Any, problem: Points, x: Tensor, t: Tensor) -> Tensor:
    """Answer with the noise in a state of variance 1 at a time of training."""
    kept = rule.alphas_cumprod.double()
    levels = ((1 - kept) / kept).sqrt().log()
    time = min(max(float(t), 0.0), len(kept) - 1.0)
    below = min(int(time), len(kept) - 2)
    sigma = torch.lerp(levels[below], levels[below + 1], time - below).exp()
    root = (1 + sigma**2).sqrt()
    return problem.noise(x, 1 / root, sigma / root)


def edm(rule: Any, problem: Points, x: Tensor, t: Tensor) -> Tensor:
    """Answer with the output of EDM's preconditioned network, whose time is log(sigma) / 4."""
    sigma = (4 * t.double()).exp()
    root = (sigma**2 + rule.config.sigma_data**2).sqrt()
    state = x * root.to(x.dtype)
    kept = rule.config.sigma_data**2 / root**2
    mean = problem.mean(state, 1.0, sigma)
    return (mean - kept.to(x.dtype) * state) * (root / (sigma * rule.config.sigma_data)).to(x.dtype)


def flow(rule: Any, problem: Points, x: Tensor, t: Tensor) -> Tensor:
    """Answer with e - z."""
    sigma = (t.double() / 1000).clamp_min(1e-6)
    return (x - problem.mean(x, 1 - sigma, sigma)) / sigma.to(x.dtype)


def score_sde(problem: Points, samples: int, steps: int) -> Tensor:
    """Follow the predictor and corrector of `ScoreSdeVePipeline`, and take the last mean."""
    rule = diffusers.ScoreSdeVeScheduler()
    rule.set_timesteps(steps)
    rule.set_sigmas(steps)
    x = mean = torch.randn(samples, 2, 1, 1) * rule.init_noise_sigma
    for i, t in enumerate(rule.timesteps):
        sigma = rule.sigmas[i]
        for _ in range(rule.config.correct_steps):
            x = rule.step_correct(problem.score(x, 1.0, sigma), x).prev_sample
        made = rule.step_pred(problem.score(x, 1.0, sigma), t, x)
        x, mean = made.prev_sample, made.prev_sample_mean
    return mean
