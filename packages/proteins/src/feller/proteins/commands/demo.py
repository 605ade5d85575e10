"""`feller demo` for proteins: backbones from every bundled model, and a page that shows them."""

import sys
from pathlib import Path

from feller.core.domains import list_models
from feller.core.registry import load
from feller.proteins.commands.drawing import chains_of, drawn, frames_of
from feller.proteins.design.page import Sample, write_page
from feller.proteins.design.tasks import DesignFlags, plan
from feller.proteins.sampling import Sampling
from feller.proteins.structure.writing import write_chains

__all__ = ["demo"]

DEMO_STEPS = 50


def demo(out: Path) -> list[tuple[str, str, str]]:
    """Draw backbones from every bundled model: PDB files, a Ramachandran plot, a page in 3-D.

    Returns:
        A title, a file name and a caption for each.
    """
    from feller.proteins.plots import ramachandran

    figures = []
    names = list_models("proteins/*")
    if not names:
        print("no protein model is bundled: the demo shows none", file=sys.stderr)
    for name in names:
        print(f"sampling {name} ...", file=sys.stderr)
        model, stem = load(name, device="auto"), name.replace("/", "-")
        (batch,) = plan(DesignFlags(length="80"), 4)
        ((_, drawing),) = drawn(model, [batch], Sampling(steps=DEMO_STEPS, keep=True))
        chains = chains_of(model, batch, drawing)
        write_chains(chains, out / stem)
        frames = frames_of(model, batch, drawing)
        shown = [Sample(c, frames=f[::2]) for c, f in zip(chains, frames, strict=True)]
        write_page(shown, out / f"{stem}.html", name)
        ramachandran(chains).savefig(out / f"{stem}-ramachandran.png")
        made = f"{len(chains)} backbones of 80 residues, {drawing.nfe} network calls each"
        caption = f"{made}. Beside this page: {stem}.html in 3-D, {stem}/ in PDB."
        figures.append((f"{name}: phi and psi", f"{stem}-ramachandran.png", caption))
    return figures
