"""Text for feller: continuous-time Markov chains on tokens.

The modules have the same names in every domain: `codec`, `data`, `networks`, `models`, `recipes`,
`sampling`, `metrics`, `plots`, `commands`, and `weights` for the bundled models. The public
names are in `__init__.pyi`; each is loaded when first used, so that importing this package imports
no torch.
"""

from feller.core.domains import Domain
from feller.core.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)

DOMAIN = Domain(
    name="text",
    package="feller.text",
    recipes={
        "shakespeare-mask": "feller.text.recipes:shakespeare_mask",
        "shakespeare-ar": "feller.text.recipes:shakespeare_ar",
        "stdlib-mask": "feller.text.recipes:stdlib_mask",
        "stdlib-ar": "feller.text.recipes:stdlib_ar",
        "stdlib-uniform": "feller.text.recipes:stdlib_uniform",
        "bytes-mask": "feller.text.recipes:bytes_mask",
        "books-mask": "feller.text.recipes:books_mask",
        "books-ar": "feller.text.recipes:books_ar",
        "text8-mask": "feller.text.recipes:text8_mask",
        "text8-ar": "feller.text.recipes:text8_ar",
        "text8-uniform": "feller.text.recipes:text8_uniform",
        "lm1b-mask": "feller.text.recipes:lm1b_mask",
        "lm1b-uniform": "feller.text.recipes:lm1b_uniform",
        "owt-mask": "feller.text.recipes:owt_mask",
        "owt-uniform": "feller.text.recipes:owt_uniform",
    },
    commands={
        "sample": "feller.text.commands.sample:sample",
        "evaluate": "feller.text.commands.evaluate:evaluate",
        "verify": "feller.text.commands.verify:verify_model",
    },
    demo="feller.text.commands.demo:demo",
    app="feller.text.commands.app:watched",
    importers=(
        "feller.text.importing.decoders:DECODERS",
        "feller.text.importing.masked:MASKED",
        "feller.text.importing.ddits:DDIT",
    ),
    exporters={"transformers": "feller.text.exporting.masked:to_transformers"},
)
