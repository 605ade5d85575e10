"""rectified-flow's StochasticCurvedEulerSampler: data are -1 and 1 with probabilities .3 and .7.

By default half of the noise is replaced at every step, however short, and the chain settles at each
time in a distribution of its own, more steps or not. uv run --with rectified-flow --with torch FILE
"""

import torch
from rectified_flow.rectified_flow import RectifiedFlow
from rectified_flow.samplers.stochastic_curved_euler_sampler import StochasticCurvedEulerSampler


def velocity(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """Return the exact velocity: the posterior mean is a tanh."""
    t = float(t.flatten()[0])
    mean = (x * t / (1 - t) ** 2 + torch.tensor(0.7 / 0.3).log() / 2).tanh()
    return (mean - x) / (1 - t)


for rate in ({}, {"noise_replacement_rate": "ddpm"}):
    for steps in (16, 64, 256):
        flow = RectifiedFlow(data_shape=(1,), velocity_field=velocity)
        loop = StochasticCurvedEulerSampler(flow, num_steps=steps, num_samples=50_000, **rate)
        right = float((loop.sample_loop().x_t > 0).float().mean())
        print(rate or "default", steps, f"P(1) = {right:.3f}, right: 0.7")
