"""Model cards: what a model is, what it cost and how good it is, as data and as a page.

The card is `card.json`; `README.md` is generated from it.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from feller.core.config import fits
from feller.core.files import read_json

__all__ = ["CardError", "Metric", "ModelCard"]


T = TypeVar("T")


class CardError(ValueError):
    """A `card.json` is not a card."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A measured figure.

    Attributes:
        name: What was measured.
        value: The figure.
        low: Lower end of its 95% interval; None where none is stated.
        high: Upper end; None where `low` is.
        protocol: How: samples, seed, solver, NFE, reference.

    Raises:
        ValueError: When an interval has one end.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    protocol: str = ""

    def __post_init__(self) -> None:
        """Refuse half an interval."""
        if (self.low is None) != (self.high is None):
            raise ValueError(f"{self.name} has one end of an interval: give low and high, or none")

    def __str__(self) -> str:
        """Return the figure with its interval."""
        interval = "" if self.low is None else f" ({self.low:.4g} to {self.high:.4g})"
        return f"{self.value:.4g}{interval}"


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """The card of a model.

    Attributes:
        name: The model's full name.
        task: What it does, in a few words.
        summary: A sentence or two.
        licence: Licence of the weights.
        parameters: Number of weights.
        data: What it was trained on, with source and licence.
        dataset: The named data set that its figures compare with.
        training: Steps, seconds, cores, seed and so on.
        sampling: Default solver, steps and guidance.
        metrics: What was measured.
        limitations: What it does not do.
        references: Papers.
    """

    name: str
    task: str = ""
    summary: str = ""
    licence: str = "Apache-2.0"
    parameters: int = 0
    data: str = ""
    dataset: str = ""
    training: dict[str, Any] = field(default_factory=dict)
    sampling: dict[str, Any] = field(default_factory=dict)
    metrics: tuple[Metric, ...] = ()
    limitations: str = ""
    references: tuple[str, ...] = ()

    def write(self, folder: str | Path) -> None:
        """Write `card.json` and the page made from it."""
        folder = Path(folder)
        (folder / "card.json").write_text(json.dumps(asdict(self), indent=2) + "\n")
        (folder / "README.md").write_text(self.page(), encoding="utf-8")

    @classmethod
    def read(cls, folder: str | Path) -> "ModelCard":
        """Read the card of a model folder; one without a card gets a bare one.

        Raises:
            CardError: When the file is not a card.
        """
        folder = Path(folder)
        file = folder / "card.json"
        if not file.is_file():
            return cls(name=folder.name)
        try:
            data = read_json(file)
            metrics = tuple(_made(Metric, metric) for metric in data.get("metrics", ()))
            references = tuple(data.get("references", ()))
            return _made(cls, {**data, "metrics": metrics, "references": references})
        except (AttributeError, TypeError, ValueError) as error:
            raise CardError(f"{file} is not a card: {error}") from None

    def page(self) -> str:
        """Return the card as Markdown, with the header that the Hugging Face Hub reads."""
        sections = [
            f"---\nlicense: {self.licence.lower()}\nlibrary_name: feller\n---",
            f"# {self.name}",
            self.summary,
            _table("Model", ("", ""), self._facts()),
            _table("Training", ("", ""), list(self.training.items())),
            _table("Sampling", ("", ""), list(self.sampling.items())),
            _table(
                "Quality",
                ("figure", "value (95% interval)", "protocol"),
                [(m.name, m, m.protocol) for m in self.metrics],
            ),
            _section("Limitations", self.limitations),
            _section("References", "\n".join(f"- {reference}" for reference in self.references)),
        ]
        return "\n\n".join(section for section in sections if section) + "\n"

    def _facts(self) -> list[tuple[str, Any]]:
        facts = [
            ("task", self.task),
            ("parameters", self.parameters),
            ("data", self.data),
            ("data set", self.dataset),
            ("licence", self.licence),
        ]
        return [(name, value) for name, value in facts if value]


def _made(cls: type[T], data: Any) -> T:
    """Build a card, or a figure of one, whose fields are of their types."""
    if not isinstance(data, dict):
        raise TypeError(f"{str(data)[:40]!r}, not a mapping")
    hints = get_type_hints(cls)
    for name, value in data.items():
        if name in hints and not fits(value, hints[name]):
            kind = getattr(hints[name], "__name__", hints[name])
            raise TypeError(f"{name} is {str(value)[:40]!r}, not {kind}")
    return cls(**data)


def _section(title: str, text: str) -> str:
    return f"## {title}\n\n{text}" if text else ""


def _table(title: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    rule = "|---" * len(header) + "|"
    lines = [_row(header), rule, *map(_row, rows)]
    return _section(title, "\n".join(lines) if rows else "")


def _row(cells: Sequence[Any]) -> str:
    escaped = (" ".join(str(cell).replace("|", "\\|").split()) for cell in cells)
    return f"| {' | '.join(escaped)} |"
