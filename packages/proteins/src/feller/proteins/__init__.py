"""Proteins for feller: frames whose rotations flow, diffuse and jump on one path.

The public names are in `__init__.pyi`; each is loaded when first used, so that importing this
package imports no torch. `feller.proteins.so3.solutions` enters the solutions of its
paths into the table of the core.
"""

from feller.core.domains import Domain
from feller.core.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)

DOMAIN = Domain(
    name="proteins",
    package="feller.proteins",
    recipes={
        "short-flow": "feller.proteins.recipes:short_flow",
        "short-jump": "feller.proteins.recipes:short_jump",
        "short-codesign": "feller.proteins.recipes:short_codesign",
        "frameflow": "feller.proteins.recipes:frameflow",
        "multiflow": "feller.proteins.recipes:multiflow",
    },
    commands={
        "sample": "feller.proteins.commands.sample:sample",
        "evaluate": "feller.proteins.commands.evaluate:evaluate",
        "verify": "feller.proteins.commands.verify:verify_model",
        "sample proteins/inverse_folding": "feller.proteins.commands.sequences:sample",
        "evaluate proteins/inverse_folding": "",
        "verify proteins/inverse_folding": "",
    },
    demo="feller.proteins.commands.demo:demo",
    app="feller.proteins.commands.app:watched",
    importers=("feller.proteins.importing.mpnn:MPNN",),
    measures=(".pdb", ".ent", ".cif", ".mmcif", ".bcif", ".zip"),
    examples="feller.proteins.so3.examples:examples",
)
