"""smalldiffusion's sampler: the state is z + sigma e, a model answers with e."""

from collections.abc import Iterator
from functools import partial

from accelerate import Accelerator
from problems import Points
from sampler import Sampler
from smalldiffusion import ModelMixin, ScheduleLogLinear, samples
from torch import Tensor, nn

__all__ = ["samplers"]


class Exact(nn.Module, ModelMixin):
    """The exact noise."""

    input_dims = (2,)

    def __init__(self, problem: Points) -> None:
        super().__init__()
        self.problem = problem

    def forward(self, x: Tensor, sigma: Tensor, cond: None = None) -> Tensor:
        """Return the mean of e."""
        return self.problem.noise(x, 1.0, sigma)


def samplers() -> Iterator[Sampler]:
    """Yield the three settings its documentation names."""
    for name, gam, mu, like in (
        ("DDIM", 1.0, 0.0, "ddim, flow"),
        ("DDPM", 1.0, 0.5, "ddpm, flow"),
        ("accelerated", 2.0, 0.0, "dpm++, flow"),
    ):
        problem = Points()
        draw = partial(draw_from, problem, gam, mu)
        yield Sampler("smalldiffusion", f"samples, {name}", problem, draw, like)


def draw_from(problem: Points, gam: float, mu: float, number: int, steps: int) -> Tensor:
    """Sample from sigma 20 to 0.005."""
    schedule = ScheduleLogLinear(N=1000, sigma_min=0.005, sigma_max=20)
    sigmas = schedule.sample_sigmas(steps)
    cpu = Accelerator(cpu=True)
    *_, last = samples(Exact(problem), sigmas, gam, mu, batchsize=number, accelerator=cpu)
    return last
