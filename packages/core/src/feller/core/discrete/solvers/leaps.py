r"""Leaps along a grid: the two chains of the path, each element moved at most once a step.

Within a step elements do not see each other move, so the distribution errs by O(1 / steps); where
elements are independent, or there is one, a step of any length is exact.

Source: the forward chain, Gat et al., arXiv 2407.15595; the reverse one, Austin et al., arXiv
2107.03006 and Schiff et al., arXiv 2412.10193.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from feller.core import random
from feller.core.discrete.kernel import jump_probability
from feller.core.discrete.solvers.base import Prediction, TokenSolver, uniforms
from feller.core.discrete.solvers.state import TokenState
from feller.core.typing import Rng

__all__ = ["Ancestral", "Leap", "finish", "renoise"]


@dataclass
class Leap(TokenSolver):
    """The forward chain: each element jumps with its exact probability, to a posterior draw.

    With a mask source only masks jump, once. With others, an element may jump again: the chain
    corrects itself, most while kappa is small. The model takes kappa, not time, so any grid of
    times works.
    """

    def move(
        self, prediction: Prediction, state: TokenState, later: Float[Tensor, " b"], rng: Rng
    ) -> TokenState:
        """Move, and end the turn of rows in which nothing is left to move."""
        return finish(prediction, self.leap(prediction, state, later, rng))

    def leap(
        self, prediction: Prediction, state: TokenState, later: Float[Tensor, " b"], rng: Rng
    ) -> TokenState:
        """Let elements jump, and draw where they jumped."""
        u = uniforms(state.x.shape, rng, state.x)
        jumps = jump_probability(state.reached, later)
        fired = prediction.undecided(state) & (u < jumps[:, None])
        ids, log_prob, asked = prediction.draw(state, fired, rng)
        return replace(asked, reached=later).arrive(fired, ids, log_prob)


@dataclass
class Ancestral(TokenSolver):
    r"""The reversed noising chain: an element is drawn from q(x_s | x_t, x), x from the posterior.

    With a = kappa_t / kappa_s and pi the source, an element that is not x leaves with probability
    :math:`(1 - a) / (1 - \kappa_t)`, to x with probability kappa_s, else to a draw of the source.
    One that is x leaves less often, by the factor :math:`g(z) / q(z|z)`. So the elements that may
    leave are known before the network call, and thinned after it. With a mask source it is the
    forward chain.
    """

    def move(
        self, prediction: Prediction, state: TokenState, later: Float[Tensor, " b"], rng: Rng
    ) -> TokenState:
        """Move, and end the turn of rows in which nothing is left to move."""
        return finish(prediction, self.leap(prediction, state, later, rng))

    def leap(
        self, prediction: Prediction, state: TokenState, later: Float[Tensor, " b"], rng: Rng
    ) -> TokenState:
        """Let elements leave for the data or for the source."""
        leaves, routes, thins = (uniforms(state.x.shape, rng, state.x) for _ in range(3))
        leaving = (1 - state.reached / later) / (1 - state.reached)
        fired = prediction.undecided(state) & (leaves < leaving[:, None])
        noisy = routes >= later[:, None]
        is_token = state.x < prediction.model.vocabulary.sampleable
        matters = fired & (is_token | ~noisy)  # a mask is not the data, and needs no asking
        ids, log_prob, asked = prediction.draw(state, matters, rng)
        kernel = prediction.kernel(state.kappa)
        kept = (kernel.log_noise(state.x) - kernel.log_prob(state.x, state.x)).exp()
        data = state.x.masked_scatter(matters, ids)
        leaves_for = fired & ((data != state.x) | (is_token & (thins < kept)) | ~matters)
        clean, noised = leaves_for & ~noisy, leaves_for & noisy
        moved = replace(asked, reached=later)
        moved = moved.arrive(clean, ids[clean[matters]], log_prob[clean[matters]])
        return renoise(prediction, moved, noised, rng)


def renoise(
    prediction: Prediction, state: TokenState, where: Bool[Tensor, "b n"], rng: Rng
) -> TokenState:
    """Draw some elements from the source."""
    count = int(where.sum())
    if not count:
        return state
    source = prediction.model.path.source
    drawn = source.sample((count,), random.ragged(rng, where), like=state.x)
    return state.arrive(where, drawn, prediction.log_source[drawn])


def finish(prediction: Prediction, state: TokenState) -> TokenState:
    """End the turn of rows in which nothing is left to move."""
    left = prediction.undecided(state).any(1)
    return replace(state, reached=torch.where(left, state.reached, 1.0))
