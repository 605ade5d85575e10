"""Images for feller: Generator Matching on pixels.

The modules have the same names in every domain: `codec`, `data`, `networks`, `models`, `recipes`,
`sampling`, `metrics`, `plots`, `commands`, and `weights` for the bundled models. The public
names are in `__init__.pyi`; each is loaded when first used, so that importing this package imports
no torch.
"""

from feller.core.domains import Domain
from feller.core.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)

DOMAIN = Domain(
    name="images",
    package="feller.images",
    recipes={
        "fashion-flow": "feller.images.recipes:fashion_flow",
        "fashion-jump": "feller.images.recipes:fashion_jump",
        "fashion-inpaint": "feller.images.recipes:fashion_inpaint",
        "fashion-joint": "feller.images.recipes:fashion_joint",
        "fashion-meanflow": "feller.images.recipes:fashion_meanflow",
        "fashion-reflow": "feller.images.recipes:fashion_reflow",
        "mnist-flow": "feller.images.recipes:mnist_flow",
        "drawn-flow": "feller.images.recipes:drawn_flow",
        "cifar10-flow": "feller.images.recipes:cifar10_flow",
        "mnist-discrete": "feller.images.recipes:mnist_discrete",
        "cifar10-joint": "feller.images.recipes:cifar10_joint",
        "cifar10-large-joint": "feller.images.recipes:cifar10_large_joint",
        "imagenet32-joint": "feller.images.recipes:imagenet32_joint",
        "cifar10-dit-flow": "feller.images.recipes:cifar10_dit_flow",
        "folder": "feller.images.recipes:folder",
    },
    commands={
        "sample": "feller.images.commands.sample:sample",
        "evaluate": "feller.images.commands.evaluate:evaluate",
        "verify": "feller.images.commands.verify:verify_model",
    },
    demo="feller.images.commands.demo:demo",
    app="feller.images.commands.app:watched",
    importers=(
        "feller.images.importing.diffusers:UNET",
        "feller.images.importing.dits:DIFFUSERS_DIT",
        "feller.images.importing.adm:ADM",
        "feller.images.importing.dits:DIT",
        "feller.images.importing.jits:JIT",
    ),
    exporters={"diffusers": "feller.images.exporting.unets:to_diffusers"},
)
