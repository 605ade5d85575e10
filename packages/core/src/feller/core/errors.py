"""Errors that every domain raises."""

import re

__all__ = ["DataError", "OneLineError"]

_BREAKS = re.compile(r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")  # where `str.splitlines` breaks


class OneLineError:
    r"""A part of errors: their message is one line, whatever the names and numbers that it quotes.

    Example:
        >>> print(DataError("a\nb.png is not an image"))
        a\nb.png is not an image
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*map(_in_a_line, args))


class DataError(OneLineError, ValueError):
    """Data are missing, empty, corrupt, or not what was expected."""


def _in_a_line(part: object) -> object:
    """Return text with its line breaks as a program would write them; all else as it is."""
    # A worker of a DataLoader tells its traceback so, which is read in lines.
    if not isinstance(part, str) or part.startswith("Caught "):
        return part
    return _BREAKS.sub(lambda found: ascii(found[0])[1:-1], part)
