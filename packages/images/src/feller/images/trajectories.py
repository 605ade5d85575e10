"""How images come about: the states on the way, as a film, and where and when pixels jump.

States are those at which the model is asked, so a film has as many pictures as there are such
times. Between two of them a pixel jumped if it is not where the drift took it.
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Shaped, UInt8
from torch import Tensor

from feller.images.sampling import Sampling

__all__ = ["Jumps", "Moment", "Trajectory", "trajectory"]

_JUMP = 0.05  # of [-1, 1]: six gray levels, more than second-order steps bend


class Moment(NamedTuple):
    """What the model was asked, and how far it drifts.

    Attributes:
        time: When.
        state: The state.
        drift: Of the generator; None where it only jumps.
    """

    time: float
    state: Shaped[Tensor, "n c h w"]
    drift: Float[Tensor, "n c h w"] | None


class Jumps(NamedTuple):
    """Where and when pixels jump.

    Attributes:
        times: The middle of each step.
        where: Whether a pixel jumped in it, in any channel.
    """

    times: Float[Tensor, " steps"]
    where: Bool[Tensor, "steps n h w"]

    def counts(self) -> Int[Tensor, "n h w"]:
        """Return how often each pixel jumped."""
        return self.where.sum(0)

    def last(self) -> Float[Tensor, "n h w"]:
        """Return when each pixel jumped last; 0 where it never did."""
        return (self.times[:, None, None, None] * self.where).amax(0)

    def picture(self) -> UInt8[Tensor, "n h w 1"]:
        """Return images of the time of the last jump: black for none, white for t = 1."""
        return (255 * self.last()[..., None]).round().to(torch.uint8)


@dataclass(frozen=True)
class Trajectory:
    """Images, and how they came about.

    Attributes:
        moments: What the model was asked, in the order of time.
        images: The images.
        end: The last time.
        nfe: Network calls.
        codec: What makes images of states.
        guided: Whether drifts are not those of the model alone.
    """

    moments: tuple[Moment, ...]
    images: UInt8[Tensor, "n h w c"]
    end: float
    nfe: int
    codec: Any
    guided: bool = False

    def film(self) -> UInt8[Tensor, "frames n h w c"]:
        """Return the images at each time, the last ones at the end."""
        return torch.stack([*(self.codec.decode(m.state) for m in self.moments), self.images])

    def jumps(self) -> Jumps:
        """Return where and when pixels jumped.

        Raises:
            ValueError: When they were guided: what drift moved them is not known.
        """
        if self.guided:
            raise ValueError("jumps are found by the drift, which guidance changes: give none")
        shown, _ = self.codec.encode((self.images, None))
        last = Moment(self.end, shown, None)
        steps = list(pairwise([*self.moments, last]))
        pairs = [(_moved(before, after.time), after.state) for before, after in steps]
        if shown.is_floating_point():  # images have nothing beyond white
            pairs[-1] = pairs[-1][0].clamp(-1, 1), shown
        where = torch.stack([((x - y).abs() > _JUMP).any(1) for x, y in pairs])
        return Jumps(torch.tensor([(a.time + b.time) / 2 for a, b in steps]), where)


def trajectory(
    model: Any,
    n: int,
    labels: Int[Tensor, " n"] | None,
    sampling: Sampling,
    **drawing: Any,
) -> Trajectory:
    """Draw the images that `model.draw` draws, and keep what happens on the way.

    Args:
        model: An image model.
        n: Images.
        labels: Their labels, or None.
        sampling: How they are drawn.
        drawing: What else `model.draw` takes, such as a seed.

    Raises:
        ValueError: As of `model.draw`, and when its solver never asks for a generator.

    Example:
        >>> from feller.images.recipes import drawn_flow
        >>> untrained = drawn_flow().model.build()
        >>> trajectory(untrained, 2, None, Sampling(steps=3, solver="euler")).film().shape
        torch.Size([4, 2, 28, 28, 1])
    """
    seen: dict[float, Moment] = {}

    def see(_: Any, given: Any, generator: Any) -> None:
        x, t = given[:2]
        time = float(torch.as_tensor(t).flatten()[0])
        # Of several states at one time, such as a predicted and a corrected one, the last counts.
        seen[time] = Moment(time, x.cpu(), _drift(generator))

    handle = model.register_forward_hook(see)
    try:
        whole = replace(sampling, batch_size=max(1, n))
        images, nfe = model.draw(n, labels, whole, **drawing)
    finally:
        handle.remove()
    if not seen:
        raise ValueError(f"the solver {sampling.solver} asks for no generators: nothing to show")
    end = 1.0 if sampling.end is None else sampling.end
    moments = tuple(seen[time] for time in sorted(seen) if time < end)
    guided = sampling.guidance != 1
    return Trajectory(moments, images, end, nfe, model.codec, guided)


def _drift(generator: Any) -> Tensor | None:
    """Return the drift of a generator; None of one that only jumps, as all on tokens do."""
    try:
        drift = generator.split().drift
    except LookupError:
        return None
    return None if drift is None else drift.cpu()


def _moved(moment: Moment, time: float) -> Shaped[Tensor, "n c h w"]:
    """Return where the drift takes a state."""
    if moment.drift is None:
        return moment.state
    return moment.state + (time - moment.time) * moment.drift
