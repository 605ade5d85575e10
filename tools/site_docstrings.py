"""What mkdocstrings reads of each object: docstrings with their formulas in dollars."""

from typing import Any

from griffe import Extension, Object

from site_formulas import on_page  # `site_hooks` has imported it


class Formulas(Extension):
    """The docstrings of the packages, rewritten."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Rewrite the formulas of a docstring."""
        if obj.docstring is not None:
            obj.docstring.value = on_page(obj.docstring.value)
