"""Export: feller models as files of another library.

Domains register exporters in `Domain.exporters`. If the other library cannot represent a model, a
one-line error is raised before any file is written; `feller import` reads the files back.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from feller.core.cards import card_of
from feller.core.checkpoint import CheckpointError
from feller.core.config import encode
from feller.core.domains import domain_of, domains, resolve
from feller.core.files import published

__all__ = ["export_model", "libraries"]


def libraries() -> list[str]:
    """Return the libraries for which an installed domain writes models."""
    return sorted({name for domain in domains().values() for name in domain.exporters})


def export_model(model: Any, library: str, folder: str | Path) -> Mapping[str, str]:
    """Write a model as a folder of another library.

    Args:
        model: A model with a configuration, such as `load` returns.
        library: Such as `diffusers`.
        folder: Where to write; must not exist.

    Returns:
        What was written and how to read it: a sentence for each topic.

    Raises:
        CheckpointError: When the library has no such network, scheduler or tokenizer, or the folder
            exists.
        OSError: When it cannot be written.
    """
    folder = Path(folder)
    if folder.exists():
        raise CheckpointError(f"{folder} exists: choose another")
    kind = str(encode(model.config)["type"])
    known = domain_of(kind, "type").exporters
    if library not in known:
        some = ", ".join(sorted(known)) or "none"
        raise CheckpointError(f"{library} holds no model of type {kind}; of these {some} does")
    card = card_of(model, folder.name)
    with published(folder) as fresh:
        reading = resolve(known[library])(model, fresh)
        head = f"---\nlicense: {card.licence.lower()}\nlibrary_name: {library}\n---"
        page = f"{head}\n\n# {card.name}\n\n{card.summary}\n\nWritten by `feller export`.\n"
        (fresh / "README.md").write_text(page, encoding="utf-8")
    return reading
