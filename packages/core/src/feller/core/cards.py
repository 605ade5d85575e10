"""Model cards: what a model is, what it cost and how good it is, as data and as a page.

The card is `card.json`; `README.md` is generated from it.
"""

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

__all__ = ["Metric", "ModelCard"]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A measured figure.

    Attributes:
        name: What was measured.
        value: The figure.
        low: Lower end of its 95% interval; None where none is stated.
        high: Upper end.
        protocol: How: samples, seed, solver, NFE, reference.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    protocol: str = ""

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
    training: dict[str, Any] = field(default_factory=dict)
    sampling: dict[str, Any] = field(default_factory=dict)
    metrics: tuple[Metric, ...] = ()
    limitations: str = ""
    references: tuple[str, ...] = ()

    def write(self, folder: Path) -> None:
        """Write `card.json` and the page made from it."""
        (folder / "card.json").write_text(json.dumps(asdict(self), indent=2) + "\n")
        (folder / "README.md").write_text(self.page())

    @classmethod
    def read(cls, folder: Path) -> "ModelCard":
        """Read the card of a model folder; one without a card gets a bare one."""
        file = folder / "card.json"
        if not file.is_file():
            return cls(name=folder.name)
        data = json.loads(file.read_text())
        unknown = data.keys() - {f.name for f in fields(cls)}
        if unknown:
            raise ValueError(f"{file}: unknown {', '.join(sorted(unknown))}")
        metrics = tuple(Metric(**metric) for metric in data.pop("metrics", ()))
        references = tuple(data.pop("references", ()))
        return cls(**data, metrics=metrics, references=references)

    def page(self) -> str:
        """Return the card as Markdown, with the header that the Hugging Face Hub reads."""
        head = f"---\nlicense: {self.licence.lower()}\nlibrary_name: feller\n---\n"
        parts = [head, f"# {self.name}\n", f"{self.summary}\n" if self.summary else ""]
        parts.append(_table("Model", self._facts()))
        parts.append(_table("Training", self.training))
        parts.append(_table("Sampling", self.sampling))
        if self.metrics:
            parts.append(
                "## Quality\n\n| figure | value (95% interval) | protocol |\n|---|---|---|"
            )
            parts += [f"| {m.name} | {m} | {m.protocol} |" for m in self.metrics]
            parts.append("")
        if self.limitations:
            parts.append(f"## Limitations\n\n{self.limitations}\n")
        if self.references:
            parts.append("## References\n")
            parts += [f"- {reference}" for reference in self.references]
            parts.append("")
        return "\n".join(part for part in parts if part).rstrip("\n") + "\n"

    def _facts(self) -> dict[str, Any]:
        facts = {"task": self.task, "parameters": self.parameters or "", "data": self.data}
        return {key: value for key, value in {**facts, "licence": self.licence}.items() if value}


def _table(title: str, rows: dict[str, Any]) -> str:
    if not rows:
        return ""
    lines = [f"## {title}\n", "| | |", "|---|---|"]
    return "\n".join([*lines, *(f"| {key} | {value} |" for key, value in rows.items()), ""])
