"""Model cards: what a model is, what it cost and how good it is, as data and as a page.

The card is `card.json`; `README.md` is generated from it, with a header in which the Hugging Face
Hub finds its licence, its task and its figures (`model-index`).
"""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from feller.core.config import fits
from feller.core.errors import OneLineError
from feller.core.files import read_json

__all__ = ["CardError", "Metric", "ModelCard", "card_of", "keep_card"]


T = TypeVar("T")


class CardError(OneLineError, ValueError):
    """A `card.json` is not a card."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A measured figure.

    Attributes:
        name: What was measured.
        value: The figure.
        low: Lower end of its 95% interval; None if unknown.
        high: Upper end; None if `low` is.
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
        """Check that an interval has both ends."""
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
        licence: Licence of the weights; empty if their owner has not chosen one.
        parameters: Number of weights.
        data: What it was trained on, with source and licence.
        dataset: The named data set that its figures are measured on.
        training: Steps, seconds, cores, seed and so on.
        sampling: Default solver, steps and guidance.
        metrics: What was measured.
        limitations: What it does not do.
        references: Papers.
        hub_task: Its task tag on the Hugging Face Hub, such as `unconditional-image-generation`.
    """

    name: str
    task: str = ""
    summary: str = ""
    licence: str = ""
    parameters: int = 0
    data: str = ""
    dataset: str = ""
    training: dict[str, Any] = field(default_factory=dict)
    sampling: dict[str, Any] = field(default_factory=dict)
    metrics: tuple[Metric, ...] = ()
    limitations: str = ""
    references: tuple[str, ...] = ()
    hub_task: str = "other"

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
        except (AttributeError, OverflowError, TypeError, ValueError) as error:
            raise CardError(f"{file} is not a card: {' '.join(str(error).split())}") from None

    def page(self) -> str:
        """Return the card as Markdown, with the header that the Hugging Face Hub reads."""
        sections = [
            f"---\n{self._header()}\n---",
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

    def _header(self) -> str:
        """Return what the hub reads: licence, task, and finite figures as a `model-index`."""
        from huggingface_hub import EvalResult, ModelCardData

        data = self.dataset or "its test data"
        results = [
            EvalResult(
                task_type=self.hub_task,
                dataset_type=_slug(data),
                dataset_name=data,
                metric_type=_slug(metric.name),
                metric_name=metric.name,
                metric_value=metric.value,
            )
            for metric in self.metrics
            if math.isfinite(metric.value)
        ]
        known = re.fullmatch(r"[\w.+-]+", self.licence)
        licence = self.licence.lower() if known else "other" if self.licence else None
        found = ModelCardData(
            model_name=self.name,
            license=licence,
            license_name=self.licence if licence == "other" else None,
            library_name="feller",
            pipeline_tag=None if self.hub_task == "other" else self.hub_task,
            tags=["feller", "generator-matching"],
            eval_results=results or None,
        )
        return found.to_yaml().strip()

    def _facts(self) -> list[tuple[str, Any]]:
        facts = [
            ("task", self.task),
            ("parameters", self.parameters),
            ("data", self.data),
            ("data set", self.dataset),
            ("licence", self.licence),
        ]
        return [(name, value) for name, value in facts if value]


def keep_card(model: Any, card: ModelCard) -> None:
    """Attach its card to a loaded model; the card describes the current weights."""
    model.card, model.card_sums = card, _sums(model)


def card_of(model: Any, name: str) -> ModelCard:
    """Return the card of a model, under its name if it has none.

    The figures of a card are those of the weights that the model was loaded with; if these have
    changed, the figures are left out.
    """
    count = sum(p.numel() for p in model.parameters())
    card = getattr(model, "card", None)
    if card is None:
        task = getattr(model.config, "hub_task", "other")
        return ModelCard(name=name, parameters=count, hub_task=task)
    sums = _sums(model)
    if len(sums) == len(model.card_sums) and all(map(_near, sums, model.card_sums)):
        return card
    return replace(card, name=name, parameters=count, metrics=())


def _sums(model: Any) -> list[float]:
    """Return a number for each weight, which a step of training changes."""
    import torch

    return [float(p.detach().abs().sum(dtype=torch.float64)) for p in model.parameters()]


def _near(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-9)


def _made(cls: type[T], data: Any) -> T:
    """Build a card, or a figure of one, whose fields are of their types."""
    if not isinstance(data, dict):
        raise TypeError(f"{str(data)[:40]!r}, not a mapping")
    hints = get_type_hints(cls)
    for name, value in data.items():
        if name in hints and not fits(value, hints[name]):
            kind = getattr(hints[name], "__name__", hints[name])
            raise TypeError(f"{name} is {str(value)[:40]!r}, not {kind}")
        if fits(value, int) and fits(0.0, hints.get(name)):
            float(value)  # raises where it is too large to print
    return cls(**data)


def _slug(name: str) -> str:
    """Return a name in the letters that a `model-index` takes."""
    return re.sub(r"\W+", "-", name.lower()).strip("-") or "unnamed"


def _section(title: str, text: str) -> str:
    return f"## {title}\n\n{text}" if text else ""


def _table(title: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    rule = "|---" * len(header) + "|"
    lines = [_row(header), rule, *map(_row, rows)]
    return _section(title, "\n".join(lines) if rows else "")


def _row(cells: Sequence[Any]) -> str:
    escaped = (" ".join(str(cell).replace("|", "\\|").split()) for cell in cells)
    return f"| {' | '.join(escaped)} |"
