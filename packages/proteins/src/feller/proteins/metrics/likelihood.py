"""How likely a model finds the sequences of native chains, given their backbones."""

import math
from collections.abc import Sequence
from typing import Any

import torch

from feller.core import random
from feller.core.cards import Metric
from feller.core.discrete.factors import Beside, Factor
from feller.core.intervals import mean_estimate
from feller.core.likelihood import elbo
from feller.core.nn.modes import evaluating
from feller.core.processes import shared
from feller.proteins.structure.chain import Chain

__all__ = ["KNOWN", "sequence_likelihood"]

KNOWN = 20
"""Names of residues; what is above is unknown, and is not counted."""


def sequence_likelihood(
    model: Any, chains: Sequence[Chain], *, draws: int = 8, seed: int = 0
) -> Metric:
    """Return the bits per residue of sequences given backbones, an upper bound.

    Backbones are at t = 1, residues are noised: minus the ELBO of the residue factor. Guessing
    each of twenty names alike costs 4.32 bits. The interval is over chains.

    Args:
        model: A protein model that was trained on residues.
        chains: Native chains; those with a residue without N, CA or C are left out.
        draws: Noisy sequences of each, a network call each.
        seed: Chooses them.

    Raises:
        ValueError: When no whole chain has a residue whose name is known.

    Example:
        >>> from feller.proteins.models import ProteinModelConfig
        >>> model = ProteinModelConfig().build()
        >>> metric = sequence_likelihood(model, model.sample(2, length=8, steps=2), draws=1)
        >>> metric.name
        'bits per residue'
    """
    whole = [chain for chain in chains if chain.has_frame.all()]

    def cost(i: int) -> float:
        rng = random.rows(seed, i, i + 1, stream="likelihood")
        return _bits(model, whole[i], draws, rng)

    with evaluating(model), torch.no_grad():
        bits = list(shared(range(len(whole)), cost))
    sizes = [int((chain.residues < KNOWN).sum()) for chain in whole]
    if not sum(sizes):
        raise ValueError("no residue of whole chains has a known name")
    value, low, high = mean_estimate(bits, sizes)
    how = f"upper bound, given backbones, {len(bits)} chains, {draws} draws each, seed {seed}"
    if len(whole) < len(chains):
        how += f"; {len(chains) - len(whole)} chains that lack atoms are left out"
    if not math.isfinite(low):
        return Metric(name="bits per residue", value=value, protocol=how)
    return Metric(name="bits per residue", value=value, low=low, high=high, protocol=how)


def _bits(model: Any, chain: Chain, draws: int, rng: Any) -> float:
    device = next(model.parameters()).device
    raw = {
        "atoms": torch.as_tensor(chain.atoms)[None].float().to(device),
        "residues": torch.as_tensor(chain.residues)[None].long().to(device),
        "index": torch.as_tensor(chain.positions)[None].long().to(device),
    }
    state, index = model.codec.encode(raw)
    residue = state.pop("residue")
    beside = Beside(state, dict.fromkeys(state, 1.0), index)
    factor, counted = Factor(model, "residue"), residue < KNOWN
    bound = elbo(factor, residue, rng, draws=draws, counted=counted, condition=beside)
    return -float(bound.nats) / math.log(2)
