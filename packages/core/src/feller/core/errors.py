"""Errors that every domain raises."""

__all__ = ["DataError"]


class DataError(ValueError):
    """Data are missing, empty, corrupt, or not what was expected."""
