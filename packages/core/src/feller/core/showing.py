"""What a notebook shows of a model: what it is, how large, and its figures."""

import html
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["model_html", "table_html"]


def model_html(model: Any) -> str:
    """Return a model as HTML: its kind, weights, path and kinds of generator, and its card.

    Args:
        model: A `Model`.

    Example:
        >>> from feller.core.models import GeneratorModel
        >>> from feller.core.paths import GaussianPath
        >>> print(model_html(GeneratorModel(lambda x, t, c: x, GaussianPath()))[:26])
        <strong>GeneratorModel</st
    """
    card, name = getattr(model, "card", None), type(model).__name__
    count = sum(p.numel() for p in getattr(model, "parameters", tuple)())
    kinds = ", ".join(sorted(kind.__name__ for kind in model.kinds))
    rows = [("weights", f"{count:,}"), ("path", model.path), ("generator", kinds)]
    if card is None:
        return f"<strong>{name}</strong>{table_html(rows)}"
    rows += [("task", card.task), ("data", card.dataset), ("licence", card.licence)]
    rows += [(metric.name, metric) for metric in card.metrics]
    title = f"<strong>{html.escape(card.name)}</strong> ({name})"
    return f"{title}{table_html([row for row in rows if row[1]])}"


def table_html(rows: Iterable[Sequence[Any]]) -> str:
    """Return a table of two columns, whose second is cut at 200 characters.

    Example:
        >>> table_html([("a", "<b>")])
        '<table><tr><th>a</th><td>&lt;b&gt;</td></tr></table>'
    """
    cells = ((html.escape(str(a)), html.escape(str(b)[:200])) for a, b in rows)
    body = "".join(f"<tr><th>{a}</th><td>{b}</td></tr>" for a, b in cells)
    return f"<table>{body}</table>"
