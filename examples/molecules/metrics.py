"""Are these molecules? Bonds are read off distances, and must fill the valence of each atom.

As EDM measures it (Hoogeboom et al., arXiv 2203.17003): a bond of order k is there where two atoms
are nearer than its typical length and a margin. An atom is stable whose orders add up to its
valence, a molecule whose atoms all are. It is valid if RDKit can make sense of its bonds.
"""

from collections.abc import Mapping, Sequence

import torch
from molecules.data import ELEMENTS
from torch import Tensor

from feller.core.intervals import Estimate, mean_estimate, wilson_interval

MARGIN = (10, 5, 3)  # picometres by which a single, double and triple bond may be too long
LENGTHS = {  # of single, double and triple bonds, in picometres
    "HH": (74,), "HC": (109,), "HN": (101,), "HO": (96,), "HF": (92,),
    "CC": (154, 134, 120), "CN": (147, 129, 116), "CO": (143, 120, 113), "CF": (135,),
    "NN": (145, 125, 110), "NO": (140, 121), "NF": (136,),
    "OO": (148, 121), "OF": (142,), "FF": (142,),
}  # fmt: skip
VALENCE = torch.tensor([1, 4, 3, 2, 1])
EDM = {"atom stability": 0.987, "molecule stability": 0.820, "validity": 0.919}

REACH = torch.zeros(3, len(ELEMENTS), len(ELEMENTS))  # by order and elements, in Angstrom
for (a, b), lengths in LENGTHS.items():
    for order, length in enumerate(lengths):
        i, j = ELEMENTS.index(a), ELEMENTS.index(b)
        REACH[order, i, j] = REACH[order, j, i] = (length + MARGIN[order]) / 100

Molecule = Mapping[str, Tensor]


def bonds(molecule: Molecule) -> Tensor:
    """Return the order of the bond of each pair of atoms, 0 for none."""
    element, place = molecule["element"], molecule["position"].double()
    away = (place[:, None] - place).norm(dim=-1).fill_diagonal_(torch.inf)
    # Two atoms are a double bond apart only if they are near enough for a single one, and so on.
    return (away < REACH[:, element[:, None], element]).long().cumprod(0).sum(0)


def smiles(molecule: Molecule) -> str | None:
    """Return what RDKit reads, the largest part of it; None where it cannot."""
    from rdkit import Chem, RDLogger

    RDLogger.DisableLog("rdApp.*")  # pyright: ignore[reportAttributeAccessIssue]
    made, orders = Chem.RWMol(), bonds(molecule)
    for element in molecule["element"].tolist():
        made.AddAtom(Chem.Atom(ELEMENTS[element]))
    kinds = (Chem.BondType.SINGLE, Chem.BondType.DOUBLE, Chem.BondType.TRIPLE)
    for i, j in orders.triu().nonzero().tolist():
        made.AddBond(i, j, kinds[int(orders[i, j]) - 1])
    try:
        Chem.SanitizeMol(made)
        parts = Chem.GetMolFrags(made, asMols=True)
    except Chem.MolSanitizeException:
        return None
    return Chem.MolToSmiles(max(parts, key=lambda part: part.GetNumAtoms()))


def figures(molecules: Sequence[Molecule]) -> dict[str, Estimate]:
    """Return each measure with its interval of 95%; uniqueness is of the valid."""
    stable = [bonds(m).sum(1) == VALENCE[m["element"]] for m in molecules]
    atoms = mean_estimate([int(s.sum()) for s in stable], [len(s) for s in stable])
    found = [smiles(m) for m in molecules]
    valid = [one for one in found if one is not None]
    return {
        "atom stability": atoms,  # those of a molecule are no independent trials
        "molecule stability": wilson_interval(sum(bool(s.all()) for s in stable), len(stable)),
        "validity": wilson_interval(len(valid), len(found)),
        "uniqueness": wilson_interval(len(set(valid)), max(len(valid), 1)),
    }


def report(molecules: Sequence[Molecule]) -> str:
    """Return the measures in lines, beside what EDM publishes."""
    beside = {name: f"; EDM {value}" for name, value in EDM.items()}
    found = figures(molecules).items()
    lines = [f"{name}: {each}{beside.get(name, '')}" for name, each in found]
    return "\n".join([f"{len(molecules)} molecules", *lines])
