r"""Guidance of whole transitions: where a token goes and whether it goes are bent together.

With a source that is uniform a token that has arrived may leave again. So a condition speaks for
staying, too, and Schiff et al. mix the distributions of the next state, not of the data: from z
they draw y with

.. math:: \log p(y | z) = w \log p_c(y | z) + (1 - w) \log p_0(y | z) + \mathrm{const},

where :math:`p(y | z) \propto q(z | y) \big[ \kappa_s \tilde p(y) + (1 - \kappa_s) \pi(y) \big]` is
the step of the reversed noising chain under the leave-one-out distribution :math:`\tilde p`, and
:math:`q(z | y)` the noise from :math:`\kappa_s` to :math:`\kappa_t`. In short steps that is a chain
whose rates are :math:`R_c^w R_0^{1 - w}`, those of Nisonoff et al.

Sources: Schiff et al., arXiv 2412.10193, D-CFG with uniform noise; Nisonoff et al., arXiv
2406.01572.
"""

from dataclasses import dataclass, replace

from jaxtyping import Bool, Float
from torch import Tensor

from feller.core import random
from feller.core.discrete.categorical import Shaping, draw_weighted
from feller.core.discrete.solvers.base import Prediction, TokenSolver, uniforms
from feller.core.discrete.solvers.leaps import finish
from feller.core.discrete.solvers.state import TokenState
from feller.core.guidance import extrapolate
from feller.core.typing import Rng

__all__ = ["GuidedAncestral"]


@dataclass
class GuidedAncestral(TokenSolver):
    """Ancestral steps of a model guided by itself without its condition, for any source.

    A step asks the network for every element that may move, and makes tables of all ids for them.
    It takes no temperature, top-k or top-p.

    Attributes:
        scale: 0 is the unconditional model, 1 the conditional one, above 1 guided.

    Example:
        >>> from feller.text.recipes import stdlib_uniform
        >>> from feller.core.solvers import simulate
        >>> model = stdlib_uniform().model.build().eval()
        >>> x = model.path.sample_source((2, 8), None)
        >>> simulate(model, x, [0.0, 0.5, 1.0], GuidedAncestral()).state.shape
        torch.Size([2, 8])
    """

    scale: float = 2.0

    def move(
        self, prediction: Prediction, state: TokenState, later: Float[Tensor, " b"], rng: Rng
    ) -> TokenState:
        """Draw the next state of every element that may move."""
        if replace(prediction.shaping, without=()) != Shaping():
            raise ValueError("guided transitions take no temperature, top_k or top_p")
        where = prediction.undecided(state)
        if not where.any():
            return finish(prediction, replace(state, reached=later))
        log_p, asked = self._guided(prediction, state, where, later)
        u = uniforms((len(log_p),), random.ragged(rng, where), log_p)
        ids = draw_weighted(log_p.exp(), u)
        moves = ids != state.x[where]
        moved = replace(asked, reached=later)
        log_prob = log_p.gather(-1, ids[:, None])[:, 0]
        there = where.masked_scatter(where, moves)
        return finish(prediction, moved.arrive(there, ids[moves], log_prob[moves]))

    def _guided(
        self, prediction: Prediction, state: TokenState, where: Bool[Tensor, "b n"], later: Tensor
    ) -> tuple[Float[Tensor, "m k"], TokenState]:
        """Return the log-probabilities of the next state of some elements."""
        if self.scale == 1 or prediction.condition is None:
            return _transition(prediction, state, where, later)
        prediction.model.check_condition(None)
        plain = replace(prediction, condition=prediction.model.unconditional(prediction.condition))
        without, asked = _transition(plain, state, where, later)
        if self.scale == 0:
            return without, asked
        with_, asked = _transition(prediction, asked, where, later)
        return extrapolate(without, with_, self.scale).log_softmax(-1), asked


def _transition(
    prediction: Prediction,
    state: TokenState,
    where: Bool[Tensor, "b n"],
    later: Float[Tensor, " b"],
) -> tuple[Float[Tensor, "m k"], TokenState]:
    """Return log p(y | z) of every id y for some elements, in float64."""
    logits, asked = prediction.logits(state, where)
    bonus = prediction.evidence(state, where, "leave_one_out")
    logits = logits.double()
    if bonus is not None:
        logits = logits.scatter_add(-1, bonus.ids[:, None], bonus.logits[:, None])
    z, row = state.x[where], where.nonzero()[:, 0]
    pi = prediction.log_source.exp()
    kept = (state.reached / later)[row, None]  # of what was data at kappa_s
    kappa = later[row, None]
    data = logits.new_zeros(len(z), len(pi))
    data[:, : logits.shape[-1]] = logits.softmax(-1)
    noise = (1 - kept) * pi[z][:, None]
    seen = noise.expand_as(data).scatter_add(-1, z[:, None], kept)
    return (seen * (kappa * data + (1 - kappa) * pi)).log().log_softmax(-1), asked
