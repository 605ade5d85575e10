r"""Event by event: the exact chain of a mask source, one network call an event.

While m elements are masked the next reveal comes when :math:`1 - \kappa` has shrunk by the m-th
root of a uniform, and each of the m is as likely to be the one. Between events nothing changes, so
nothing is asked.

Source: Zheng et al., arXiv 2409.02908, the first-hitting sampler.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from feller.core.discrete.solvers.base import Oracle, Scheme, uniforms
from feller.core.discrete.solvers.state import Chains
from feller.core.typing import Rng

__all__ = ["FirstHitting", "check_masks", "first_in_rows"]


@dataclass(frozen=True)
class FirstHitting(Scheme):
    """Reveal masks in a random order, at the times of the chain.

    Attributes:
        per_call: Reveals a network call. At 1 the law is that of the model, with as many calls as
            tokens; with more, those revealed together do not see each other.
    """

    per_call: int = 1

    def __post_init__(self) -> None:
        """Refuse to reveal none."""
        if self.per_call < 1:
            raise ValueError(f"a call reveals at least one token, not {self.per_call}")

    def step(self, oracle: Oracle, chains: Chains, rng: Rng) -> Chains:
        """Reveal the next few, at the time of the last of them."""
        check_masks(self, oracle)
        masked = oracle.undecided(chains)
        count = masked.sum(1)
        later = self._clock(chains.clock, count, rng)
        keys = uniforms(chains.x.shape, rng, chains.x)
        chosen = first_in_rows(keys, masked, count.clamp_max(self.per_call))
        ids, log_prob, asked = oracle.draw(chains, chosen, rng)
        moved = replace(asked, clock=later, steps=chains.steps + 1).arrive(chosen, ids, log_prob)
        return replace(moved, clock=torch.where(count > self.per_call, later, 1.0))

    def _clock(self, clock: Tensor, count: Tensor, rng: Rng) -> Float[Tensor, " b"]:
        u = uniforms((len(count), self.per_call), rng, clock)
        left = count[:, None] - torch.arange(self.per_call, device=count.device)
        shrinks = torch.where(left > 0, u.log() / left.clamp_min(1), 0.0).sum(1).exp()
        return 1 - (1 - clock) * shrinks


def first_in_rows(
    keys: Float[Tensor, "b n"], among: Bool[Tensor, "b n"], count: Int[Tensor, " b"]
) -> Bool[Tensor, "b n"]:
    """Say which elements have the least keys of their row among some; ties go to the left.

    Example:
        >>> keys, among = torch.tensor([[0.3, 0.1, 0.2]]), torch.tensor([[True, False, True]])
        >>> first_in_rows(keys, among, torch.tensor([1]))
        tensor([[False, False,  True]])
    """
    rank = keys.masked_fill(~among, torch.inf).argsort(stable=True, dim=1).argsort(1)
    return among & (rank < count[:, None])


def check_masks(scheme: Scheme, oracle: Oracle) -> None:
    """Refuse a source that is not all mask.

    Raises:
        ValueError: When it draws tokens.
    """
    if not oracle.hides:
        source = type(oracle.model.path.source).__name__
        raise ValueError(f"{type(scheme).__name__} reveals masks, but the source is {source}")
