"""Sampling images: in batches, with guidance, from drawn or given noise; and inverting them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from feller.core import random
from feller.core.checks import check_count, check_seed
from feller.core.generators import Flow
from feller.core.guidance import Guided
from feller.core.nn.modes import evaluating
from feller.core.pair_data import PairData
from feller.core.processes import shared
from feller.core.registry import load
from feller.core.solvers import Evaluation, follow, named_solver, simulate
from feller.images.conditions import Given, Plan
from feller.images.sampling import Sampling, mixed, plan_of, suited

__all__ = ["Request", "draw", "follow_images", "interpolate", "invert", "pairs", "slerp"]

_LAST = 0.999  # at t = 1 a model need not be finite


@dataclass(frozen=True, kw_only=True)
class Request:
    """The images to sample.

    Attributes:
        n: Number of images.
        labels: A label or a vector of numbers for each; None for any.
        seed: Image i depends on the seed and on i.
        noise: The states to start from; None draws them.
        given: What is known of the images.

    Raises:
        ValueError: On a negative number of images, an invalid seed, or noise for another number of
            images.
    """

    n: int
    labels: Int[Tensor, " n"] | Float[Tensor, "n d"] | None = None
    seed: int = 0
    noise: Float[Tensor, "n c h w"] | None = None
    given: Given | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        check_count("n", self.n)
        check_seed(self.seed)
        if self.noise is not None and len(self.noise) != self.n:
            raise ValueError(f"noise is one state an image, {self.n}, not {len(self.noise)}")

    def batches(self, size: int) -> Iterator[slice]:
        """Yield which images are drawn at once."""
        for start in range(0, self.n, size):
            yield slice(start, min(start + size, self.n))


def draw(model: Any, request: Request, sampling: Sampling) -> tuple[UInt8[Tensor, "n h w c"], int]:
    """Draw images; return them and the NFE (of the batch with most).

    Args:
        model: An `ImageModel`.
        request: What is asked for.
        sampling: How they are drawn.

    Raises:
        ValueError: On an unknown solver, guidance without labels, and numbers that are none.
    """
    _check(model, request, sampling)
    sampling, weak = suited(sampling, model), _weak(model, sampling.autoguidance)

    def some(rows: slice) -> tuple[Tensor, int]:
        with evaluating(model):
            z, calls = _simulate(model, rows, request, sampling, weak)
        if not z.isfinite().all():
            raise ValueError("the model returns images that are not finite: train it again")
        drawn = model.codec.decode(z)
        return request.given.finished(drawn) if request.given else drawn, calls

    found = list(shared(list(request.batches(sampling.batch_size)), some))
    channels, height, width = model.codec.shape
    empty = torch.empty((0, height, width, channels), dtype=torch.uint8)
    return torch.cat([empty, *(drawn for drawn, _ in found)]), max((n for _, n in found), default=0)


def _check(model: Any, request: Request, sampling: Sampling) -> None:
    labels, classes = request.labels, len(model.codec.classes)
    plain = bool(sampling.autoguidance) or bool((np.asarray(sampling.guidance) == 1).all())
    if labels is None and not plain:
        raise ValueError("guidance needs labels: without one there is nothing to guide to")
    null = False
    if labels is not None:
        dropped = labels.isnan() if labels.is_floating_point() else labels == classes
        null = bool(dropped.any())
    given = labels is not None and not null
    model.config.check_condition(labels=given, guidance=float(plain))
    if isinstance(sampling.guidance, tuple) and len(sampling.guidance) != request.n:
        raise ValueError(f"guidance is one for each of {request.n} images, not {sampling.guidance}")
    shape = (request.n, *model.codec.shape)
    if request.noise is not None and request.noise.shape != shape:
        raise ValueError(f"noise is (n, c, h, w) = {shape}, not {tuple(request.noise.shape)}")


def _weak(model: Any, name: str) -> Any:
    """Return the worse model that guides, or None."""
    if not name:
        return None
    weak = load(name, device=str(next(model.parameters()).device))
    for what in ("shape", "classes"):
        ours, theirs = (getattr(m.codec, what) for m in (model, weak))
        if ours != theirs:
            raise ValueError(f"{name} cannot guide: its {what} is {theirs}, not {ours}")
    return weak.eval()


def _simulate(
    model: Any, rows: slice, request: Request, sampling: Sampling, weak: Any
) -> tuple[Tensor, int]:
    plan, rng, condition = _prepared(model, rows, request, sampling, weak)
    simulation = simulate(plan.model, plan.x_0, plan.times, plan.solver, rng, condition=condition)
    return simulation.state.cpu(), simulation.nfe


def _prepared(
    model: Any, rows: slice, request: Request, sampling: Sampling, weak: Any
) -> tuple[Plan, Any, Tensor | None]:
    """Return what is simulated for some of the images, its randomness and its condition."""
    like = _like(model)
    rng = random.rows(request.seed, rows.start, rows.stop, stream="sample")
    if request.noise is None:
        shape = (rows.stop - rows.start, *model.codec.shape)
        x_0 = model.path.sample_source(shape, rng, like=like)
    else:
        x_0 = request.noise[rows].to(like)
    plan = Plan(_guided(model, sampling, weak, rows), *plan_of(sampling, model), x_0)
    if request.given:
        plan = request.given.applied(plan, model.codec, pixel_times=model.config.pixel_times)
    condition = None if request.labels is None else request.labels[rows].to(like.device)
    return plan, rng, condition


def follow_images(
    model: Any, request: Request, sampling: Sampling
) -> Iterator[tuple[UInt8[Tensor, "n h w c"], int]]:
    """Yield images before the first step and after each, with the network calls so far.

    The last ones are those of `draw`, in one batch.

    Raises:
        ValueError: As `draw`.

    Example:
        >>> from feller.images.recipes import drawn_flow
        >>> untrained = drawn_flow().model.build()
        >>> how = Sampling(steps=2, solver="euler")
        >>> [calls for _, calls in follow_images(untrained, Request(n=1), how)]
        [0, 1, 2]
    """
    _check(model, request, sampling)
    sampling, weak = suited(sampling, model), _weak(model, sampling.autoguidance)
    plan, rng, condition = _prepared(model, slice(0, request.n), request, sampling, weak)
    evaluation = Evaluation(plan.model, condition)
    with evaluating(model):
        yield model.codec.decode(plan.x_0.cpu()), 0
        for state in follow(evaluation, plan.x_0, plan.times, plan.solver, rng):
            shown = model.codec.decode(state.cpu())
            yield request.given.finished(shown) if request.given else shown, evaluation.nfe


def _guided(model: Any, sampling: Sampling, weak: Any, rows: slice = slice(None)) -> Guided:
    scale: Any = sampling.guidance
    if isinstance(scale, tuple):
        scale = torch.tensor(scale[rows], device=_like(model).device)
    return Guided(mixed(model, sampling), scale, sampling.interval, sampling.rescale, weak)


def _like(model: Any) -> Tensor:
    """Return an empty tensor of the states' kind."""
    like = next(model.parameters())
    # States are in single precision at least: half would round the steps away.
    return like.new_empty(0, dtype=torch.promote_types(like.dtype, torch.float32))


def invert(
    model: Any,
    images: UInt8[Tensor, "n h w c"],
    labels: Int[Tensor, " n"] | None = None,
    sampling: Sampling | None = None,
) -> Float[Tensor, "n c h w"]:
    """Return the noise from which a flow generates these images, by its steps backward in time.

    The images are taken as those of t = 0.999 without noise.

    Args:
        model: An `ImageModel` that returns flows.
        images: The images.
        labels: Their labels.
        sampling: How to step backward; by default with Heun's method.

    Raises:
        ValueError: When the model, or the solver, cannot run back.
    """
    if not all(issubclass(kind, Flow) for kind in model.kinds):
        names = ", ".join(sorted(kind.__name__ for kind in model.kinds))
        raise ValueError(f"only flows run back to their noise, and the model returns {names}")
    sampling = Sampling() if sampling is None else sampling
    sampling = replace(sampling, solver="heun") if sampling.solver == "auto" else sampling
    sampling = suited(replace(sampling, end=min(sampling.end or _LAST, _LAST)), model)
    times = sampling.times(model.path.schedule)
    like, schedule = _like(model), model.path.schedule
    z = schedule.alpha(times[-1]).to(like) * model.codec.encode((images, None))[0].to(like)
    request = Request(n=len(images), labels=labels)
    _check(model, request, sampling)
    guided = _guided(model, sampling, _weak(model, sampling.autoguidance))
    condition = None if labels is None else labels.to(like.device)
    with evaluating(model):
        back = simulate(
            guided, z, times.flip(0), named_solver(sampling.solver), condition=condition
        )
    return back.state.cpu()


def pairs(model: Any, request: Request, sampling: Sampling) -> PairData:
    """Return noises, and the images that a model draws from them, to train on (reflow).

    Source: Liu, Gong and Liu, arXiv 2209.03003, section 2.2. `save_pairs` writes them for the
    recipe `images/fashion-reflow`.

    Args:
        model: An `ImageModel`.
        request: The images to sample; noise is drawn if it has none.
        sampling: How images are drawn.

    Raises:
        ValueError: As `draw`.
    """
    noise = request.noise
    if noise is None:
        rng = random.rows(request.seed, 0, request.n, stream="sample")
        shape = (request.n, *model.codec.shape)
        noise = model.path.sample_source(shape, rng, like=_like(model)).cpu()
    images, _ = draw(model, replace(request, noise=noise), sampling)
    z, _ = model.codec.encode((images, None))
    return PairData(noise, z, request.labels)


def slerp(a: Tensor, b: Tensor, fraction: Float[Tensor, " n"]) -> Float[Tensor, "n c h w"]:
    """Return noises on the arc from one to another, as long as noise is.

    Source: Shoemake, SIGGRAPH 1985.

    Example:
        >>> a, b = torch.tensor([[[1.0, 0.0]]]), torch.tensor([[[0.0, 1.0]]])
        >>> slerp(a, b, torch.tensor([0.0, 0.5])).flatten(1)
        tensor([[1.0000, 0.0000],
                [0.7071, 0.7071]])
    """
    cosine = (a * b).sum() / (a.norm() * b.norm())
    angle = cosine.clamp(-1, 1).acos().clamp_min(1e-6)
    fraction = fraction.reshape(-1, *(1,) * a.ndim)
    return (((1 - fraction) * angle).sin() * a + (fraction * angle).sin() * b) / angle.sin()


def interpolate(
    model: Any,
    ends: UInt8[Tensor, "2 h w c"],
    n: int,
    label: Any = None,
    sampling: Sampling | None = None,
) -> UInt8[Tensor, "n h w c"]:
    """Interpolate between two images: sample from noises on the arc between theirs.

    Args:
        model: An `ImageModel` that returns flows.
        ends: The two images, which come first and last, as the model reconstructs them.
        n: How many images, the ends among them.
        label: A class for all.
        sampling: How they are drawn.

    Raises:
        ValueError: When the model cannot run back.
    """
    sampling = Sampling() if sampling is None else sampling
    first, last = invert(model, ends, model.labels(2, label), sampling)
    noise = slerp(first, last, torch.linspace(0, 1, n))
    return model.draw(n, model.labels(n, label), sampling, noise=noise)[0]
