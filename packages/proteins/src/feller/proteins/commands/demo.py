"""`feller demo` for proteins: backbones from every bundled model, and a page that shows them."""

import sys
from pathlib import Path

from feller.core.domains import list_models
from feller.core.exhibits import Exhibit, Page, Picture, thinned
from feller.core.registry import load
from feller.proteins.commands.drawing import chains_of, drawn, frames_of
from feller.proteins.design.page import Sample, write_page
from feller.proteins.design.tasks import DesignFlags, plan
from feller.proteins.sampling import Sampling
from feller.proteins.structure.writing import write_chains

__all__ = ["demo"]

DEMO_STEPS, FRAMES = 50, 26


def demo(out: Path) -> list[Exhibit]:
    """Draw backbones from every bundled model: PDB files, a Ramachandran plot, a page in 3-D."""
    from feller.proteins.plots import ramachandran

    exhibits = []
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
        kept = thinned(len(drawing.steps), FRAMES)
        ways = zip(chains, frames, strict=True)
        shown = [Sample(chain, frames=[way[i] for i in kept]) for chain, way in ways]
        write_page(shown, out / f"{stem}.html", name)
        ramachandran(chains).savefig(out / f"{stem}-ramachandran.png")
        page = Page(file=f"{stem}.html", name="Open in a window of its own")
        made = f"{len(chains)} backbones of 80 residues, {drawing.nfe} network calls each"
        caption = f"{made}, and their angles phi and psi. Beside this page: {stem}/ in PDB."
        parts = page, Picture(file=f"{stem}-ramachandran.png")
        exhibits.append(Exhibit(title=name, parts=parts, caption=caption))
    return exhibits
