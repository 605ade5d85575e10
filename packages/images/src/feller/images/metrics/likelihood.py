"""Bits per dimension of test images: how likely a model finds them."""

import torch
from torch import Tensor

from feller.core import random
from feller.core.cards import Metric
from feller.core.generators import Flow
from feller.core.grids import uniform_grid
from feller.core.intervals import mean_estimate
from feller.core.likelihood import (
    BYTES,
    HutchinsonTrace,
    Strata,
    bits_per_dimension,
    elbo,
    evidence_bound,
    log_likelihood,
)
from feller.core.nn.modes import evaluating
from feller.core.solvers import MIDPOINT, RungeKutta
from feller.images.data import ImageData
from feller.images.metrics.splits import some_of, splits
from feller.images.models import ImageModel

__all__ = ["likelihood"]


def likelihood(
    model: ImageModel, data: ImageData, *, n: int = 16, steps: int = 20, seed: int = 0
) -> Metric:
    """Return the bits per dimension of test images, an upper bound, with its interval over them.

    A flow's is its density at bytes that are spread evenly over their cells, with one probe of the
    trace; each step costs two network calls with a backward pass behind each; so has a model with a
    flow among its parts. Any other process has its ELBO, two network calls a step, or of images
    that are tokens one, whose bits are those of their grey levels.

    Args:
        model: The model; it is asked with the null condition, or with labels if it always was.
        data: Where its data are; `n` random images of the test split are measured.
        n: Images.
        steps: Steps of the ODE, strata of time, or draws of tokens.
        seed: Chooses images and noise.

    Raises:
        DataError: When data are missing or corrupt.
        ValueError: When there are no images or steps, or the process has no likelihood.

    Example:
        >>> from feller.images.recipes import drawn_flow
        >>> untrained = drawn_flow().model.build()
        >>> likelihood(untrained, ImageData(source="drawn"), n=2, steps=1).name
        'bits per dimension'
    """
    if n < 1 or steps < 1:
        raise ValueError(f"a likelihood needs an image and a step, not {n} and {steps}")
    real = splits(model, data)
    test, labels, name = real.test, real.labels, real.name
    device, rng = next(model.parameters()).device, torch.Generator().manual_seed(seed)
    z = model.codec.encode((some_of(test, n, seed), None))[0].to(device)
    condition = None
    if model.config.condition_drop == 0:
        if labels is None:
            raise ValueError("the model always had a label, and the test images have none")
        labels = model.codec.scaled(labels) if model.codec.numbers else labels
        condition = some_of(labels, n, seed).to(device)
    with evaluating(model):
        of = _of_levels if model.codec.levels else _of_flow if Flow in model.kinds else _of_bound
        bits, nfe = of(model, z, condition, steps, rng)
    value, low, high = mean_estimate(bits.double().tolist())
    kind = "ODE of its flow" if Flow in model.kinds else "ELBO"
    of_levels = f" of {model.codec.levels} grey levels" if model.codec.levels else ""
    how = f"upper bound, {kind}{of_levels}, {len(z)} test images of {name}, seed {seed}, NFE {nfe}"
    if len(z) == 1:
        return Metric(name="bits per dimension", value=value, protocol=how)
    return Metric(name="bits per dimension", value=value, low=low, high=high, protocol=how)


def _of_flow(
    model: ImageModel, z: Tensor, condition: Tensor | None, steps: int, rng: torch.Generator
) -> tuple[Tensor, int]:
    """Return bits per dimension by the ODE, and its network calls."""
    spread = z + (random.uniform(z.shape, rng, like=z) - 0.5) / BYTES
    found = log_likelihood(
        model,
        spread,
        times=uniform_grid(steps, end=1 - 1e-4),
        solver=RungeKutta(MIDPOINT),
        trace=HutchinsonTrace(rng),
        condition=condition,
    )
    return bits_per_dimension(found.nats, z[0].numel(), scale=BYTES), found.nfe


def _of_bound(
    model: ImageModel, z: Tensor, condition: Tensor | None, steps: int, rng: torch.Generator
) -> tuple[Tensor, int]:
    """Return bits per dimension by the ELBO on the bytes, and its network calls."""
    levels = torch.arange(256, device=z.device) / BYTES - 1
    found = evidence_bound(
        model, z, strata=Strata(steps), levels=levels, rng=rng, condition=condition
    )
    return bits_per_dimension(found.nats, z[0].numel()), found.nfe


def _of_levels(
    model: ImageModel, z: Tensor, condition: Tensor | None, steps: int, rng: torch.Generator
) -> tuple[Tensor, int]:
    """Return bits per dimension by the ELBO of tokens, and its network calls."""
    found = elbo(model, z, rng, draws=steps, condition=condition)
    return bits_per_dimension(found.nats, z[0].numel()), found.nfe
